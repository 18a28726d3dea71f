/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/stored_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/broker_decode.h" /* as many headers as may arrive */

_Static_assert((int)STORED_HEADERS_MAX == (int)BROKER_RECEIVED_HEADERS_MAX, "all of them are kept");

static text_buffer_t packed;
static stored_message_t stored;

static void expect_text(text_t got, text_t expected)
{
    if (!text_equal(got, expected))
        fail_msg("'%.*s' instead of '%.*s'", (int)got.size, got.data, (int)expected.size,
                 expected.data);
}

static void what_is_stored_comes_back_whole(void **state)
{
    const broker_header_t headers[] = {
        {TEXT("traceparent"), TEXT("00-1")}, {TEXT(""), TEXT("")}, {TEXT("bytes"), {"a\0\xff", 3}}};
    const broker_message_t original = {.content_type = TEXT("application/json"),
                                       .app_id = TEXT("app"),
                                       .message_id = TEXT("m-1"),
                                       .type = TEXT("user.create"),
                                       .correlation_id = TEXT("c-1"),
                                       .timestamp = UINT64_MAX,
                                       .headers = headers,
                                       .header_count = 3};
    (void)state;
    text_buffer_clear(&packed);
    stored_message_pack(&packed, &original);
    assert_true(stored_message_unpack(&stored, text_buffer_view(&packed), TEXT("body")));
    const broker_message_t *message = &stored.message;
    expect_text(message->content_type, original.content_type);
    expect_text(message->app_id, original.app_id);
    expect_text(message->message_id, original.message_id);
    expect_text(message->type, original.type);
    expect_text(message->correlation_id, original.correlation_id);
    expect_text(message->body, TEXT("body"));
    assert_true(message->timestamp == UINT64_MAX);
    assert_int_equal(message->header_count, 3);
    for (int i = 0; i < 3; i++) {
        expect_text(message->headers[i].key, headers[i].key);
        expect_text(message->headers[i].value, headers[i].value);
    }
}

static void a_message_without_anything_is_one_too(void **state)
{
    const broker_message_t nothing = {.header_count = 0};
    (void)state;
    text_buffer_clear(&packed);
    stored_message_pack(&packed, &nothing);
    assert_true(stored_message_unpack(&stored, text_buffer_view(&packed), TEXT("")));
    assert_int_equal(stored.message.header_count, 0);
    assert_int_equal(stored.message.message_id.size, 0);
    assert_int_equal(stored.message.timestamp, 0);
}

static void as_many_headers_as_arrive_fit(void **state)
{
    broker_header_t headers[STORED_HEADERS_MAX];
    (void)state;
    for (int i = 0; i < STORED_HEADERS_MAX; i++)
        headers[i] = (broker_header_t){TEXT("key"), TEXT("value")};
    const broker_message_t full = {.headers = headers, .header_count = STORED_HEADERS_MAX};
    text_buffer_clear(&packed);
    stored_message_pack(&packed, &full);
    assert_true(stored_message_unpack(&stored, text_buffer_view(&packed), TEXT("")));
    assert_int_equal(stored.message.header_count, STORED_HEADERS_MAX);
}

static void more_headers_than_arrive_are_refused(void **state)
{
    enum { ITEMS = 6 + 2 * (STORED_HEADERS_MAX + 1) };
    unsigned char bytes[3 + ITEMS] = {0xdc, 0, ITEMS};
    (void)state;
    memset(bytes + 3, 0xa0, ITEMS); /* texts of nothing */
    bytes[3 + 5] = 0;               /* the timestamp */
    assert_false(stored_message_unpack(&stored, (text_t){(char *)bytes, sizeof(bytes)}, TEXT("")));
    bytes[2] -= 2;
    assert_true(
        stored_message_unpack(&stored, (text_t){(char *)bytes, sizeof(bytes) - 2}, TEXT("")));
    assert_int_equal(stored.message.header_count, STORED_HEADERS_MAX);
}

/* Every part of one is none, and neither is one with something behind it. */
static void what_is_no_such_array_is_refused(void **state)
{
    const broker_header_t headers[] = {{TEXT("key"), TEXT("value")}};
    const broker_message_t original = {
        .type = TEXT("user.create"), .timestamp = 17, .headers = headers, .header_count = 1};
    static const text_t others[] = {
        {"", 0},
        {"\xc0", 1},                                 /* nil */
        {"\x95\xa0\xa0\xa0\xa0\xa0", 6},             /* too short */
        {"\x96\xa0\xa0\xa0\xa0\xa0\xa0", 7},         /* the timestamp is a text */
        {"\x96\xa0\xa0\xa0\xa0\x01\x01", 7},         /* a text is a number */
        {"\x97\xa0\xa0\xa0\xa0\xa0\x01\xa0", 8},     /* a key without a value */
        {"\x98\xa0\xa0\xa0\xa0\xa0\x01\xa0\x01", 9}, /* a value is a number */
        {"\x98\xa0\xa0\xa0\xa0\xa0\x01\x01\xa0", 9}, /* a key is a number */
        {"\xdd\xff\xff\xff\xff\xa0", 6},             /* more than there is memory */
    };
    (void)state;
    text_buffer_clear(&packed);
    stored_message_pack(&packed, &original);
    for (size_t size = 0; size < packed.size; size++)
        assert_false(stored_message_unpack(&stored, (text_t){packed.data, size}, TEXT("")));
    text_add(&packed, TEXT("x"));
    assert_false(stored_message_unpack(&stored, text_buffer_view(&packed), TEXT("")));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(stored_message_unpack(&stored, others[i], TEXT("")));
}

static int tear_down(void **state)
{
    (void)state;
    text_buffer_fini(&packed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stored_comes_back_whole),
        cmocka_unit_test(a_message_without_anything_is_one_too),
        cmocka_unit_test(as_many_headers_as_arrive_fit),
        cmocka_unit_test(more_headers_than_arrive_are_refused),
        cmocka_unit_test(what_is_no_such_array_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
