/* rooms: bridge pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/bridge_trouble.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BEGAN = 1000000, TIMEOUT_S = 5, TIMEOUT_MS = 5000 };

static bridge_trouble_t trouble;
static const detail_t away = {"the broker is away"};

static int set_up(void **state)
{
    (void)state;
    bridge_trouble_init(&trouble, TIMEOUT_S);
    bridge_trouble_heard(&trouble, BEGAN);
    return 0;
}

/* Also whether that is news. */
static void expect(const char *part, bool changed)
{
    if (part == NULL)
        assert_string_equal(trouble.why.text, "");
    else
        assert_non_null(strstr(trouble.why.text, part));
    assert_int_equal(trouble.changed, changed);
    trouble.changed = false;
}

static void it_has_a_default(void **state)
{
    (void)state;
    bridge_trouble_init(&trouble, 0);
    assert_int_equal(trouble.timeout_s, CONFIRM_TIMEOUT_S);
    expect(NULL, false);
}

static void a_connection_ends_what_its_absence_was(void **state)
{
    (void)state;
    bridge_trouble_lost(&trouble, &away);
    expect("away", true);
    bridge_trouble_failed(&trouble, &away);
    expect("away", true);
    bridge_trouble_connected(&trouble);
    expect(NULL, true);
    bridge_trouble_connected(&trouble);
    bridge_trouble_confirmed(&trouble);
    expect(NULL, false);
    bridge_trouble_lost(&trouble, &away); /* and nobody was told meanwhile */
    bridge_trouble_connected(&trouble);
    expect(NULL, true);
}

static void silence_holds_until_something_is_confirmed(void **state)
{
    (void)state;
    assert_false(bridge_trouble_is_silent(&trouble, BEGAN + TIMEOUT_MS - 1, "host:5672"));
    expect(NULL, false);
    assert_true(bridge_trouble_is_silent(&trouble, BEGAN + TIMEOUT_MS, "host:5672"));
    expect("host:5672 answers and confirmed nothing for 5 s", true);
    bridge_trouble_lost(&trouble, &away);
    bridge_trouble_connected(&trouble);
    expect("quorum_status", false);
    bridge_trouble_confirmed(&trouble);
    expect(NULL, true);
    bridge_trouble_heard(&trouble, BEGAN + TIMEOUT_MS);
    assert_false(bridge_trouble_is_silent(&trouble, BEGAN + 2 * TIMEOUT_MS - 1, "host:5672"));
}

static void a_broker_that_is_away_meanwhile_is_told(void **state)
{
    (void)state;
    assert_true(bridge_trouble_is_silent(&trouble, BEGAN + TIMEOUT_MS, "host:5672"));
    bridge_trouble_failed(&trouble, &away);
    expect("away", true);
    bridge_trouble_connected(&trouble);
    expect(NULL, true);
}

static void refusals_are_told_once_in_a_timeout(void **state)
{
    (void)state;
    assert_false(bridge_trouble_refused(&trouble, BEGAN, "refused", false));
    assert_false(bridge_trouble_refused(&trouble, BEGAN + TIMEOUT_MS - 1, "refused", false));
    expect(NULL, false);
    assert_true(bridge_trouble_refused(&trouble, BEGAN + TIMEOUT_MS, "refused", false));
    expect("all came back (refused); is the queue full, or without a leader?", true);
    assert_false(bridge_trouble_refused(&trouble, BEGAN + TIMEOUT_MS + 1, "refused", false));
    assert_true(bridge_trouble_refused(&trouble, BEGAN + 2 * TIMEOUT_MS, "NO_ROUTE", true));
    expect("(NO_ROUTE); is the queue bound", true);
}

static void one_confirm_shows_that_it_is_not_all(void **state)
{
    (void)state;
    assert_false(bridge_trouble_refused(&trouble, BEGAN, "refused", false));
    bridge_trouble_confirmed(&trouble);
    assert_false(bridge_trouble_refused(&trouble, BEGAN + TIMEOUT_MS, "refused", false));
    expect(NULL, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_has_a_default, set_up),
        cmocka_unit_test_setup(a_connection_ends_what_its_absence_was, set_up),
        cmocka_unit_test_setup(silence_holds_until_something_is_confirmed, set_up),
        cmocka_unit_test_setup(a_broker_that_is_away_meanwhile_is_told, set_up),
        cmocka_unit_test_setup(refusals_are_told_once_in_a_timeout, set_up),
        cmocka_unit_test_setup(one_confirm_shows_that_it_is_not_all, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
