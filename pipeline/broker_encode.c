/* SPDX-License-Identifier: Apache-2.0
 * broker_encode.c - see broker_encode.h. The library encodes methods and properties; the frame around
 * them is ours.
 */
#include "pipeline/broker_encode.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

#include "proto/errors.h"

enum {
    FRAME_HEAD_BYTES = 7,    /* type, channel, size */
    FRAME_END = 0xce,        /* behind every frame */
    METHOD_ID_BYTES = 4,     /* class, method */
    CONTENT_HEAD_BYTES = 12, /* class, weight, body size */
    METHOD_MAX_BYTES = 640,  /* two short strings of 255 bytes and a few numbers */
    PROPERTY_FIXED_BYTES = 2048,
};

static char *put_number(char *to, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *to++ = (char)(value >> (8 * i));
    return to;
}

static amqp_bytes_t bytes_of(text_t text)
{
    return (amqp_bytes_t){text.size, (void *)(uintptr_t)text.data};
}

/* Opens a frame with room for `most` bytes of payload and returns where the payload begins. */
static char *begin_frame(text_buffer_t *out, int type, uint16_t channel, size_t most)
{
    char *to = text_reserve(out, FRAME_HEAD_BYTES + most + 1);
    to = put_number(to, (uint64_t)type, 1);
    to = put_number(to, channel, 2);
    return to + 4; /* the size is known at its end */
}

static void end_frame(text_buffer_t *out, const char *payload, size_t size)
{
    char *head = out->data + out->size;
    must(payload == head + FRAME_HEAD_BYTES);
    put_number(head + 3, size, 4);
    head[FRAME_HEAD_BYTES + size] = (char)FRAME_END;
    out->size += FRAME_HEAD_BYTES + size + 1;
}

static void put_method(text_buffer_t *out, uint16_t channel, amqp_method_number_t id, void *fields)
{
    char *payload =
        begin_frame(out, AMQP_FRAME_METHOD, channel, METHOD_ID_BYTES + METHOD_MAX_BYTES);
    char *at = put_number(payload, id, METHOD_ID_BYTES);
    int size = amqp_encode_method(id, fields, (amqp_bytes_t){METHOD_MAX_BYTES, at});
    must(size >= 0);
    end_frame(out, payload, METHOD_ID_BYTES + (size_t)size);
}

/* Sets one property when it is there; returns the bytes it may take. */
static size_t set_property(amqp_basic_properties_t *to, amqp_bytes_t *field, amqp_flags_t flag,
                           text_t value)
{
    if (value.size == 0)
        return 0;
    *field = bytes_of(value);
    to->_flags |= flag;
    return value.size + 1;
}

static size_t set_headers(amqp_basic_properties_t *to, amqp_table_entry_t *entries,
                          const broker_message_t *message)
{
    size_t bytes = 8;
    must(message->header_count <= BROKER_PUBLISH_HEADERS_MAX);
    for (size_t i = 0; i < message->header_count; i++) {
        const broker_header_t *header = &message->headers[i];
        entries[i].key = bytes_of(header->key);
        entries[i].value.kind = AMQP_FIELD_KIND_UTF8;
        entries[i].value.value.bytes = bytes_of(header->value);
        bytes += header->key.size + header->value.size + 8;
    }
    to->headers = (amqp_table_t){(int)message->header_count, entries};
    to->_flags |= message->header_count > 0 ? AMQP_BASIC_HEADERS_FLAG : 0;
    return bytes;
}

static void put_content_header(text_buffer_t *out, uint16_t channel,
                               const broker_message_t *message)
{
    amqp_table_entry_t entries[BROKER_PUBLISH_HEADERS_MAX];
    amqp_basic_properties_t properties = {0};
    amqp_basic_properties_t *to = &properties;
    size_t most = PROPERTY_FIXED_BYTES + set_headers(to, entries, message);
    most +=
        set_property(to, &to->content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, message->content_type);
    most += set_property(to, &to->correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG,
                         message->correlation_id);
    most += set_property(to, &to->message_id, AMQP_BASIC_MESSAGE_ID_FLAG, message->message_id);
    most += set_property(to, &to->type, AMQP_BASIC_TYPE_FLAG, message->type);
    most += set_property(to, &to->app_id, AMQP_BASIC_APP_ID_FLAG, message->app_id);
    properties.delivery_mode = message->delivery_mode;
    properties._flags |= message->delivery_mode != 0 ? AMQP_BASIC_DELIVERY_MODE_FLAG : 0;
    properties.timestamp = message->timestamp;
    properties._flags |= message->timestamp != 0 ? AMQP_BASIC_TIMESTAMP_FLAG : 0;
    char *payload = begin_frame(out, AMQP_FRAME_HEADER, channel, CONTENT_HEAD_BYTES + most);
    char *at = put_number(payload, AMQP_BASIC_CLASS, 2);
    at = put_number(at, 0, 2); /* weight, unused */
    at = put_number(at, message->body.size, 8);
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, &properties, (amqp_bytes_t){most, at});
    must(size >= 0);
    end_frame(out, payload, CONTENT_HEAD_BYTES + (size_t)size);
}

static void put_body(text_buffer_t *out, uint16_t channel, size_t frame_max, text_t body)
{
    size_t most = frame_max - FRAME_HEAD_BYTES - 1;
    for (size_t done = 0; done < body.size;) {
        size_t size = body.size - done < most ? body.size - done : most;
        char *payload = begin_frame(out, AMQP_FRAME_BODY, channel, size);
        memcpy(payload, body.data + done, size);
        end_frame(out, payload, size);
        done += size;
    }
}

void broker_encode_publish(text_buffer_t *out, uint16_t channel, size_t frame_max,
                           const broker_message_t *message)
{
    amqp_basic_publish_t publish = {.exchange = bytes_of(message->exchange),
                                    .routing_key = bytes_of(message->routing_key),
                                    .mandatory = 1};
    put_method(out, channel, AMQP_BASIC_PUBLISH_METHOD, &publish);
    put_content_header(out, channel, message);
    put_body(out, channel, frame_max, message->body);
}

void broker_encode_ack(text_buffer_t *out, uint16_t channel, uint64_t tag, bool multiple)
{
    amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple};
    put_method(out, channel, AMQP_BASIC_ACK_METHOD, &ack);
}

void broker_encode_requeue(text_buffer_t *out, uint16_t channel, uint64_t tag)
{
    amqp_basic_nack_t nack = {.delivery_tag = tag, .requeue = 1};
    put_method(out, channel, AMQP_BASIC_NACK_METHOD, &nack);
}
