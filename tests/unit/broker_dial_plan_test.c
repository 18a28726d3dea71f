/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_dial_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/errors.h"

enum { NOW = 5000000 };

static broker_dial_plan_t plan;

/* A delay is 1 + random % limit: this gives the whole limit. */
static uint64_t longest(int limit_ms)
{
    return (uint64_t)limit_ms - 1;
}

static void each_broker_is_somewhere_in_the_order(void **state)
{
    (void)state;
    for (size_t count = 1; count <= BROKERS_MAX; count++) {
        for (uint64_t seed = 0; seed < 100; seed++) {
            bool seen[BROKERS_MAX] = {0};
            broker_dial_plan_init(&plan, count, seed);
            for (size_t i = 0; i < count; i++) {
                assert_true(plan.order[i] < count && !seen[plan.order[i]]);
                seen[plan.order[i]] = true;
            }
        }
    }
}

/* Three brokers have six orders; of 6,000 seeds each should make about 1,000. */
static void the_order_is_shuffled_fairly(void **state)
{
    int seen[27] = {0}, orders = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 6000; seed++) {
        broker_dial_plan_init(&plan, 3, seed * UINT64_C(0x9E3779B97F4A7C15));
        seen[plan.order[0] * 9 + plan.order[1] * 3 + plan.order[2]]++;
    }
    for (int i = 0; i < 27; i++) {
        orders += seen[i] > 0;
        assert_true(seen[i] == 0 || (seen[i] > 800 && seen[i] < 1200));
    }
    assert_int_equal(orders, 6);
}

static void one_that_fails_goes_to_the_end(void **state)
{
    (void)state;
    broker_dial_plan_init(&plan, 3, 7);
    size_t first = plan.order[0], second = plan.order[1], third = plan.order[2];
    assert_int_equal(broker_dial_plan_next(&plan, NOW), first);
    assert_int_equal(broker_dial_plan_failed(&plan, first, ERR_BROKER_DOWN, NOW, longest(100)),
                     100);
    assert_int_equal(broker_dial_plan_next(&plan, NOW), second);
    broker_dial_plan_failed(&plan, second, ERR_BROKER_DOWN, NOW, longest(50));
    assert_int_equal(broker_dial_plan_next(&plan, NOW), third);
    /* all were tried at once; then each when its time has come, in the order of their turns */
    broker_dial_plan_failed(&plan, third, ERR_BROKER_DOWN, NOW, longest(70));
    assert_int_equal(broker_dial_plan_next(&plan, NOW), -1);
    assert_int_equal(broker_dial_plan_due_ms(&plan), NOW + 50);
    assert_int_equal(broker_dial_plan_next(&plan, NOW + 49), -1);
    assert_int_equal(broker_dial_plan_next(&plan, NOW + 50), second);
    assert_int_equal(broker_dial_plan_next(&plan, NOW + 100), first);
}

static void the_delay_doubles_up_to_the_cap(void **state)
{
    static const int limits[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    (void)state;
    broker_dial_plan_init(&plan, 1, 1);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        broker_dial_plan_t other = plan;
        assert_int_equal(
            broker_dial_plan_failed(&plan, 0, ERR_BROKER_DOWN, NOW, longest(limits[i])), limits[i]);
        /* full jitter: as little as a millisecond, and never more than the limit */
        assert_int_equal(
            broker_dial_plan_failed(&other, 0, ERR_BROKER_DOWN, NOW, (uint64_t)limits[i]), 1);
    }
}

static void each_has_a_backoff_of_its_own(void **state)
{
    (void)state;
    broker_dial_plan_init(&plan, 2, 1);
    for (int i = 0; i < 10; i++)
        broker_dial_plan_failed(&plan, 0, ERR_BROKER_DOWN, NOW, longest(5000));
    assert_int_equal(broker_dial_plan_failed(&plan, 1, ERR_BROKER_DOWN, NOW, longest(100)), 100);
}

static void a_refusal_waits_the_cap_at_once(void **state)
{
    static const int errors[] = {ERR_BROKER_REFUSED, ERR_TOPOLOGY};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        broker_dial_plan_init(&plan, 1, 1);
        assert_int_equal(broker_dial_plan_failed(&plan, 0, errors[i], NOW, 0), DIAL_CAP_MS);
        assert_int_equal(broker_dial_plan_due_ms(&plan), NOW + DIAL_CAP_MS);
    }
}

static void a_connection_that_held_begins_the_backoff_anew(void **state)
{
    (void)state;
    broker_dial_plan_init(&plan, 1, 1);
    for (int i = 0; i < 10; i++)
        broker_dial_plan_failed(&plan, 0, ERR_BROKER_DOWN, NOW, 0);
    broker_dial_plan_connected(&plan, 0, NOW);
    broker_dial_plan_t short_lived = plan;
    assert_int_equal(broker_dial_plan_lost(&short_lived, 0, ERR_BROKER_DOWN, NOW + DIAL_CAP_MS - 1,
                                           longest(5000)),
                     5000);
    assert_int_equal(
        broker_dial_plan_lost(&plan, 0, ERR_BROKER_DOWN, NOW + DIAL_CAP_MS, longest(100)), 100);
}

static void a_lost_broker_lets_the_others_go_first(void **state)
{
    (void)state;
    broker_dial_plan_init(&plan, 2, 3);
    size_t first = plan.order[0], second = plan.order[1];
    broker_dial_plan_connected(&plan, first, NOW);
    broker_dial_plan_lost(&plan, first, ERR_BROKER_DOWN, NOW + 100000, 0);
    assert_int_equal(broker_dial_plan_next(&plan, NOW + 100001), second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broker_is_somewhere_in_the_order),
        cmocka_unit_test(the_order_is_shuffled_fairly),
        cmocka_unit_test(one_that_fails_goes_to_the_end),
        cmocka_unit_test(the_delay_doubles_up_to_the_cap),
        cmocka_unit_test(each_has_a_backoff_of_its_own),
        cmocka_unit_test(a_refusal_waits_the_cap_at_once),
        cmocka_unit_test(a_connection_that_held_begins_the_backoff_anew),
        cmocka_unit_test(a_lost_broker_lets_the_others_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
