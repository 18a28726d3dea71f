/* SPDX-License-Identifier: Apache-2.0
 * broker_encode.c - see broker_encode.h. All of a message is written by hand into room that was taken once: the
 * library's encoders check each field for room again and walk a table of their own, which was a fifth of a bridge's
 * instructions. Everything else (login, topology, all reading) is the library's.
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
    CONTENT_HEAD_BYTES = 14, /* class, weight, body size, property flags */
    SHORT_TEXT_MAX = 255,
    HEADER_BYTES = 6,   /* around a header's key and value */
    FIXED_BYTES = 128,  /* all of a publish that is no text, but the frames of its body */
    MANDATORY = 1 << 0, /* of basic.publish */
    MULTIPLE = 1 << 0,  /* of basic.ack and basic.nack */
    REQUEUE = 1 << 1,   /* of basic.nack */
};

/* --- fields: each writes one and returns what follows (AMQP 0-9-1 section 4.2.5) ------------------ */

static inline char *put_number(char *to, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        *to++ = (char)(value >> (8 * i));
    return to;
}

static inline char *put_bytes(char *to, text_t text)
{
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    return to + text.size;
}

static inline char *put_short_text(char *to, text_t text)
{
    must(text.size <= SHORT_TEXT_MAX);
    *to++ = (char)text.size;
    return put_bytes(to, text);
}

/* Headers are texts, the kind `S` of a field table. */
static char *put_headers(char *to, const broker_message_t *message)
{
    char *table = to;
    to += 4; /* its size is known at its end */
    for (size_t i = 0; i < message->header_count; i++) {
        to = put_short_text(to, message->headers[i].key);
        *to++ = 'S';
        to = put_number(to, message->headers[i].value.size, 4);
        to = put_bytes(to, message->headers[i].value);
    }
    put_number(table, (uint64_t)(to - table - 4), 4);
    return to;
}

/* --- frames ------------------------------------------------------------------------------------ */

/* Opens a frame; its payload follows. */
static inline char *begin_frame(char *to, int type, uint16_t channel)
{
    to = put_number(to, (uint64_t)type, 1);
    to = put_number(to, channel, 2);
    return to + 4; /* the size is known at its end */
}

static inline char *end_frame(char *frame, char *to)
{
    put_number(frame + 3, (uint64_t)(to - frame - FRAME_HEAD_BYTES), 4);
    *to++ = (char)FRAME_END;
    return to;
}

static char *put_publish(char *frame, uint16_t channel, const broker_message_t *message)
{
    char *to = begin_frame(frame, AMQP_FRAME_METHOD, channel);
    to = put_number(to, AMQP_BASIC_PUBLISH_METHOD, METHOD_ID_BYTES);
    to = put_number(to, 0, 2); /* reserved */
    to = put_short_text(to, message->exchange);
    to = put_short_text(to, message->routing_key);
    to = put_number(to, MANDATORY, 1);
    return end_frame(frame, to);
}

/* A property that is not there is left out. */
static inline char *put_property(char *to, text_t value, unsigned flag, unsigned *flags)
{
    if (value.size == 0)
        return to;
    *flags |= flag;
    return put_short_text(to, value);
}

/* Properties stand in the order of their flags. */
static char *put_content_header(char *frame, uint16_t channel, const broker_message_t *message)
{
    char *head = begin_frame(frame, AMQP_FRAME_HEADER, channel);
    char *to = head + CONTENT_HEAD_BYTES;
    unsigned flags = 0;
    to = put_property(to, message->content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, &flags);
    if (message->header_count > 0) {
        flags |= AMQP_BASIC_HEADERS_FLAG;
        to = put_headers(to, message);
    }
    if (message->delivery_mode != 0) {
        flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
        to = put_number(to, message->delivery_mode, 1);
    }
    to = put_property(to, message->correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG, &flags);
    to = put_property(to, message->message_id, AMQP_BASIC_MESSAGE_ID_FLAG, &flags);
    if (message->timestamp != 0) {
        flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        to = put_number(to, message->timestamp, 8);
    }
    to = put_property(to, message->type, AMQP_BASIC_TYPE_FLAG, &flags);
    to = put_property(to, message->app_id, AMQP_BASIC_APP_ID_FLAG, &flags);
    head = put_number(head, AMQP_BASIC_CLASS, 2);
    head = put_number(head, 0, 2); /* weight, unused */
    head = put_number(head, message->body.size, 8);
    put_number(head, flags, 2);
    return end_frame(frame, to);
}

static char *put_body(char *to, uint16_t channel, size_t most, text_t body)
{
    for (size_t done = 0; done < body.size;) {
        size_t size = body.size - done < most ? body.size - done : most;
        char *frame = to;
        to = begin_frame(frame, AMQP_FRAME_BODY, channel);
        to = put_bytes(to, (text_t){body.data + done, size});
        to = end_frame(frame, to);
        done += size;
    }
    return to;
}

/* --- messages ---------------------------------------------------------------------------------- */

/* Bytes that its frames may take. */
static size_t most_bytes(const broker_message_t *message, size_t body_most)
{
    size_t bytes = FIXED_BYTES + message->exchange.size + message->routing_key.size +
                   message->content_type.size + message->correlation_id.size +
                   message->message_id.size + message->type.size + message->app_id.size;
    for (size_t i = 0; i < message->header_count; i++)
        bytes += HEADER_BYTES + message->headers[i].key.size + message->headers[i].value.size;
    return bytes + message->body.size +
           (message->body.size / body_most + 1) * (FRAME_HEAD_BYTES + 1);
}

void broker_encode_publish(text_buffer_t *out, uint16_t channel, size_t frame_max,
                           const broker_message_t *message)
{
    size_t body_most = frame_max - FRAME_HEAD_BYTES - 1;
    size_t most = most_bytes(message, body_most);
    must(message->header_count <= BROKER_PUBLISH_HEADERS_MAX);
    char *begin = text_reserve(out, most);
    char *to = put_publish(begin, channel, message);
    to = put_content_header(to, channel, message);
    to = put_body(to, channel, body_most, message->body);
    must((size_t)(to - begin) <= most);
    out->size += (size_t)(to - begin);
}

/* basic.ack and basic.nack: a tag and bits. */
static void put_outcome(text_buffer_t *out, uint16_t channel, amqp_method_number_t method,
                        uint64_t tag, unsigned bits)
{
    char *begin = text_reserve(out, FIXED_BYTES);
    char *to = begin_frame(begin, AMQP_FRAME_METHOD, channel);
    to = put_number(to, method, METHOD_ID_BYTES);
    to = put_number(to, tag, 8);
    to = put_number(to, bits, 1);
    out->size += (size_t)(end_frame(begin, to) - begin);
}

void broker_encode_ack(text_buffer_t *out, uint16_t channel, uint64_t tag, bool multiple)
{
    put_outcome(out, channel, AMQP_BASIC_ACK_METHOD, tag, multiple ? MULTIPLE : 0);
}

void broker_encode_requeue(text_buffer_t *out, uint16_t channel, uint64_t tag)
{
    put_outcome(out, channel, AMQP_BASIC_NACK_METHOD, tag, REQUEUE);
}
