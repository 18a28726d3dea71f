/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/backoff.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* The system's, but for a signal that comes between as often as a test wants. */
static int interruptions;

ssize_t getrandom(void *to, size_t size, unsigned flags)
{
    if (interruptions > 0) {
        interruptions--;
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_getrandom, to, size, flags);
}

/* The longest delay that the next failure may give. */
static int longest(const backoff_t *backoff)
{
    int most = 0;
    for (uint64_t random = 0; random < 2000; random++) {
        backoff_t copy = *backoff;
        int delay_ms = backoff_next_ms(&copy, random);
        assert_in_range(delay_ms, 1, 1000);
        most = delay_ms > most ? delay_ms : most;
    }
    return most;
}

static void it_doubles_up_to_the_cap(void **state)
{
    static const int expected[] = {100, 200, 400, 800, 1000, 1000};
    backoff_t backoff = {.base_ms = 100, .cap_ms = 1000};
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(longest(&backoff), expected[i]);
        (void)backoff_next_ms(&backoff, i);
    }
}

static void a_success_begins_anew(void **state)
{
    backoff_t backoff = {.base_ms = 100, .cap_ms = 1000};
    (void)state;
    for (int i = 0; i < 5; i++)
        (void)backoff_next_ms(&backoff, 7);
    backoff_reset(&backoff);
    assert_int_equal(longest(&backoff), 100);
}

static void a_base_beyond_the_cap_is_the_cap(void **state)
{
    backoff_t backoff = {.base_ms = 5000, .cap_ms = 1000};
    (void)state;
    assert_int_equal(longest(&backoff), 1000);
}

static void random_bits_differ(void **state)
{
    (void)state;
    assert_true(random_bits() != random_bits());
}

static void random_bits_come_in_spite_of_signals(void **state)
{
    (void)state;
    uint64_t before = random_bits();
    interruptions = 3;
    assert_true(random_bits() != before);
    assert_int_equal(interruptions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_doubles_up_to_the_cap),
        cmocka_unit_test(a_success_begins_anew),
        cmocka_unit_test(a_base_beyond_the_cap_is_the_cap),
        cmocka_unit_test(random_bits_differ),
        cmocka_unit_test(random_bits_come_in_spite_of_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
