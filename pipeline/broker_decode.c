/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_decode.h"

#include <amqp_framing.h>
#include <inttypes.h>
#include <stdio.h>

#include "proto/errors.h"

enum {
    BODY_KEEP_BYTES = 1 << 20, /* a larger buffer is given back after its message */
    WHY_SHOWN_BYTES = 160
};

static text_t text_of_bytes(amqp_bytes_t bytes)
{
    return (text_t){bytes.bytes, bytes.len};
}

static int unexpected(const char *what, detail_t *detail)
{
    return detail_set(detail, ERR_BROKER_DOWN, "the broker sent %s where it must not stand", what);
}

/* --- properties ------------------------------------------------------------------------------- */

/* A header's value as text; data NULL for the kinds that are no scalar. */
static text_t header_text(const amqp_field_value_t *value, char number[HEADER_NUMBER_SIZE])
{
    int64_t whole;
    switch (value->kind) {
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        return text_of_bytes(value->value.bytes);
    case AMQP_FIELD_KIND_BOOLEAN:
        return value->value.boolean ? TEXT("true") : TEXT("false");
    case AMQP_FIELD_KIND_I8:
        whole = value->value.i8;
        break;
    case AMQP_FIELD_KIND_U8:
        whole = value->value.u8;
        break;
    case AMQP_FIELD_KIND_I16:
        whole = value->value.i16;
        break;
    case AMQP_FIELD_KIND_U16:
        whole = value->value.u16;
        break;
    case AMQP_FIELD_KIND_I32:
        whole = value->value.i32;
        break;
    case AMQP_FIELD_KIND_U32:
        whole = value->value.u32;
        break;
    case AMQP_FIELD_KIND_I64:
        whole = value->value.i64;
        break;
    default:
        return (text_t){NULL, 0};
    }
    snprintf(number, HEADER_NUMBER_SIZE, "%" PRId64, whole);
    return text_of(number);
}

static void take_headers(broker_decoder_t *self, const amqp_table_t *table)
{
    broker_message_t *message = &self->content.message;
    message->headers = self->headers;
    for (int i = 0; i < table->num_entries; i++) {
        size_t at = message->header_count;
        if (at == BROKER_RECEIVED_HEADERS_MAX)
            return;
        text_t value = header_text(&table->entries[i].value, self->numbers[at]);
        if (value.data == NULL)
            continue;
        self->headers[at] = (broker_header_t){text_of_bytes(table->entries[i].key), value};
        message->header_count++;
    }
}

static void take_properties(broker_decoder_t *self, const amqp_basic_properties_t *from)
{
    broker_message_t *to = &self->content.message;
    const struct {
        amqp_flags_t flag;
        const amqp_bytes_t *from;
        text_t *to;
    } texts[] = {
        {AMQP_BASIC_CONTENT_TYPE_FLAG, &from->content_type, &to->content_type},
        {AMQP_BASIC_APP_ID_FLAG, &from->app_id, &to->app_id},
        {AMQP_BASIC_MESSAGE_ID_FLAG, &from->message_id, &to->message_id},
        {AMQP_BASIC_TYPE_FLAG, &from->type, &to->type},
        {AMQP_BASIC_CORRELATION_ID_FLAG, &from->correlation_id, &to->correlation_id},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if ((from->_flags & texts[i].flag) != 0)
            *texts[i].to = text_of_bytes(*texts[i].from);
    if ((from->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0)
        to->timestamp = from->timestamp;
    if ((from->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) != 0)
        to->delivery_mode = from->delivery_mode;
    if ((from->_flags & AMQP_BASIC_HEADERS_FLAG) != 0)
        take_headers(self, &from->headers);
}

/* --- frames ----------------------------------------------------------------------------------- */

static int tell(broker_decoder_t *self, broker_event_kind_t kind, uint64_t tag)
{
    self->event = (broker_event_t){.kind = kind, .tag = tag};
    return 1;
}

static int begin_content(broker_decoder_t *self, broker_event_kind_t kind, uint64_t tag,
                         amqp_bytes_t exchange, amqp_bytes_t routing_key)
{
    self->content = (broker_event_t){.kind = kind, .tag = tag};
    self->content.message.exchange = text_of_bytes(exchange);
    self->content.message.routing_key = text_of_bytes(routing_key);
    self->state = DECODE_HEADER;
    return 0;
}

static int begin_delivery(broker_decoder_t *self, const amqp_basic_deliver_t *deliver)
{
    begin_content(self, BROKER_DELIVERY, deliver->delivery_tag, deliver->exchange,
                  deliver->routing_key);
    self->content.redelivered = deliver->redelivered;
    return 0;
}

static int begin_return(broker_decoder_t *self, const amqp_basic_return_t *returned)
{
    begin_content(self, BROKER_RETURN, 0, returned->exchange, returned->routing_key);
    self->content.reply_text = text_of_bytes(returned->reply_text);
    self->content.reply_code = returned->reply_code;
    return 0;
}

const char broker_no_leader[] =
    "is the queue full, or without a leader? See rabbitmq-queues quorum_status; if nobody leads it "
    "and that stays so, delete "
    "the queue: it is made again, and userbus broker replay sends what was in it";

int broker_closed(const char *before, const char *what, unsigned code, amqp_bytes_t why,
                  detail_t *detail)
{
    bool internal = code == AMQP_INTERNAL_ERROR;
    return detail_set(
        detail, ERR_BROKER_DOWN, "%.100sthe broker closed the %s: %u %.*s%s%s", before, what, code,
        why.len < WHY_SHOWN_BYTES ? (int)why.len : WHY_SHOWN_BYTES, (const char *)why.bytes,
        internal ? "; " : "", internal ? broker_no_leader : "");
}

static int take_method(broker_decoder_t *self, const amqp_method_t *method, detail_t *detail)
{
    const amqp_basic_ack_t *ack = method->decoded;
    const amqp_basic_nack_t *nack = method->decoded;
    const amqp_channel_close_t *channel_close = method->decoded;
    const amqp_connection_close_t *connection_close = method->decoded;
    const amqp_connection_blocked_t *blocked = method->decoded;
    switch (method->id) {
    case AMQP_BASIC_ACK_METHOD:
        tell(self, BROKER_ACK, ack->delivery_tag);
        self->event.multiple = ack->multiple;
        return 1;
    case AMQP_BASIC_NACK_METHOD:
        tell(self, BROKER_NACK, nack->delivery_tag);
        self->event.multiple = nack->multiple;
        return 1;
    case AMQP_BASIC_DELIVER_METHOD:
        return begin_delivery(self, method->decoded);
    case AMQP_BASIC_RETURN_METHOD:
        return begin_return(self, method->decoded);
    case AMQP_BASIC_CANCEL_METHOD:
        return tell(self, BROKER_CANCELLED, 0);
    case AMQP_CONNECTION_BLOCKED_METHOD:
        tell(self, BROKER_BLOCKED, 0);
        self->event.reply_text = text_of_bytes(blocked->reason);
        return 1;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        return tell(self, BROKER_UNBLOCKED, 0);
    case AMQP_CHANNEL_CLOSE_METHOD:
        return broker_closed("", "channel", channel_close->reply_code, channel_close->reply_text,
                             detail);
    case AMQP_CONNECTION_CLOSE_METHOD:
        return broker_closed("", "connection", connection_close->reply_code,
                             connection_close->reply_text, detail);
    default:
        return 0; /* the reply to a call that timed out, or news of no use to us */
    }
}

static int complete(broker_decoder_t *self)
{
    self->state = DECODE_METHOD;
    self->event = self->content;
    return 1;
}

static int take_header(broker_decoder_t *self, const amqp_frame_t *frame, detail_t *detail)
{
    /* The library makes another, smaller struct of another class's properties. */
    if (frame->payload.properties.class_id != AMQP_BASIC_CLASS)
        return unexpected("properties that are none of a message", detail);
    take_properties(self, frame->payload.properties.decoded);
    self->body_left = frame->payload.properties.body_size;
    if (self->body.capacity > BODY_KEEP_BYTES)
        text_buffer_fini(&self->body);
    text_buffer_clear(&self->body);
    self->state = DECODE_BODY;
    return self->body_left > 0 ? 0 : complete(self);
}

static int take_body(broker_decoder_t *self, amqp_bytes_t fragment, detail_t *detail)
{
    if (fragment.len > self->body_left)
        return unexpected("a body that is longer than announced", detail);
    self->body_left -= fragment.len;
    if (self->body_left == 0 && self->body.size == 0) { /* the usual case: nothing to copy */
        self->content.message.body = text_of_bytes(fragment);
        return complete(self);
    }
    text_add(&self->body, text_of_bytes(fragment));
    if (self->body_left > 0)
        return 0;
    self->content.message.body = text_buffer_view(&self->body);
    return complete(self);
}

/* A part of a message; its memory is kept until the message was used, but only on the channel. */
static bool is_content(const amqp_frame_t *frame)
{
    return frame->frame_type != AMQP_FRAME_METHOD ||
           frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD ||
           frame->payload.method.id == AMQP_BASIC_RETURN_METHOD;
}

int broker_decode(broker_decoder_t *self, const amqp_frame_t *frame, detail_t *detail)
{
    if (frame->frame_type == AMQP_FRAME_HEARTBEAT)
        return 0;
    /* What concerns the connection may stand between the frames of a message. */
    bool of_connection = frame->channel == 0;
    if (of_connection && is_content(frame))
        return unexpected("a message without a channel", detail);
    if (frame->frame_type == AMQP_FRAME_METHOD &&
        (self->state == DECODE_METHOD || of_connection ||
         frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD))
        return take_method(self, &frame->payload.method, detail);
    if (frame->frame_type == AMQP_FRAME_HEADER && self->state == DECODE_HEADER)
        return take_header(self, frame, detail);
    if (frame->frame_type == AMQP_FRAME_BODY && self->state == DECODE_BODY)
        return take_body(self, frame->payload.body_fragment, detail);
    return unexpected("a frame", detail);
}

void broker_decoder_fini(broker_decoder_t *self)
{
    text_buffer_fini(&self->body);
}
