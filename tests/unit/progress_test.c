/* rooms: bridge pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static progress_t progress;
static outgoing_event_t events[20];

static int set_up(void **state)
{
    (void)state;
    memset(&progress, 0, sizeof(progress));
    return 0;
}

static void add(int64_t position, unsigned partition)
{
    events[position] = (outgoing_event_t){.position = position, .partition = partition};
    progress_add(&progress, &events[position]);
}

static void confirm(int64_t position)
{
    progress_confirmed(&progress, &events[position]);
}

static void expect_moved(unsigned partition, int64_t expected)
{
    int64_t position = -1;
    assert_true(progress_take(&progress, partition, &position));
    assert_int_equal(position, expected);
    assert_false(progress_take(&progress, partition, &position)); /* once */
}

static void expect_still(unsigned partition)
{
    int64_t position;
    assert_false(progress_take(&progress, partition, &position));
}

static void a_mark_stands_before_the_oldest_unconfirmed(void **state)
{
    (void)state;
    add(3, 1);
    add(4, 2);
    add(7, 1);
    add(9, 1);
    expect_moved(1, 2); /* true, if of no use: nothing of it stands before */
    confirm(7);
    expect_still(1);
    confirm(3);
    expect_moved(1, 8);
    confirm(9);
    expect_moved(1, 9);
    expect_moved(2, 3);
    confirm(4);
    expect_moved(2, 4);
}

static void a_new_event_does_not_move_the_mark_back(void **state)
{
    (void)state;
    add(5, 0);
    confirm(5);
    expect_moved(0, 5);
    add(6, 0);
    expect_still(0);
    add(12, 0);
    confirm(12);
    expect_still(0);
    confirm(6);
    expect_moved(0, 12);
}

static void partitions_do_not_meet(void **state)
{
    (void)state;
    for (int64_t i = 1; i < 20; i++)
        add(i, (unsigned)i % 3);
    for (int64_t i = 19; i > 3; i--)
        confirm(i);
    for (unsigned partition = 0; partition < 3; partition++) {
        int64_t position;
        if (progress_take(&progress, partition, &position))
            assert_true(position < 3);
    }
    confirm(2);
    expect_moved(2, 17);
    expect_still(0);
    confirm(3);
    expect_moved(0, 18);
    confirm(1);
    expect_moved(1, 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_mark_stands_before_the_oldest_unconfirmed, set_up),
        cmocka_unit_test_setup(a_new_event_does_not_move_the_mark_back, set_up),
        cmocka_unit_test_setup(partitions_do_not_meet, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
