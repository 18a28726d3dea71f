/* rooms: bridge pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/confirm_window.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static outgoing_event_t events[3 * CONFIRM_WINDOW_MAX];
static confirm_window_t window;

static int set_up(void **state)
{
    (void)state;
    confirm_window_init(&window, CONFIRM_WINDOW_MAX);
    for (int i = 0; i < 3 * CONFIRM_WINDOW_MAX; i++) {
        events[i].id[0] = (uint8_t)i;
        events[i].id[1] = (uint8_t)(i >> 8);
    }
    return 0;
}

/* Publishes events[tag] for tags from..to. */
static void publish(uint64_t from, uint64_t to)
{
    for (uint64_t tag = from; tag <= to; tag++)
        confirm_window_add(&window, tag, &events[tag]);
}

/* What an ack of the tag settles must be exactly these. */
static void expect(uint64_t tag, bool multiple, uint64_t from, uint64_t to)
{
    bool returned;
    for (uint64_t i = from; i <= to; i++)
        assert_ptr_equal(confirm_window_take(&window, tag, multiple, &returned), &events[i]);
    assert_null(confirm_window_take(&window, tag, multiple, &returned));
}

static void acks_settle_one_or_all_before(void **state)
{
    (void)state;
    assert_true(confirm_window_empty(&window));
    publish(1, 10);
    expect(3, false, 3, 3);
    expect(3, false, 1, 0); /* known already */
    bool returned;
    assert_ptr_equal(confirm_window_take(&window, 5, true, &returned), &events[1]);
    assert_ptr_equal(confirm_window_take(&window, 5, true, &returned), &events[2]);
    assert_ptr_equal(confirm_window_take(&window, 5, true, &returned), &events[4]);
    assert_ptr_equal(confirm_window_take(&window, 5, true, &returned), &events[5]);
    assert_null(confirm_window_take(&window, 5, true, &returned));
    assert_false(confirm_window_empty(&window));
    expect(10, true, 6, 10);
    assert_true(confirm_window_empty(&window));
}

static void tags_that_were_never_used_settle_nothing(void **state)
{
    (void)state;
    publish(1, 3);
    expect(0, false, 1, 0);
    expect(0, true, 1, 0);
    expect(4, false, 1, 0);
    expect(4, true, 1, 0);
    expect(UINT64_MAX, true, 1, 0);
    expect(3, true, 1, 3);
}

static void room_follows_the_oldest(void **state)
{
    (void)state;
    publish(1, CONFIRM_WINDOW_MAX);
    assert_int_equal(confirm_window_room(&window), 0);
    expect(2, false, 2, 2);
    assert_int_equal(confirm_window_room(&window), 0);
    expect(1, false, 1, 1);
    assert_int_equal(confirm_window_room(&window), 2);
    publish(CONFIRM_WINDOW_MAX + 1, CONFIRM_WINDOW_MAX + 2);
    expect(CONFIRM_WINDOW_MAX + 2, true, 3, CONFIRM_WINDOW_MAX + 2);
    assert_int_equal(confirm_window_room(&window), CONFIRM_WINDOW_MAX);
    publish(CONFIRM_WINDOW_MAX + 3, 2 * CONFIRM_WINDOW_MAX + 2); /* all around the ring */
    expect(2 * CONFIRM_WINDOW_MAX + 2, true, CONFIRM_WINDOW_MAX + 3, 2 * CONFIRM_WINDOW_MAX + 2);
}

static void it_may_be_smaller_than_the_ring(void **state)
{
    (void)state;
    confirm_window_init(&window, 3);
    publish(1, 3);
    assert_int_equal(confirm_window_room(&window), 0);
    expect(1, false, 1, 1);
    assert_int_equal(confirm_window_room(&window), 1);
    confirm_window_reset(&window);
    assert_int_equal(confirm_window_room(&window), 3);
}

static void what_came_back_is_marked(void **state)
{
    const uint8_t unknown[ID_BYTES] = {255, 255, 255};
    bool returned = false;
    (void)state;
    publish(1, 3);
    confirm_window_returned(&window, events[2].id);
    confirm_window_returned(&window, unknown);
    assert_ptr_equal(confirm_window_take(&window, 3, true, &returned), &events[1]);
    assert_false(returned);
    assert_ptr_equal(confirm_window_take(&window, 3, true, &returned), &events[2]);
    assert_true(returned);
    assert_ptr_equal(confirm_window_take(&window, 3, true, &returned), &events[3]);
    assert_false(returned);
    publish(4, 1000);
    expect(1000, true, 4, 1000);
    publish(1001, 1026); /* the last stands in the ring where tag 2 stood */
    confirm_window_take(&window, 1026, false, &returned);
    assert_false(returned);
}

static void what_came_back_after_its_ack_marks_nothing(void **state)
{
    bool returned;
    (void)state;
    publish(1, 3);
    assert_ptr_equal(confirm_window_take(&window, 2, false, &returned), &events[2]);
    confirm_window_returned(&window, events[2].id);
    confirm_window_returned(&window, events[3].id);
    assert_ptr_equal(confirm_window_take(&window, 1, false, &returned), &events[1]);
    assert_false(returned);
    assert_ptr_equal(confirm_window_take(&window, 3, false, &returned), &events[3]);
    assert_true(returned);
}

static void a_reset_forgets_all(void **state)
{
    (void)state;
    publish(1, 5);
    confirm_window_reset(&window);
    assert_true(confirm_window_empty(&window));
    expect(5, true, 1, 0);
    publish(1, 2);
    expect(2, true, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(acks_settle_one_or_all_before, set_up),
        cmocka_unit_test_setup(tags_that_were_never_used_settle_nothing, set_up),
        cmocka_unit_test_setup(room_follows_the_oldest, set_up),
        cmocka_unit_test_setup(it_may_be_smaller_than_the_ring, set_up),
        cmocka_unit_test_setup(what_came_back_is_marked, set_up),
        cmocka_unit_test_setup(what_came_back_after_its_ack_marks_nothing, set_up),
        cmocka_unit_test_setup(a_reset_forgets_all, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
