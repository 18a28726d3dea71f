/* rooms: manager */
/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/verification.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void add(verification_t *self, uint8_t id, int64_t created_us, event_place_t place)
{
    const uint8_t whole[ID_BYTES] = {id};
    verification_add(self, whole, EVENT_USER_READ, created_us, place);
}

static void test_hours_in_order_whatever_comes(void **state)
{
    (void)state;
    static const int64_t hours[] = {5, 5, 7, 6, 5, 1, 7, 0};
    static const int64_t sorted[] = {0, 1, 5, 6, 7}, counts[] = {1, 1, 3, 1, 2};
    verification_t self = {0};
    for (size_t i = 0; i < 8; i++)
        add(&self, (uint8_t)i, hours[i] * VERIFY_HOUR_US + 17, PLACE_PROCESSED);
    assert_int_equal(self.hour_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(self.hours[i].hour_us, sorted[i] * VERIFY_HOUR_US);
        assert_int_equal(self.hours[i].counts[EVENT_USER_READ][PLACE_PROCESSED], counts[i]);
        assert_int_equal(self.hours[i].counts[EVENT_USER_CREATE][PLACE_PROCESSED], 0);
    }
    assert_int_equal(self.totals[PLACE_PROCESSED], 8);
    for (int64_t i = 0; i < 500; i++)
        add(&self, 1, (1000 - i) * VERIFY_HOUR_US, PLACE_DEAD);
    assert_int_equal(self.hour_count, 505);
    verification_fini(&self);
}

static void test_only_the_unseen_are_suspects(void **state)
{
    (void)state;
    verification_t self = {0};
    for (int place = 0; place < PLACE_COUNT; place++)
        add(&self, (uint8_t)place, 0, (event_place_t)place);
    assert_int_equal(self.suspect_count, 1);
    assert_int_equal(self.suspects[0].id[0], PLACE_UNSEEN);
    verification_fini(&self);
}

static void test_a_cleared_suspect_counts_where_it_is(void **state)
{
    (void)state;
    verification_t self = {0};
    for (uint8_t i = 0; i < 3; i++)
        add(&self, i, VERIFY_HOUR_US, PLACE_UNSEEN);
    verification_clear(&self, 1, PLACE_WAITING);
    assert_int_equal(self.suspect_count, 2);
    assert_int_equal(self.suspects[0].id[0], 0);
    assert_int_equal(self.suspects[1].id[0], 2);
    assert_int_equal(self.totals[PLACE_UNSEEN], 2);
    assert_int_equal(self.totals[PLACE_WAITING], 1);
    assert_int_equal(self.hours[0].counts[EVENT_USER_READ][PLACE_WAITING], 1);
    verification_fini(&self);
}

static void test_suspects_have_a_bound(void **state)
{
    (void)state;
    verification_t self = {0};
    for (int i = 0; i < VERIFY_SUSPECTS_MAX + 3; i++)
        add(&self, 1, 0, PLACE_UNSEEN);
    assert_int_equal(self.suspect_count, VERIFY_SUSPECTS_MAX);
    assert_int_equal(self.totals[PLACE_UNSEEN], VERIFY_SUSPECTS_MAX + 3);
    verification_fini(&self);
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        int unsent, unseen, parked, discarded;
        queue_view_t queue;
        verdict_t verdict;
        int64_t missing;
    } rows[] = {
        {0, 0, 0, 0, {true, 0, 0, false}, VERDICT_COMPLETE, 0},
        {0, 0, 0, 0, {false, 0, 0, false}, VERDICT_COMPLETE, 0},
        {0,
         0,
         0,
         0,
         {true, 9, 1, false},
         VERDICT_COMPLETE,
         0}, /* others' messages, or replayed ones */
        {1, 0, 0, 0, {true, 0, 0, true}, VERDICT_ON_THE_WAY, 0},
        {0, 2, 0, 0, {false, 0, 0, true}, VERDICT_ON_THE_WAY, 0},
        {0, 2, 0, 0, {true, 2, 0, false}, VERDICT_ON_THE_WAY, 0},
        {0, 2, 0, 0, {true, 5, 1, false}, VERDICT_ON_THE_WAY, 0},
        {0, 2, 0, 0, {true, 0, 1, false}, VERDICT_ON_THE_WAY, 0}, /* a worker may hold both */
        {0, 2, 0, 0, {true, 1, 1, false}, VERDICT_ON_THE_WAY, 0},
        {0, 2, 0, 0, {true, 1, 0, false}, VERDICT_SOME_MISSING, 1},
        {0, 2, 0, 0, {true, 0, 0, false}, VERDICT_MISSING, 2},
        {0, 2, 0, 0, {true, 0, 1, true}, VERDICT_MISSING, 2},
        {3, 2, 0, 0, {true, 0, 1, true}, VERDICT_MISSING, 2},
        {0, 0, 1, 0, {true, 0, 0, true}, VERDICT_ON_THE_WAY, 0},
        {0, 0, 0, 4, {true, 0, 0, true}, VERDICT_COMPLETE, 0},
        {0, 2, 9, 9, {true, 0, 0, false}, VERDICT_MISSING, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        verification_t self = {0};
        int64_t missing = -1;
        for (int n = 0; n < rows[i].unsent; n++)
            add(&self, 1, 0, PLACE_UNSENT);
        for (int n = 0; n < rows[i].unseen; n++)
            add(&self, 1, 0, PLACE_UNSEEN);
        for (int n = 0; n < rows[i].parked; n++)
            add(&self, 1, 0, PLACE_PARKED);
        for (int n = 0; n < rows[i].discarded; n++)
            add(&self, 1, 0, PLACE_DISCARDED);
        verdict_t verdict = verification_verdict(&self, &rows[i].queue, &missing);
        if (verdict != rows[i].verdict || missing != rows[i].missing)
            fail_msg("row %zu: %d, %lld", i, (int)verdict, (long long)missing);
        verification_fini(&self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hours_in_order_whatever_comes),
        cmocka_unit_test(test_only_the_unseen_are_suspects),
        cmocka_unit_test(test_a_cleared_suspect_counts_where_it_is),
        cmocka_unit_test(test_suspects_have_a_bound),
        cmocka_unit_test(test_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
