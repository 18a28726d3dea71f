/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/dead_letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_S = 1764000000 }; /* 2025-11-24T16:00:00Z */

static const death_t unread = {.error = "bad-json",
                               .reason = "the body is not valid JSON",
                               .attempts = 1,
                               .first_failed_us = (int64_t)NOW_S * 1000000,
                               .processor = ""};
static dead_letter_t letter;

static void expect_text(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

static text_t header(const char *key)
{
    text_t value = {NULL, 0};
    for (size_t i = 0; i < letter.message.header_count; i++) {
        if (!text_equal(letter.message.headers[i].key, text_of(key)))
            continue;
        assert_null(value.data); /* never twice */
        value = letter.message.headers[i].value;
    }
    return value;
}

static void make(const broker_message_t *original)
{
    dead_letter_make(&letter, original, "user", &unread);
}

static void it_is_the_original_with_the_reason(void **state)
{
    const broker_header_t headers[] = {{TEXT("traceparent"), TEXT("00-1")}};
    const broker_message_t original = {.exchange = TEXT("userbus"),
                                       .routing_key = TEXT("user"),
                                       .content_type = TEXT("application/json"),
                                       .app_id = TEXT("app"),
                                       .message_id = TEXT("m-1"),
                                       .type = TEXT("user.create"),
                                       .correlation_id = TEXT("c-1"),
                                       .timestamp = 17,
                                       .delivery_mode = 1,
                                       .headers = headers,
                                       .header_count = 1,
                                       .body = TEXT("{")};
    (void)state;
    make(&original);
    const broker_message_t *message = &letter.message;
    expect_text(message->exchange, "");
    expect_text(message->routing_key, "user.dead");
    expect_text(message->content_type, "application/json");
    expect_text(message->app_id, "app");
    expect_text(message->message_id, "m-1");
    expect_text(message->type, "user.create");
    expect_text(message->correlation_id, "c-1");
    assert_int_equal(message->timestamp, 17);
    assert_int_equal(message->delivery_mode, 2);
    expect_text(message->body, "{");
    assert_int_equal(message->header_count, 7);
    expect_text(header("userbus_error"), "bad-json");
    expect_text(header("userbus_reason"), "the body is not valid JSON");
    expect_text(header("userbus_queue"), "user");
    expect_text(header("userbus_first_failed_at"), "2025-11-24T16:00:00.000000Z");
    expect_text(header("userbus_attempts"), "1");
    assert_int_equal(header("userbus_fingerprint").size, 16);
    assert_null(header("userbus_user").data);
    assert_null(header("userbus_sequence").data);
    expect_text(header("traceparent"), "00-1");
}

static void what_a_processor_gave_up_tells_whose_event_it_was(void **state)
{
    const broker_header_t headers[] = {{TEXT("userbus_attempts"), TEXT("3")},
                                       {TEXT("userbus_replayed_at"), TEXT("today")}};
    const broker_message_t original = {
        .type = TEXT("user.read"), .headers = headers, .header_count = 2};
    const death_t death = {.error = "processor-failed",
                           .reason = "no mail server",
                           .attempts = 5,
                           .first_failed_us = 1,
                           .processor = "exec:mail",
                           .user_key = TEXT("u-1"),
                           .sequence = 17};
    (void)state;
    dead_letter_make(&letter, &original, "user", &death);
    expect_text(header("userbus_attempts"), "5"); /* of this life */
    expect_text(header("userbus_user"), "u-1");
    expect_text(header("userbus_sequence"), "17");
    expect_text(header("userbus_reason"), "no mail server");
    expect_text(header("userbus_replayed_at"), "today");
    assert_int_equal(letter.message.header_count, 9);
}

static void equal_causes_have_equal_fingerprints(void **state)
{
    char one[FINGERPRINT_SIZE], other[FINGERPRINT_SIZE];
    (void)state;
    fingerprint_of(one, "processor-failed", TEXT("user.read"), "exec:mail");
    assert_string_equal(one, "fcf0d0043053049b"); /* it groups letters of all versions */
    fingerprint_of(other, "processor-timeout", TEXT("user.read"), "exec:mail");
    assert_string_not_equal(one, other);
    fingerprint_of(other, "processor-failed", TEXT("user.create"), "exec:mail");
    assert_string_not_equal(one, other);
    fingerprint_of(other, "processor-failed", TEXT("user.read"), "exec:post");
    assert_string_not_equal(one, other);
    fingerprint_of(other, "processor-failed", TEXT("user.readexec:"), "mail");
    assert_string_not_equal(one, other);
}

static void a_second_failure_keeps_the_time_of_the_first(void **state)
{
    const broker_header_t headers[] = {
        {TEXT("userbus_error"), TEXT("no-email")},
        {TEXT("userbus_first_failed_at"), TEXT("2020-01-01T00:00:00Z")},
    };
    const broker_message_t original = {.headers = headers, .header_count = 2};
    (void)state;
    make(&original);
    assert_int_equal(letter.message.header_count, 6);
    expect_text(header("userbus_error"), "bad-json");
    expect_text(header("userbus_first_failed_at"), "2020-01-01T00:00:00Z");
}

static void a_time_that_none_can_be_is_none(void **state)
{
    static const text_t values[] = {{"", 0}, {"2020-01-01T00:00:00.000000000Z", 30}};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const broker_header_t headers[] = {{TEXT("userbus_first_failed_at"), values[i]}};
        const broker_message_t original = {.headers = headers, .header_count = 1};
        make(&original);
        expect_text(header("userbus_first_failed_at"), "2025-11-24T16:00:00.000000Z");
    }
}

/* As many and as large as a broker may deliver: what is published must be within what the encoder and a frame
 * take, with our own headers among them. */
static void the_bounds_of_a_publish_are_kept(void **state)
{
    enum { COUNT = 64, VALUE_BYTES = 20000, FRAME_MAX = 131072 };
    char keys[COUNT][16], *value = malloc(VALUE_BYTES), *long_key = malloc(200);
    broker_header_t headers[COUNT];
    (void)state;
    assert_non_null(value);
    assert_non_null(long_key);
    memset(value, 'v', VALUE_BYTES);
    memset(long_key, 'k', 200);
    for (int i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof(keys[i]), "h%d", i);
        headers[i] = (broker_header_t){text_of(keys[i]), {value, 10}};
    }
    headers[0].key = (text_t){long_key, DEAD_LETTER_KEY_MAX_BYTES + 1};
    headers[1].key = (text_t){long_key, DEAD_LETTER_KEY_MAX_BYTES};
    for (int i = 2; i < 8; i++)
        headers[i].value.size = VALUE_BYTES;
    const broker_message_t original = {
        .headers = headers, .header_count = COUNT, .body = TEXT("b")};
    make(&original);
    assert_int_equal(letter.message.header_count, BROKER_PUBLISH_HEADERS_MAX);
    expect_text(header("userbus_error"), "bad-json");
    assert_int_equal(header("h2").size, VALUE_BYTES);
    assert_int_equal(header("h4").size, VALUE_BYTES);
    assert_null(header("h5").data); /* the fourth one of this size */
    assert_int_equal(header("h8").size, 10);
    text_buffer_t out = {0};
    broker_encode_publish(&out, 1, FRAME_MAX, &letter.message);
    assert_true(out.size < FRAME_MAX);
    text_buffer_fini(&out);
    free(value);
    free(long_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_original_with_the_reason),
        cmocka_unit_test(what_a_processor_gave_up_tells_whose_event_it_was),
        cmocka_unit_test(equal_causes_have_equal_fingerprints),
        cmocka_unit_test(a_second_failure_keeps_the_time_of_the_first),
        cmocka_unit_test(a_time_that_none_can_be_is_none),
        cmocka_unit_test(the_bounds_of_a_publish_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
