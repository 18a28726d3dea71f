/* rooms: store pipeline proto PkgConfig::JANSSON */
/* SPDX-License-Identifier: Apache-2.0
 * store_status_test.c - the object is read back with jansson. */
#include "actors/store/store_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

static store_status_t status;
static outbox_t outbox;

static json_t *written(int64_t oldest_us)
{
    text_buffer_t out = {0};
    const store_view_t view = {.outbox = &outbox,
                               .lanes = {2, 1, 30, 400},
                               .oldest_us = oldest_us,
                               .retention_s = 60,
                               .now_us = 9500000,
                               .now_ms = 1500};
    store_status_json(&status, &out, &view);
    json_t *json = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    text_buffer_fini(&out);
    return json;
}

static void expect(const json_t *object, const char *name, json_int_t value)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_integer(member))
        fail_msg("%s is no number", name);
    assert_int_equal(json_integer_value(member), value);
}

static int set_up(void **state)
{
    static const int64_t none_confirmed[PARTITION_COUNT];
    (void)state;
    memset(&status, 0, sizeof(status));
    outbox_init(&outbox, (outbox_load_t){1000, 2000}, 2, 0, none_confirmed);
    return 0;
}

static void it_tells_of_the_outbox_and_the_lanes(void **state)
{
    (void)state;
    outbox_append(&outbox, 0, 10);
    outbox_append(&outbox, 1, 20);
    outbox_confirm(&outbox, 0, 1);
    outbox_park(&outbox, 3, 7);
    json_t *json = written(5000000);
    const json_t *told = json_object_get(json, "outbox");
    expect(told, "events", 5);
    expect(told, "bytes", 37);
    expect(told, "max_events", 1000);
    expect(told, "max_bytes", 2000);
    expect(told, "oldest_age_s", 4);
    expect(told, "head", 2);
    expect(told, "low", 1);
    expect(told, "retention_s", 60);
    assert_true(json_is_false(json_object_get(told, "full")));
    told = json_object_get(json, "lanes");
    expect(told, "retrying", 2);
    expect(told, "quarantined", 1);
    expect(told, "events", 30);
    expect(told, "bytes", 400);
    json_decref(json);
    json = written(-1);
    assert_true(json_is_null(json_object_get(json_object_get(json, "outbox"), "oldest_age_s")));
    json_decref(json);
}

static void it_tells_what_a_bridge_last_said(void **state)
{
    char state_text[] = "blocked", broker[] = "host:5672", trouble[] = "no leader";
    (void)state;
    msg_bridge_state_t said = {.bridge = 1,
                               .state = text_of(state_text),
                               .broker = text_of(broker),
                               .trouble = text_of(trouble),
                               .blocked = 1,
                               .held = 4,
                               .in_flight = 3,
                               .lanes_parked = 2,
                               .published = 9,
                               .confirmed = 6,
                               .returned = 1,
                               .nacked = 8};
    store_status_hear(&status, &said, 1000);
    memset(state_text, 'x', sizeof(state_text)); /* the message's frame goes */
    memset(broker, 'x', sizeof(broker));
    memset(trouble, 'x', sizeof(trouble));
    outbox_append(&outbox, 1, 20);
    json_t *json = written(-1);
    const json_t *bridges = json_object_get(json, "bridges");
    assert_int_equal(json_array_size(bridges), 2);
    const json_t *silent = json_array_get(bridges, 0), *told = json_array_get(bridges, 1);
    assert_string_equal(json_string_value(json_object_get(silent, "state")), "unknown");
    assert_null(json_object_get(silent, "heard_ms_ago"));
    assert_string_equal(json_string_value(json_object_get(told, "state")), "blocked");
    assert_string_equal(json_string_value(json_object_get(told, "broker")), "host:5672");
    assert_string_equal(json_string_value(json_object_get(told, "trouble")), "no leader");
    assert_string_equal(json_string_value(json_object_get(silent, "trouble")), "");
    assert_true(json_is_true(json_object_get(told, "blocked")));
    expect(told, "bridge", 1);
    expect(told, "waiting", 1);
    expect(told, "held", 4);
    expect(told, "in_flight", 3);
    expect(told, "lanes_parked", 2);
    expect(told, "published", 9);
    expect(told, "confirmed", 6);
    expect(told, "returned", 1);
    expect(told, "nacked", 8);
    expect(told, "heard_ms_ago", 500);
    json_decref(json);
}

static void a_bridge_may_be_without_a_broker(void **state)
{
    const msg_bridge_state_t said = {.state = TEXT("connecting")};
    (void)state;
    store_status_hear(&status, &said, 1000);
    json_t *json = written(-1);
    const json_t *told = json_array_get(json_object_get(json, "bridges"), 0);
    assert_string_equal(json_string_value(json_object_get(told, "state")), "connecting");
    assert_string_equal(json_string_value(json_object_get(told, "broker")), "");
    json_decref(json);
}

static void a_bridge_that_there_cannot_be_is_not_heard(void **state)
{
    const msg_bridge_state_t said = {.bridge = OUTBOX_BRIDGES_MAX, .state = TEXT("connected")};
    const store_status_t before = status;
    (void)state;
    store_status_hear(&status, &said, 1000);
    assert_memory_equal(&status, &before, sizeof(status));
}

/* The wall clock was set back. */
static void an_event_of_the_future_has_no_age(void **state)
{
    (void)state;
    json_t *json = written(10000000);
    expect(json_object_get(json, "outbox"), "oldest_age_s", 0);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_tells_of_the_outbox_and_the_lanes, set_up),
        cmocka_unit_test_setup(it_tells_what_a_bridge_last_said, set_up),
        cmocka_unit_test_setup(a_bridge_may_be_without_a_broker, set_up),
        cmocka_unit_test_setup(a_bridge_that_there_cannot_be_is_not_heard, set_up),
        cmocka_unit_test_setup(an_event_of_the_future_has_no_age, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
