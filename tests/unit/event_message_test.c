/* rooms: bridge pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/event_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID   "01890a5d-ac96-774b-bcce-b302099a8057"
#define USER "01890a5d-ac96-774b-bcce-b302099a8058"

static bridge_conf_t conf = {.topology = {"userbus", "direct", "quorum", "user"},
                             .application_id = "app",
                             .full_headers = true};

static outgoing_event_t *event_with(text_t traceparent, text_t tracestate)
{
    uint8_t id[UUID_BYTES], user[UUID_BYTES];
    assert_true(uuid_parse(id, TEXT(ID)) && uuid_parse(user, TEXT(USER)));
    const msg_event_t message = {.position = 5,
                                 .kind = EVENT_USER_UPDATE,
                                 .sequence = 42,
                                 .created_us = INT64_C(1763933988123456),
                                 .id = {(const char *)id, UUID_BYTES},
                                 .user_id = {(const char *)user, UUID_BYTES},
                                 .request_id = TEXT("request"),
                                 .traceparent = traceparent,
                                 .tracestate = tracestate,
                                 .body = TEXT("{\"a\": 1}")};
    return outgoing_event_new(NULL, &message);
}

static void expect(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

static void expect_header(const broker_message_t *message, size_t at, const char *key,
                          const char *value)
{
    assert_true(at < message->header_count);
    expect(message->headers[at].key, key);
    expect(message->headers[at].value, value);
}

static void properties_and_headers_are_as_promised(void **state)
{
    outgoing_event_t *event = event_with(TEXT("00-trace"), TEXT("k=v"));
    event_message_t made;
    (void)state;
    event_message_make(&made, event, &conf, "/app");
    const broker_message_t *message = &made.message;
    expect(message->exchange, "userbus");
    expect(message->routing_key, "user");
    expect(message->content_type, "application/json");
    expect(message->app_id, "app");
    expect(message->message_id, ID);
    expect(message->type, "user.update");
    expect(message->correlation_id, "request");
    assert_int_equal(message->timestamp, 1763933988);
    assert_int_equal(message->delivery_mode, 2);
    expect(message->body, "{\"a\": 1}");
    expect_header(message, 0, "cloudEvents_id", ID);
    expect_header(message, 1, "cloudEvents_source", "/app");
    expect_header(message, 2, "cloudEvents_type", "user.update");
    expect_header(message, 3, "cloudEvents_subject", USER);
    expect_header(message, 4, "cloudEvents_time", "2025-11-23T21:39:48.123456Z");
    expect_header(message, 5, "cloudEvents_sequence", "42");
    expect_header(message, 6, "cloudEvents_partitionkey", USER);
    expect_header(message, 7, "cloudEvents_specversion", "1.0");
    expect_header(message, 8, "traceparent", "00-trace");
    expect_header(message, 9, "tracestate", "k=v");
    assert_int_equal(message->header_count, 10);
    free(event);
}

static void minimal_headers_keep_the_sequence_and_the_trace(void **state)
{
    outgoing_event_t *event = event_with(TEXT("00-trace"), (text_t){NULL, 0});
    event_message_t made;
    (void)state;
    conf.full_headers = false;
    event_message_make(&made, event, &conf, "/app");
    conf.full_headers = true;
    assert_int_equal(made.message.header_count, 2);
    expect_header(&made.message, 0, "cloudEvents_sequence", "42");
    expect_header(&made.message, 1, "traceparent", "00-trace");
    expect(made.message.message_id, ID);
    free(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_and_headers_are_as_promised),
        cmocka_unit_test(minimal_headers_keep_the_sequence_and_the_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
