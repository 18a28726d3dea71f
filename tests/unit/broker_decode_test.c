/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * Frames made by hand, in every order that a broker may send and some that it may not. */
#include "pipeline/broker_decode.h"

#include <amqp_framing.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/errors.h"

static amqp_bytes_t bytes(const char *text)
{
    return amqp_cstring_bytes(text);
}

static amqp_frame_t method(uint16_t channel, amqp_method_number_t id, void *decoded)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_METHOD, .channel = channel};
    frame.payload.method = (amqp_method_t){id, decoded};
    return frame;
}

static amqp_frame_t header(amqp_basic_properties_t *properties, uint64_t body_size)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER, .channel = 1};
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = body_size;
    frame.payload.properties.decoded = properties;
    return frame;
}

static amqp_frame_t body(const char *text)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY, .channel = 1};
    frame.payload.body_fragment = bytes(text);
    return frame;
}

static int take(broker_decoder_t *decoder, amqp_frame_t frame)
{
    detail_t detail;
    return broker_decode(decoder, &frame, &detail);
}

static void expect_text(text_t got, const char *expected)
{
    assert_true(text_equal(got, text_of(expected)));
}

static void a_delivery_is_put_together(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_basic_deliver_t deliver = {
        .delivery_tag = 9, .redelivered = 1, .exchange = bytes("ex"), .routing_key = bytes("user")};
    amqp_table_entry_t entries[4] = {
        {bytes("text"), {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes("value")}},
        {bytes("number"), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = -12}},
        {bytes("table"), {.kind = AMQP_FIELD_KIND_TABLE}},
        {bytes("yes"), {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}}};
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG |
                  AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
        .message_id = bytes("m"),
        .type = bytes("user.read"),
        .timestamp = 77,
        .delivery_mode = 2,
        .headers = {4, entries}};
    (void)state;
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(take(&decoder, header(&properties, 10)), 0);
    assert_int_equal(take(&decoder, body("01234")), 0);
    assert_int_equal(take(&decoder, body("56789")), 1);
    const broker_event_t *event = &decoder.event;
    assert_int_equal(event->kind, BROKER_DELIVERY);
    assert_int_equal(event->tag, 9);
    assert_true(event->redelivered);
    expect_text(event->message.exchange, "ex");
    expect_text(event->message.routing_key, "user");
    expect_text(event->message.message_id, "m");
    expect_text(event->message.type, "user.read");
    assert_int_equal(event->message.app_id.size, 0);
    assert_int_equal(event->message.timestamp, 77);
    assert_int_equal(event->message.delivery_mode, 2);
    assert_int_equal(event->message.header_count, 3);
    expect_text(event->message.headers[0].value, "value");
    expect_text(event->message.headers[1].value, "-12");
    expect_text(event->message.headers[2].key, "yes");
    expect_text(event->message.headers[2].value, "true");
    expect_text(event->message.body, "0123456789");
    broker_decoder_fini(&decoder);
}

/* Hands over a message with these headers. */
static const broker_event_t *deliver_headers(broker_decoder_t *decoder, amqp_table_entry_t *entries,
                                             int count)
{
    amqp_basic_deliver_t deliver = {.delivery_tag = 1};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                          .headers = {count, entries}};
    assert_int_equal(take(decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(take(decoder, header(&properties, 0)), 1);
    return &decoder->event;
}

static void every_kind_of_scalar_becomes_a_text(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_table_entry_t entries[] = {
        {bytes("i8"), {.kind = AMQP_FIELD_KIND_I8, .value.i8 = INT8_MIN}},
        {bytes("u8"), {.kind = AMQP_FIELD_KIND_U8, .value.u8 = UINT8_MAX}},
        {bytes("i16"), {.kind = AMQP_FIELD_KIND_I16, .value.i16 = INT16_MIN}},
        {bytes("u16"), {.kind = AMQP_FIELD_KIND_U16, .value.u16 = UINT16_MAX}},
        {bytes("i32"), {.kind = AMQP_FIELD_KIND_I32, .value.i32 = INT32_MIN}},
        {bytes("u32"), {.kind = AMQP_FIELD_KIND_U32, .value.u32 = UINT32_MAX}},
        {bytes("i64"), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = INT64_MIN}},
        {bytes("no"), {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 0}},
        {bytes("bytes"), {.kind = AMQP_FIELD_KIND_BYTES, .value.bytes = bytes("b")}},
        {bytes("float"), {.kind = AMQP_FIELD_KIND_F64, .value.f64 = 1.5}}};
    static const char *const texts[] = {
        "-128",  "255", "-32768", "65535", "-2147483648", "4294967295", "-9223372036854775808",
        "false", "b"};
    (void)state;
    const broker_event_t *event = deliver_headers(&decoder, entries, 10);
    assert_int_equal(event->message.header_count, 9);
    for (size_t i = 0; i < 9; i++)
        expect_text(event->message.headers[i].value, texts[i]);
    broker_decoder_fini(&decoder);
}

static void headers_beyond_the_bound_are_left_out(void **state)
{
    enum { COUNT = BROKER_RECEIVED_HEADERS_MAX + 5 };
    broker_decoder_t decoder = {0};
    amqp_table_entry_t entries[COUNT];
    (void)state;
    for (int i = 0; i < COUNT; i++)
        entries[i] =
            (amqp_table_entry_t){bytes("number"), {.kind = AMQP_FIELD_KIND_I32, .value.i32 = i}};
    const broker_event_t *event = deliver_headers(&decoder, entries, COUNT);
    assert_int_equal(event->message.header_count, BROKER_RECEIVED_HEADERS_MAX);
    expect_text(event->message.headers[BROKER_RECEIVED_HEADERS_MAX - 1].value, "63");
    broker_decoder_fini(&decoder);
}

static void the_memory_of_a_large_body_is_given_back(void **state)
{
    enum { PART = 1 << 20 };
    broker_decoder_t decoder = {0};
    amqp_basic_deliver_t deliver = {.delivery_tag = 1};
    amqp_basic_properties_t properties = {0};
    char *part = malloc(PART + 1);
    (void)state;
    assert_non_null(part);
    memset(part, 'x', PART);
    part[PART] = '\0';
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(take(&decoder, header(&properties, 2 * PART)), 0);
    assert_int_equal(take(&decoder, body(part)), 0);
    assert_int_equal(take(&decoder, body(part)), 1);
    assert_int_equal(decoder.event.message.body.size, 2 * PART);
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(take(&decoder, header(&properties, 4)), 0);
    assert_int_equal(decoder.body.capacity, 0);
    assert_int_equal(take(&decoder, body("ab")), 0);
    assert_int_equal(take(&decoder, body("cd")), 1);
    expect_text(decoder.event.message.body, "abcd");
    broker_decoder_fini(&decoder);
    free(part);
}

static void a_cancelled_subscription_is_told_and_news_of_no_use_are_not(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_basic_cancel_t cancel = {.consumer_tag = bytes("c")};
    amqp_basic_qos_ok_t late = {0};
    (void)state;
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_QOS_OK_METHOD, &late)), 0);
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_CANCEL_METHOD, &cancel)), 1);
    assert_int_equal(decoder.event.kind, BROKER_CANCELLED);
    broker_decoder_fini(&decoder);
}

static void a_return_tells_which_message_and_why(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_basic_return_t returned = {.reply_code = 312, .reply_text = bytes("NO_ROUTE")};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG,
                                          .message_id = bytes("m")};
    (void)state;
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_RETURN_METHOD, &returned)), 0);
    assert_int_equal(take(&decoder, header(&properties, 0)), 1);
    assert_int_equal(decoder.event.kind, BROKER_RETURN);
    expect_text(decoder.event.reply_text, "NO_ROUTE");
    expect_text(decoder.event.message.message_id, "m");
    assert_int_equal(decoder.event.message.body.size, 0);
    broker_decoder_fini(&decoder);
}

static void news_of_the_connection_may_stand_within_a_message(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_basic_deliver_t deliver = {.delivery_tag = 3};
    amqp_basic_properties_t properties = {0};
    amqp_connection_blocked_t blocked = {bytes("low on memory")};
    amqp_frame_t heartbeat = {.frame_type = AMQP_FRAME_HEARTBEAT};
    (void)state;
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(take(&decoder, heartbeat), 0);
    assert_int_equal(take(&decoder, method(0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked)), 1);
    assert_int_equal(decoder.event.kind, BROKER_BLOCKED);
    expect_text(decoder.event.reply_text, "low on memory");
    assert_int_equal(take(&decoder, header(&properties, 2)), 0);
    assert_int_equal(take(&decoder, method(0, AMQP_CONNECTION_UNBLOCKED_METHOD, NULL)), 1);
    assert_int_equal(decoder.event.kind, BROKER_UNBLOCKED);
    assert_int_equal(take(&decoder, body("ok")), 1);
    assert_int_equal(decoder.event.kind, BROKER_DELIVERY);
    assert_int_equal(decoder.event.tag, 3);
    expect_text(decoder.event.message.body, "ok");
    broker_decoder_fini(&decoder);
}

static void confirms_name_tags(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_basic_ack_t ack = {.delivery_tag = 5, .multiple = 1};
    amqp_basic_nack_t nack = {.delivery_tag = 6};
    (void)state;
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_ACK_METHOD, &ack)), 1);
    assert_int_equal(decoder.event.kind, BROKER_ACK);
    assert_int_equal(decoder.event.tag, 5);
    assert_true(decoder.event.multiple);
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_NACK_METHOD, &nack)), 1);
    assert_int_equal(decoder.event.kind, BROKER_NACK);
    assert_int_equal(decoder.event.tag, 6);
    assert_false(decoder.event.multiple);
    broker_decoder_fini(&decoder);
}

static void a_close_is_the_end(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_channel_close_t channel_close = {.reply_code = 406, .reply_text = bytes("unknown tag")};
    amqp_connection_close_t connection_close = {.reply_code = 320, .reply_text = bytes("FORCED")};
    amqp_frame_t frame = method(1, AMQP_CHANNEL_CLOSE_METHOD, &channel_close);
    detail_t detail;
    (void)state;
    assert_int_equal(broker_decode(&decoder, &frame, &detail), ERR_BROKER_DOWN);
    assert_non_null(strstr(detail.text, "channel: 406 unknown tag"));
    frame = method(0, AMQP_CONNECTION_CLOSE_METHOD, &connection_close);
    assert_int_equal(broker_decode(&decoder, &frame, &detail), ERR_BROKER_DOWN);
    assert_non_null(strstr(detail.text, "connection: 320 FORCED"));
}

/* A channel may be closed between the frames of a message, which then never ends. */
static void a_close_may_stand_within_a_message(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_basic_deliver_t deliver = {.delivery_tag = 3};
    amqp_channel_close_t close = {.reply_code = 406, .reply_text = bytes("unknown tag")};
    amqp_frame_t frame = method(1, AMQP_CHANNEL_CLOSE_METHOD, &close);
    detail_t detail;
    (void)state;
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(broker_decode(&decoder, &frame, &detail), ERR_BROKER_DOWN);
    assert_non_null(strstr(detail.text, "channel: 406 unknown tag"));
}

static void frames_out_of_place_are_refused(void **state)
{
    amqp_basic_deliver_t deliver = {.delivery_tag = 1};
    amqp_basic_properties_t properties = {0};
    (void)state;
    broker_decoder_t idle = {0};
    assert_int_equal(take(&idle, body("x")), ERR_BROKER_DOWN);
    assert_int_equal(take(&idle, header(&properties, 1)), ERR_BROKER_DOWN);
    broker_decoder_t begun = {0};
    assert_int_equal(take(&begun, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(take(&begun, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), ERR_BROKER_DOWN);
    assert_int_equal(take(&begun, body("x")), ERR_BROKER_DOWN);
    assert_int_equal(take(&begun, header(&properties, 1)), 0);
    assert_int_equal(take(&begun, body("xx")), ERR_BROKER_DOWN);
}

static void properties_of_another_class_are_refused(void **state)
{
    broker_decoder_t decoder = {0};
    amqp_basic_deliver_t deliver = {.delivery_tag = 1};
    amqp_exchange_properties_t properties = {._flags = AMQP_BASIC_MESSAGE_ID_FLAG};
    amqp_frame_t frame = header(NULL, 1);
    frame.payload.properties.class_id = AMQP_EXCHANGE_CLASS;
    frame.payload.properties.decoded = &properties;
    (void)state;
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    assert_int_equal(take(&decoder, frame), ERR_BROKER_DOWN);
}

static void a_message_without_a_channel_is_refused(void **state)
{
    amqp_basic_deliver_t deliver = {.delivery_tag = 1};
    amqp_basic_return_t returned = {.reply_code = 312};
    amqp_basic_properties_t properties = {0};
    amqp_frame_t frame = header(&properties, 1);
    broker_decoder_t decoder = {0};
    (void)state;
    assert_int_equal(take(&decoder, method(0, AMQP_BASIC_DELIVER_METHOD, &deliver)),
                     ERR_BROKER_DOWN);
    assert_int_equal(take(&decoder, method(0, AMQP_BASIC_RETURN_METHOD, &returned)),
                     ERR_BROKER_DOWN);
    assert_int_equal(take(&decoder, method(1, AMQP_BASIC_DELIVER_METHOD, &deliver)), 0);
    frame.channel = 0;
    assert_int_equal(take(&decoder, frame), ERR_BROKER_DOWN);
}

static void an_internal_error_says_what_an_operator_can_do(void **state)
{
    detail_t detail;
    (void)state;
    const amqp_bytes_t why = amqp_cstring_bytes("INTERNAL_ERROR");
    assert_int_equal(broker_closed("queue 'user': ", "connection", 541, why, &detail),
                     ERR_BROKER_DOWN);
    assert_non_null(strstr(detail.text, "queue 'user': the broker closed the connection: 541"));
    assert_non_null(strstr(detail.text, "delete the queue"));
    assert_int_equal(broker_closed("", "channel", 320, amqp_cstring_bytes("FORCED"), &detail),
                     ERR_BROKER_DOWN);
    assert_string_equal(detail.text, "the broker closed the channel: 320 FORCED");
    char reason[256] = {0};
    memset(reason, 'x', sizeof(reason) - 1); /* as long as a broker can say */
    assert_int_equal(broker_closed("", "channel", 541, bytes(reason), &detail), ERR_BROKER_DOWN);
    assert_non_null(strstr(detail.text, "xxx; is the queue full, or without a leader?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delivery_is_put_together),
        cmocka_unit_test(every_kind_of_scalar_becomes_a_text),
        cmocka_unit_test(headers_beyond_the_bound_are_left_out),
        cmocka_unit_test(the_memory_of_a_large_body_is_given_back),
        cmocka_unit_test(a_cancelled_subscription_is_told_and_news_of_no_use_are_not),
        cmocka_unit_test(a_close_may_stand_within_a_message),
        cmocka_unit_test(a_return_tells_which_message_and_why),
        cmocka_unit_test(news_of_the_connection_may_stand_within_a_message),
        cmocka_unit_test(confirms_name_tags),
        cmocka_unit_test(a_close_is_the_end),
        cmocka_unit_test(frames_out_of_place_are_refused),
        cmocka_unit_test(properties_of_another_class_are_refused),
        cmocka_unit_test(a_message_without_a_channel_is_refused),
        cmocka_unit_test(an_internal_error_says_what_an_operator_can_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
