/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * open_requests_test.c - slots and generations: late, double and made-up replies meet nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "actors/http/open_requests.h"

/* Only told apart, never looked into. */
static char people[8];
#define PERSON(i) ((struct exchange *)(void *)&people[i])

static void slots_are_the_credit(void **state)
{
    open_requests_t table;
    uint64_t marks[3];
    struct exchange *waiting;
    (void)state;
    open_requests_init(&table, 3);
    for (int i = 0; i < 3; i++) {
        marks[i] = open_requests_take(&table, PERSON(i), 100);
        assert_true(marks[i] != 0);
        for (int j = 0; j < i; j++)
            assert_true(marks[i] != marks[j]);
    }
    assert_int_equal(open_requests_take(&table, PERSON(3), 100), 0);
    assert_int_equal(table.taken, 3);
    assert_true(open_requests_settle(&table, marks[1], &waiting));
    assert_ptr_equal(waiting, PERSON(1));
    assert_true(open_requests_take(&table, PERSON(3), 100) != 0);
    assert_int_equal(open_requests_take(&table, PERSON(4), 100), 0);
    open_requests_fini(&table);
}

static void who_left_is_not_waiting_but_still_counts(void **state)
{
    open_requests_t table;
    struct exchange *waiting = PERSON(5);
    (void)state;
    open_requests_init(&table, 1);
    uint64_t mark = open_requests_take(&table, PERSON(0), 100);
    open_requests_abandon(&table, mark);
    assert_int_equal(table.taken, 1);
    assert_int_equal(open_requests_take(&table, PERSON(1), 100), 0);
    assert_true(open_requests_settle(&table, mark, &waiting));
    assert_null(waiting);
    assert_int_equal(table.taken, 0);
    open_requests_abandon(&table, mark); /* open no more: fine */
    open_requests_fini(&table);
}

static void a_reply_of_another_generation_meets_nobody(void **state)
{
    open_requests_t table;
    struct exchange *waiting;
    (void)state;
    open_requests_init(&table, 1);
    uint64_t first = open_requests_take(&table, PERSON(0), 100);
    assert_true(open_requests_settle(&table, first, &waiting));
    assert_false(open_requests_settle(&table, first, &waiting)); /* twice */
    assert_null(waiting);
    uint64_t second = open_requests_take(&table, PERSON(1), 100);
    assert_true(second != first);
    open_requests_abandon(&table, first); /* not the second's business */
    assert_false(open_requests_settle(&table, first, &waiting));
    assert_true(open_requests_settle(&table, second, &waiting));
    assert_ptr_equal(waiting, PERSON(1));
    open_requests_fini(&table);
}

static void made_up_marks_are_harmless(void **state)
{
    static const uint64_t marks[] = {0,           1,           2,          0xffffffff, 0x100000001,
                                     0x100000002, 0x1ffffffff, UINT64_MAX, 0x200000000};
    open_requests_t table;
    struct exchange *waiting;
    (void)state;
    open_requests_init(&table, 2);
    uint64_t mark = open_requests_take(&table, PERSON(0), 100);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        assert_true(marks[i] != mark);
        assert_false(open_requests_settle(&table, marks[i], &waiting));
        open_requests_abandon(&table, marks[i]);
    }
    assert_true(open_requests_settle(&table, mark, &waiting));
    assert_ptr_equal(waiting, PERSON(0));
    open_requests_fini(&table);
}

static void generations_wrap_without_a_zero_mark(void **state)
{
    open_requests_t table;
    (void)state;
    open_requests_init(&table, 1);
    table.slots[0].generation = UINT32_MAX;
    assert_true(open_requests_take(&table, PERSON(0), 100) != 0);
    open_requests_fini(&table);
}

static void patience_ends_one_by_one(void **state)
{
    open_requests_t table;
    uint64_t marks[4];
    struct exchange *waiting;
    (void)state;
    open_requests_init(&table, 6);
    for (int i = 0; i < 4; i++)
        marks[i] = open_requests_take(&table, PERSON(i), 100 * (i + 1));
    open_requests_abandon(&table, marks[0]);
    uint32_t cursor = 0;
    assert_null(open_requests_expire(&table, 99, &cursor));
    cursor = 0;
    assert_ptr_equal(open_requests_expire(&table, 300, &cursor), PERSON(1));
    assert_ptr_equal(open_requests_expire(&table, 300, &cursor), PERSON(2));
    assert_null(open_requests_expire(&table, 300, &cursor));
    assert_null(open_requests_expire(&table, 300, &cursor));
    cursor = 0;
    assert_null(open_requests_expire(&table, 300, &cursor)); /* each once */
    assert_int_equal(table.taken, 4);                        /* the replies are still owed */
    assert_true(open_requests_settle(&table, marks[2], &waiting));
    assert_null(waiting);
    cursor = 0;
    assert_ptr_equal(open_requests_expire(&table, INT64_MAX, &cursor), PERSON(3));
    open_requests_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_the_credit),
        cmocka_unit_test(who_left_is_not_waiting_but_still_counts),
        cmocka_unit_test(a_reply_of_another_generation_meets_nobody),
        cmocka_unit_test(made_up_marks_are_harmless),
        cmocka_unit_test(generations_wrap_without_a_zero_mark),
        cmocka_unit_test(patience_ends_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
