/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { BEGAN = 1000000 };

static broker_pulse_t pulse;

static int set_up(void **state)
{
    (void)state;
    broker_pulse_init(&pulse, 10, BEGAN);
    return 0;
}

static void the_verdict_falls_within_twice_the_heartbeat(void **state)
{
    (void)state;
    for (int heartbeat_s = 1; heartbeat_s <= 300; heartbeat_s++) {
        broker_pulse_init(&pulse, heartbeat_s, BEGAN);
        int64_t limit_ms = broker_pulse_limit_ms(&pulse);
        assert_true(limit_ms + BROKER_IDLE_MAX_MS <= 2000 * heartbeat_s);
        assert_true(limit_ms >
                    1000 * heartbeat_s); /* and never before two heartbeats are missing */
    }
}

static void silence_is_noticed_and_bytes_end_it(void **state)
{
    (void)state;
    int64_t limit_ms = broker_pulse_limit_ms(&pulse);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms - 1), PULSE_ALIVE);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms), PULSE_SILENT);
    broker_pulse_received(&pulse, BEGAN + 5);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms), PULSE_ALIVE);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + 5 + limit_ms), PULSE_SILENT);
}

static void a_peer_that_takes_nothing_is_noticed(void **state)
{
    (void)state;
    int64_t limit_ms = broker_pulse_limit_ms(&pulse);
    broker_pulse_stuck(&pulse, BEGAN + 100);
    broker_pulse_stuck(&pulse, BEGAN + 200); /* the first time counts */
    broker_pulse_received(&pulse, BEGAN + limit_ms);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms + 99), PULSE_ALIVE);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms + 100), PULSE_STUCK);
}

static void taking_a_little_is_life(void **state)
{
    (void)state;
    int64_t limit_ms = broker_pulse_limit_ms(&pulse);
    broker_pulse_stuck(&pulse, BEGAN);
    broker_pulse_sent(&pulse, false, BEGAN + 300);
    broker_pulse_stuck(&pulse, BEGAN + 300);
    broker_pulse_received(&pulse, BEGAN + limit_ms);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms + 299), PULSE_ALIVE);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms + 300), PULSE_STUCK);
    broker_pulse_sent(&pulse, true, BEGAN + limit_ms + 300);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + limit_ms + 300), PULSE_ALIVE);
    broker_pulse_received(&pulse, BEGAN + 10 * limit_ms);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + 10 * limit_ms), PULSE_ALIVE);
}

static void an_alarm_excuses_not_taking_but_not_silence(void **state)
{
    (void)state;
    int64_t limit_ms = broker_pulse_limit_ms(&pulse), hour_ms = 3600000;
    broker_pulse_stuck(&pulse, BEGAN);
    broker_pulse_set_blocked(&pulse, true, BEGAN + 1);
    broker_pulse_received(&pulse, BEGAN + hour_ms);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + hour_ms), PULSE_ALIVE);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + hour_ms + limit_ms), PULSE_SILENT);
    broker_pulse_set_blocked(&pulse, false, BEGAN + hour_ms + 1); /* the whole limit again */
    broker_pulse_received(&pulse, BEGAN + hour_ms + limit_ms);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + hour_ms + limit_ms), PULSE_ALIVE);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + hour_ms + 1 + limit_ms), PULSE_STUCK);
}

static void an_alarm_with_nothing_to_send_leaves_nothing_stuck(void **state)
{
    (void)state;
    broker_pulse_set_blocked(&pulse, true, BEGAN);
    broker_pulse_set_blocked(&pulse, false, BEGAN + 1);
    broker_pulse_received(&pulse, BEGAN + 3600000);
    assert_int_equal(broker_pulse_judge(&pulse, BEGAN + 3600000), PULSE_ALIVE);
}

static void a_sign_of_life_is_due_each_half_heartbeat(void **state)
{
    (void)state;
    assert_false(broker_pulse_beat_is_due(&pulse, BEGAN + 4999));
    assert_true(broker_pulse_beat_is_due(&pulse, BEGAN + 5000));
    broker_pulse_sent(&pulse, true, BEGAN + 5000);
    assert_false(broker_pulse_beat_is_due(&pulse, BEGAN + 9999));
    assert_true(broker_pulse_beat_is_due(&pulse, BEGAN + 10000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_verdict_falls_within_twice_the_heartbeat, set_up),
        cmocka_unit_test_setup(silence_is_noticed_and_bytes_end_it, set_up),
        cmocka_unit_test_setup(a_peer_that_takes_nothing_is_noticed, set_up),
        cmocka_unit_test_setup(taking_a_little_is_life, set_up),
        cmocka_unit_test_setup(an_alarm_excuses_not_taking_but_not_silence, set_up),
        cmocka_unit_test_setup(an_alarm_with_nothing_to_send_leaves_nothing_stuck, set_up),
        cmocka_unit_test_setup(a_sign_of_life_is_due_each_half_heartbeat, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
