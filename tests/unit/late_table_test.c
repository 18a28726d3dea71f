/* rooms: store proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/late_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX = 8, KEYS = 40 };

static late_table_t table;

static int set_up(void **state)
{
    (void)state;
    late_table_init(&table, MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    late_table_fini(&table);
    return 0;
}

static void expect(int64_t key, int64_t value)
{
    int64_t got = -1;
    assert_true(late_table_get(&table, key, &got));
    assert_int_equal(got, value);
}

static void expect_none(int64_t key)
{
    int64_t got;
    assert_false(late_table_get(&table, key, &got));
}

static void expect_taken(int64_t key, int64_t value)
{
    late_entry_t entry;
    assert_true(late_table_take(&table, &entry));
    assert_int_equal(entry.key, key);
    assert_int_equal(entry.value, value);
}

static void what_was_put_is_found_and_replaced(void **state)
{
    (void)state;
    expect_none(5);
    assert_true(late_table_put(&table, 5, 50));
    assert_true(late_table_put(&table, 6, 60));
    expect(5, 50);
    assert_true(late_table_put(&table, 5, 51));
    expect(5, 51);
    expect(6, 60);
    assert_int_equal(late_table_size(&table), 2);
}

static void one_key_has_all_the_values_that_were_added(void **state)
{
    (void)state;
    late_cursor_t cursor = {0};
    int64_t value, sum = 0;
    for (int64_t i = 1; i <= 3; i++)
        assert_true(late_table_add(&table, 7, i));
    assert_true(late_table_add(&table, 8, 100));
    late_table_commit(&table);
    late_table_freeze(&table);
    assert_true(late_table_add(&table, 7, 10));
    while (late_table_next_of(&table, 7, &cursor, &value))
        sum += value;
    assert_int_equal(sum, 16);
}

static void a_frozen_generation_is_written_in_order_of_key(void **state)
{
    (void)state;
    static const int64_t keys[] = {INT64_MAX, 3, -1, INT64_C(1) << 40, 0, INT64_MIN, 1000, -1000};
    static const int64_t sorted[] = {INT64_MIN, -1000, -1, 0, 3, 1000, INT64_C(1) << 40, INT64_MAX};
    for (int i = 0; i < MAX; i++)
        assert_true(late_table_put(&table, keys[i], i));
    assert_true(late_table_is_full(&table));
    late_table_commit(&table);
    late_table_freeze(&table);
    for (int i = 0; i < MAX; i++)
        expect(keys[i], i);
    for (int i = 0; i < MAX; i++) {
        late_entry_t entry;
        assert_false(late_table_is_written(&table));
        assert_true(late_table_take(&table, &entry));
        assert_int_equal(entry.key, sorted[i]);
        assert_int_equal(keys[entry.value], sorted[i]);
    }
    assert_true(late_table_is_written(&table));
    assert_false(late_table_take(&table, &(late_entry_t){0}));
    late_table_commit(&table);
    assert_false(table.frozen);
    assert_int_equal(late_table_size(&table), 0);
    expect_none(3);
}

static void the_young_value_goes_before_the_old(void **state)
{
    (void)state;
    assert_true(late_table_put(&table, 1, 10));
    late_table_commit(&table);
    late_table_freeze(&table);
    assert_true(late_table_put(&table, 1, 11));
    expect(1, 11);
    expect_taken(1, 10);
    late_table_commit(&table);
    expect(1, 11);
    assert_int_equal(late_table_size(&table), 1);
}

static void without_room_the_caller_writes(void **state)
{
    (void)state;
    assert_true(late_table_put(&table, 100, 1));
    late_table_commit(&table);
    late_table_freeze(&table);
    for (int i = 0; i < MAX; i++)
        assert_true(late_table_put(&table, i, i));
    assert_false(late_table_put(&table, 50, 1)); /* new */
    expect_none(50);
    assert_false(late_table_add(&table, 50, 1));
    assert_true(late_table_put(&table, 3, 33)); /* needs none */
    expect(3, 33);
    /* What the old generation has is right there too, since it is asked before the table. */
    assert_false(late_table_put(&table, 100, 2));
    expect(100, 2);
    expect_taken(100, 2);
}

static void a_transaction_that_fails_takes_everything_back(void **state)
{
    (void)state;
    assert_true(late_table_put(&table, 1, 10));
    assert_true(late_table_put(&table, 2, 20));
    late_table_commit(&table);
    late_table_freeze(&table);
    assert_true(late_table_put(&table, 2, 21));
    late_table_commit(&table);
    assert_true(late_table_put(&table, 1, 12));
    assert_true(late_table_put(&table, 2, 22));
    assert_true(late_table_put(&table, 2, 23));
    assert_true(late_table_put(&table, 3, 30));
    expect_taken(1, 10);
    late_table_roll_back(&table);
    expect(1, 10);
    expect(2, 21);
    expect_none(3);
    expect_taken(1, 10);
    expect_taken(2, 20);
    late_table_roll_back(&table);
    assert_false(late_table_is_written(&table));
}

/* Against a plain array, with every kind of step. */
static void it_is_what_an_array_would_be(void **state)
{
    (void)state;
    int64_t now[KEYS] = {0}, committed[KEYS] = {0}, in_table[KEYS] = {0}, table_before[KEYS] = {0};
    unsigned seed = 1;
    for (int step = 0; step < 200000; step++) {
        int64_t key = rand_r(&seed) % KEYS, value = step + 1, got = 0;
        late_entry_t entry;
        switch (rand_r(&seed) % 8) {
        case 0:
            memcpy(committed, now, sizeof(now));
            memcpy(table_before, in_table, sizeof(now));
            late_table_commit(&table);
            break;
        case 1:
            memcpy(now, committed, sizeof(now));
            memcpy(in_table, table_before, sizeof(now));
            late_table_roll_back(&table);
            break;
        case 2:
            if (!table.frozen && table.change_count == 0)
                late_table_freeze(&table);
            break;
        case 3:
            if (table.frozen && late_table_take(&table, &entry) &&
                entry.value > in_table[entry.key])
                in_table[entry.key] = entry.value;
            break;
        default:
            if (!late_table_put(&table, key, value))
                in_table[key] = value;
            now[key] = value;
        }
        key = rand_r(&seed) % KEYS;
        if (!late_table_get(&table, key, &got))
            got = in_table[key];
        assert_int_equal(got, now[key]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_put_is_found_and_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_key_has_all_the_values_that_were_added, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_frozen_generation_is_written_in_order_of_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_young_value_goes_before_the_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_room_the_caller_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_that_fails_takes_everything_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_is_what_an_array_would_be, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
