/* rooms: manager */
/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/event_range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { HEAD = 1000 };

static int probes;

/* Event p was made at 10 * p. */
static int newest(void *context, int64_t after, int64_t *newest_us)
{
    int64_t window = *(int64_t *)context;
    probes++;
    *newest_us = after >= HEAD ? -1 : 10 * (after + window < HEAD ? after + window : HEAD);
    return 0;
}

static int broken(void *context, int64_t after, int64_t *newest_us)
{
    (void)context;
    (void)after;
    (void)newest_us;
    return -7;
}

static void test_every_time_is_found(void **state)
{
    (void)state;
    int64_t window = 1;
    for (int64_t us = 0; us <= 10 * HEAD + 20; us++) {
        int64_t after = -1;
        assert_int_equal(event_range_bisect(0, HEAD, us, newest, &window, &after), 0);
        int64_t expected = us <= 10 ? 0 : (us + 9) / 10 - 1;
        assert_int_equal(after, expected < HEAD ? expected : HEAD);
    }
}

/* A wide look never skips an event that is wanted. */
static void test_a_wide_look_begins_early(void **state)
{
    (void)state;
    int64_t window = 50;
    for (int64_t us = 0; us <= 10 * HEAD; us += 7) {
        int64_t after = -1;
        assert_int_equal(event_range_bisect(0, HEAD, us, newest, &window, &after), 0);
        assert_true(10 * after < us || after == 0);
    }
}

static void test_it_asks_few_times(void **state)
{
    (void)state;
    int64_t window = 1, after;
    probes = 0;
    assert_int_equal(event_range_bisect(0, HEAD, 5000, newest, &window, &after), 0);
    assert_true(probes <= 10);
    assert_int_equal(event_range_bisect(0, 0, 5000, broken, NULL, &after), 0);
    assert_int_equal(event_range_bisect(0, HEAD, 5000, broken, NULL, &after), -7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_time_is_found),
        cmocka_unit_test(test_a_wide_look_begins_early),
        cmocka_unit_test(test_it_asks_few_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
