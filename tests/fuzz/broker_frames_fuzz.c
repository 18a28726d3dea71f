/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * broker_frames_fuzz.c - what a broker may send, read by rabbitmq-c and put together by broker_decode. A message is
 * the frames that it was cut into, whatever stands between them, and it can be published again to the same.
 *
 * Input: frames as a byte (bits 0..1: heartbeat, method, header, body; bit 2: channel 0), two bytes of length, and
 * the payload. Of a method the first byte picks the id; of a header the first is its class, two are the size of
 * the body.
 */
#include "pipeline/broker_decode.h"

#include <amqp_framing.h>
#include <string.h>

#include "pipeline/broker_encode.h"
#include "proto/errors.h"
#include "tests/fuzz/fuzz_input.h"

enum { FRAMES_MAX = 64, PAYLOAD_MAX = 2048, SHORT_STRING_MAX = 255, FRAME_MAX = 131072 };

static const amqp_method_number_t methods[] = {
    AMQP_BASIC_DELIVER_METHOD,        AMQP_BASIC_RETURN_METHOD,  AMQP_BASIC_ACK_METHOD,
    AMQP_BASIC_NACK_METHOD,           AMQP_BASIC_CANCEL_METHOD,  AMQP_CONNECTION_BLOCKED_METHOD,
    AMQP_CONNECTION_UNBLOCKED_METHOD, AMQP_CHANNEL_CLOSE_METHOD, AMQP_CONNECTION_CLOSE_METHOD,
    AMQP_BASIC_CONSUME_OK_METHOD,     AMQP_CHANNEL_FLOW_METHOD,  AMQP_QUEUE_DECLARE_OK_METHOD,
    AMQP_BASIC_GET_OK_METHOD,
};

/* What the message in hand must become. */
typedef struct model {
    text_buffer_t body, routing_key;
    uint64_t announced;
    bool begun;
} model_t;

static void put_number(text_buffer_t *to, uint64_t value, int bytes)
{
    char *at = text_reserve(to, (size_t)bytes);
    for (int i = 0; i < bytes; i++)
        at[i] = (char)(value >> (8 * (bytes - 1 - i)));
    to->size += (size_t)bytes;
}

/* A frame of legal form around whatever payload. */
static void put_frame(text_buffer_t *out, uint8_t choice, text_t payload)
{
    static const uint8_t types[] = {AMQP_FRAME_HEARTBEAT, AMQP_FRAME_METHOD, AMQP_FRAME_HEADER,
                                    AMQP_FRAME_BODY};
    text_buffer_t inner = {0};
    uint8_t type = types[choice & 3];
    uint8_t first = payload.size > 0 ? (uint8_t)payload.data[0] : 0;
    size_t used = payload.size < 1 ? payload.size : 1;
    if (type == AMQP_FRAME_METHOD) {
        put_number(&inner, methods[first % (sizeof(methods) / sizeof(methods[0]))], 4);
    } else if (type == AMQP_FRAME_HEADER) {
        put_number(&inner, (uint64_t)first << 16, 4);
        put_number(&inner, 0, 6);
    } else {
        used = 0;
    }
    text_add(&inner, (text_t){payload.data + used, payload.size - used});
    put_number(out, type, 1);
    put_number(out, (choice & 4) != 0 || type == AMQP_FRAME_HEARTBEAT ? 0 : 1, 2);
    put_number(out, inner.size, 4);
    text_add(out, text_buffer_view(&inner));
    put_number(out, AMQP_FRAME_END, 1);
    text_buffer_fini(&inner);
}

/* --- properties ------------------------------------------------------------------------------- */

static void check_message(const broker_message_t *message)
{
    const text_t shorts[] = {message->exchange,      message->routing_key, message->content_type,
                             message->app_id,        message->message_id,  message->type,
                             message->correlation_id};
    for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++)
        must(shorts[i].size <= SHORT_STRING_MAX);
    must(message->header_count <= BROKER_RECEIVED_HEADERS_MAX);
    for (size_t i = 0; i < message->header_count; i++) {
        must(message->headers[i].key.size <= SHORT_STRING_MAX &&
             message->headers[i].value.data != NULL);
        must(message->headers[i].value.size <= PAYLOAD_MAX);
    }
}

static void check_same(const broker_message_t *a, const broker_message_t *b)
{
    must(text_equal(a->exchange, b->exchange) && text_equal(a->routing_key, b->routing_key));
    must(text_equal(a->content_type, b->content_type) && text_equal(a->app_id, b->app_id));
    must(text_equal(a->message_id, b->message_id) && text_equal(a->type, b->type));
    must(text_equal(a->correlation_id, b->correlation_id) && text_equal(a->body, b->body));
    must(a->timestamp == b->timestamp && a->delivery_mode == b->delivery_mode);
    must(a->header_count == b->header_count);
    for (size_t i = 0; i < a->header_count; i++)
        must(text_equal(a->headers[i].key, b->headers[i].key) &&
             text_equal(a->headers[i].value, b->headers[i].value));
}

/* Takes the frames of one publish as if they were a delivery. */
static void decode_published(broker_decoder_t *decoder, amqp_connection_state_t state,
                             amqp_bytes_t left)
{
    detail_t detail;
    int got = 0;
    while (left.len > 0) {
        amqp_frame_t frame = {0};
        int used = amqp_handle_input(state, left, &frame);
        must(used > 0 && got == 0);
        left.bytes = (char *)left.bytes + used;
        left.len -= (size_t)used;
        if (frame.frame_type != AMQP_FRAME_METHOD) {
            got = broker_decode(decoder, &frame, &detail);
            continue;
        }
        const amqp_basic_publish_t *publish = frame.payload.method.decoded;
        amqp_basic_deliver_t deliver = {.exchange = publish->exchange,
                                        .routing_key = publish->routing_key};
        frame.payload.method = (amqp_method_t){AMQP_BASIC_DELIVER_METHOD, &deliver};
        got = broker_decode(decoder, &frame, &detail);
    }
    must(got == 1 && decoder->event.kind == BROKER_DELIVERY);
}

static void check_publishes_to_the_same(const broker_message_t *message)
{
    static broker_decoder_t decoder;
    text_buffer_t out = {0};
    if (message->header_count > BROKER_PUBLISH_HEADERS_MAX)
        return;
    amqp_connection_state_t state = amqp_new_connection();
    must(state != NULL);
    memset(&decoder, 0, sizeof(decoder));
    broker_encode_publish(&out, 1, FRAME_MAX, message);
    decode_published(&decoder, state, (amqp_bytes_t){out.size, out.data});
    check_same(message, &decoder.event.message);
    broker_decoder_fini(&decoder);
    text_buffer_fini(&out);
    must(amqp_destroy_connection(state) == AMQP_STATUS_OK);
}

/* --- frames ----------------------------------------------------------------------------------- */

static void keep(text_buffer_t *to, amqp_bytes_t bytes)
{
    text_buffer_clear(to);
    text_add(to, (text_t){bytes.bytes, bytes.len});
}

static void follow(model_t *self, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_METHOD) {
        const amqp_basic_deliver_t *deliver = frame->payload.method.decoded;
        const amqp_basic_return_t *returned = frame->payload.method.decoded;
        if (frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD)
            keep(&self->routing_key, deliver->routing_key);
        if (frame->payload.method.id == AMQP_BASIC_RETURN_METHOD)
            keep(&self->routing_key, returned->routing_key);
    } else if (frame->frame_type == AMQP_FRAME_HEADER) {
        text_buffer_clear(&self->body);
        self->announced = frame->payload.properties.body_size;
        self->begun = true;
    } else if (frame->frame_type == AMQP_FRAME_BODY) {
        must(self->begun);
        text_add(&self->body,
                 (text_t){frame->payload.body_fragment.bytes, frame->payload.body_fragment.len});
        must(self->body.size <= self->announced);
    }
}

static void check_event(const broker_event_t *event, const amqp_frame_t *frame, model_t *model)
{
    bool content = event->kind == BROKER_DELIVERY || event->kind == BROKER_RETURN;
    must(event->kind <= BROKER_UNBLOCKED);
    must(content == (frame->frame_type != AMQP_FRAME_METHOD));
    must(event->reply_text.size <= SHORT_STRING_MAX);
    if (!content)
        return;
    must(model->begun && model->announced == model->body.size);
    must(text_equal(event->message.body, text_buffer_view(&model->body)));
    must(text_equal(event->message.routing_key, text_buffer_view(&model->routing_key)));
    check_message(&event->message);
    check_publishes_to_the_same(&event->message);
    model->begun = false;
}

/* False: the connection would be closed now. */
static bool take_frame(broker_decoder_t *decoder, const amqp_frame_t *frame, model_t *model)
{
    detail_t detail = {{0}};
    int got = broker_decode(decoder, frame, &detail);
    must(got == 0 || got == 1 || got == ERR_BROKER_DOWN);
    if (got == ERR_BROKER_DOWN) {
        must(detail.text[0] != '\0');
        return false;
    }
    follow(model, frame);
    if (got == 1)
        check_event(&decoder->event, frame, model);
    else
        must(!model->begun || model->body.size < model->announced ||
             frame->frame_type != AMQP_FRAME_BODY);
    return true;
}

/* Reads the bytes as from a socket; what rabbitmq-c does not take ends the connection. */
static void read_all(amqp_connection_state_t state, amqp_bytes_t left)
{
    static broker_decoder_t decoder;
    model_t model = {0};
    bool open = true;
    memset(&decoder, 0, sizeof(decoder));
    while (open && left.len > 0) {
        amqp_frame_t frame = {0};
        int used = amqp_handle_input(state, left, &frame);
        open = used > 0;
        if (!open)
            break;
        left.bytes = (char *)left.bytes + used;
        left.len -= (size_t)used;
        if (frame.frame_type != 0)
            open = take_frame(&decoder, &frame, &model);
        /* as broker_next does: what the decoder still needs must not be in it */
        amqp_maybe_release_buffers_on_channel(state, 0);
        if (decoder.state == DECODE_METHOD)
            amqp_maybe_release_buffers_on_channel(state, 1);
    }
    broker_decoder_fini(&decoder);
    text_buffer_fini(&model.body);
    text_buffer_fini(&model.routing_key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_buffer_t wire = {0};
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    for (int i = 0; i < FRAMES_MAX && input.size > 0; i++) {
        uint8_t choice = fuzz_byte(&input);
        size_t length = (size_t)fuzz_number(&input, 2);
        put_frame(&wire, choice, fuzz_bytes(&input, length < PAYLOAD_MAX ? length : PAYLOAD_MAX));
    }
    amqp_connection_state_t state = amqp_new_connection();
    must(state != NULL);
    read_all(state, (amqp_bytes_t){wire.size, wire.data});
    must(amqp_destroy_connection(state) == AMQP_STATUS_OK);
    text_buffer_fini(&wire);
    fuzz_input_fini(&input);
    return 0;
}
