/* rooms: pipeline proto PkgConfig::RABBITMQ */
/* SPDX-License-Identifier: Apache-2.0
 * The frames of a publish, taken apart by hand (AMQP 0-9-1 section 4.2). */
#include "pipeline/broker_encode.h"

#include <amqp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRAME_MAX = 4096, METHOD = 1, HEADER = 2, BODY = 3 };

typedef struct frame_view {
    unsigned type, channel;
    const unsigned char *payload;
    size_t size;
} frame_view_t;

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* Takes the frame at *offset, checks its end mark and moves on. */
static frame_view_t next_frame(const text_buffer_t *from, size_t *offset)
{
    const unsigned char *at = (const unsigned char *)from->data + *offset;
    assert_true(from->size - *offset >= 8);
    frame_view_t frame = {at[0], (unsigned)number(at + 1, 2), at + 7, (size_t)number(at + 3, 4)};
    assert_true(frame.size + 8 <= from->size - *offset);
    assert_true(frame.size + 8 <= FRAME_MAX);
    assert_int_equal(frame.payload[frame.size], 0xce);
    *offset += frame.size + 8;
    return frame;
}

static bool holds(const frame_view_t *frame, const char *text)
{
    return memmem(frame->payload, frame->size, text, strlen(text)) != NULL;
}

static void a_publish_is_a_method_a_header_and_a_body(void **state)
{
    const broker_header_t headers[] = {{TEXT("cloudEvents_id"), TEXT("the-id")}};
    const broker_message_t message = {.exchange = TEXT("ex"),
                                      .routing_key = TEXT("user"),
                                      .content_type = TEXT("application/json"),
                                      .message_id = TEXT("m-1"),
                                      .delivery_mode = 2,
                                      .headers = headers,
                                      .header_count = 1,
                                      .body = TEXT("{}")};
    text_buffer_t out = {0};
    size_t offset = 0;
    (void)state;
    broker_encode_publish(&out, 7, FRAME_MAX, &message);
    frame_view_t method = next_frame(&out, &offset);
    assert_int_equal(method.type, METHOD);
    assert_int_equal(method.channel, 7);
    assert_int_equal(number(method.payload, 4), 0x003c0028); /* basic.publish */
    /* ticket, "ex", "user", then the bit mandatory */
    assert_memory_equal(method.payload + 6, "\002ex\004user\001", 9);
    assert_int_equal(method.size, 15);
    frame_view_t header = next_frame(&out, &offset);
    assert_int_equal(header.type, HEADER);
    assert_int_equal(number(header.payload, 2), 60);
    assert_int_equal(number(header.payload + 4, 8), 2);
    assert_true(holds(&header, "cloudEvents_id") && holds(&header, "the-id"));
    assert_true(holds(&header, "m-1") && holds(&header, "application/json"));
    frame_view_t body = next_frame(&out, &offset);
    assert_int_equal(body.type, BODY);
    assert_int_equal(body.size, 2);
    assert_memory_equal(body.payload, "{}", 2);
    assert_int_equal(offset, out.size);
    text_buffer_fini(&out);
}

static void expect_bytes(amqp_bytes_t got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.bytes, expected, got.len);
}

/* All of them, read back by the library. */
static void properties_are_what_the_library_reads(void **state)
{
    char value[700];
    const broker_header_t headers[] = {{TEXT("cloudEvents_sequence"), TEXT("42")},
                                       {TEXT("empty"), {value, 0}},
                                       {TEXT("k"), {value, sizeof(value)}}};
    const broker_message_t message = {.routing_key = TEXT("user"),
                                      .content_type = TEXT("application/json"),
                                      .app_id = TEXT("app"),
                                      .message_id = TEXT("m-1"),
                                      .type = TEXT("user.read"),
                                      .correlation_id = TEXT("request"),
                                      .timestamp = UINT64_C(1763933988),
                                      .delivery_mode = 2,
                                      .headers = headers,
                                      .header_count = 3};
    text_buffer_t out = {0};
    size_t offset = 0;
    amqp_pool_t pool;
    void *decoded = NULL;
    (void)state;
    memset(value, 'v', sizeof(value));
    init_amqp_pool(&pool, 4096);
    broker_encode_publish(&out, 1, FRAME_MAX, &message);
    next_frame(&out, &offset);
    frame_view_t header = next_frame(&out, &offset);
    assert_int_equal(offset, out.size); /* no body, no frame of it */
    const amqp_bytes_t encoded = {header.size - 12, (void *)(uintptr_t)(header.payload + 12)};
    assert_int_equal(amqp_decode_properties(60, &pool, encoded, &decoded), 0);
    const amqp_basic_properties_t *got = decoded;
    expect_bytes(got->content_type, "application/json");
    expect_bytes(got->app_id, "app");
    expect_bytes(got->message_id, "m-1");
    expect_bytes(got->type, "user.read");
    expect_bytes(got->correlation_id, "request");
    assert_true(got->timestamp == message.timestamp);
    assert_int_equal(got->delivery_mode, 2);
    assert_int_equal(got->_flags, AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG |
                                      AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG |
                                      AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG |
                                      AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG);
    assert_int_equal(got->headers.num_entries, 3);
    for (int i = 0; i < 3; i++) {
        const amqp_table_entry_t *entry = &got->headers.entries[i];
        assert_int_equal(entry->value.kind, AMQP_FIELD_KIND_UTF8);
        assert_true(text_equal((text_t){entry->key.bytes, entry->key.len}, headers[i].key));
        assert_true(
            text_equal((text_t){entry->value.value.bytes.bytes, entry->value.value.bytes.len},
                       headers[i].value));
    }
    empty_amqp_pool(&pool);
    text_buffer_fini(&out);
}

/* Sizes around what one and two body frames hold. */
static void a_large_body_is_cut_into_frames(void **state)
{
    const size_t most = FRAME_MAX - 8;
    const size_t sizes[] = {0, 1, most - 1, most, most + 1, 2 * most, 2 * most + 1};
    char *bytes = malloc(2 * most + 1);
    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < 2 * most + 1; i++)
        bytes[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const broker_message_t message = {.routing_key = TEXT("q"), .body = {bytes, sizes[i]}};
        text_buffer_t out = {0};
        size_t offset = 0, done = 0;
        broker_encode_publish(&out, 1, FRAME_MAX, &message);
        next_frame(&out, &offset);
        frame_view_t header = next_frame(&out, &offset);
        assert_int_equal(number(header.payload + 4, 8), sizes[i]);
        while (offset < out.size) {
            frame_view_t body = next_frame(&out, &offset);
            assert_memory_equal(body.payload, bytes + done, body.size);
            done += body.size;
        }
        assert_int_equal(done, sizes[i]);
        text_buffer_fini(&out);
    }
    free(bytes);
}

static void an_ack_names_its_delivery(void **state)
{
    text_buffer_t out = {0};
    size_t offset = 0;
    (void)state;
    broker_encode_ack(&out, 1, 258, true);
    frame_view_t ack = next_frame(&out, &offset);
    assert_int_equal(ack.type, METHOD);
    assert_int_equal(number(ack.payload, 4), 0x003c0050); /* basic.ack */
    assert_int_equal(number(ack.payload + 4, 8), 258);
    assert_int_equal(ack.payload[12], 1);
    assert_int_equal(offset, out.size);
    text_buffer_fini(&out);
}

static void a_requeue_is_a_nack_of_one(void **state)
{
    (void)state;
    text_buffer_t out = {0};
    size_t offset = 0;
    broker_encode_requeue(&out, 1, 258);
    frame_view_t nack = next_frame(&out, &offset);
    assert_int_equal(number(nack.payload, 4), 0x003c0078); /* basic.nack */
    assert_int_equal(number(nack.payload + 4, 8), 258);
    assert_int_equal(nack.payload[12], 2); /* requeue, and not multiple */
    text_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publish_is_a_method_a_header_and_a_body),
        cmocka_unit_test(properties_are_what_the_library_reads),
        cmocka_unit_test(a_large_body_is_cut_into_frames),
        cmocka_unit_test(an_ack_names_its_delivery),
        cmocka_unit_test(a_requeue_is_a_nack_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
