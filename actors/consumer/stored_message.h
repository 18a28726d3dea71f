/* SPDX-License-Identifier: Apache-2.0
 * stored_message.h - a message on its way through a table: its properties and headers as one msgpack array, beside
 * its body. What is taken out again makes the same dead letter as the message itself. Pure.
 *
 *   [content_type, app_id, message_id, type, correlation_id, timestamp, key, value, key, value, ...]
 */
#ifndef USERBUS_ACTORS_CONSUMER_STORED_MESSAGE_H
#define USERBUS_ACTORS_CONSUMER_STORED_MESSAGE_H

#include "pipeline/broker_connection.h"
#include "proto/text_buffer.h"

enum { STORED_HEADERS_MAX = 64 /* more do not arrive */ };

/* It must not be moved, since the message points into it. */
typedef struct stored_message {
    broker_message_t message;
    broker_header_t headers[STORED_HEADERS_MAX];
} stored_message_t;

/* Appends the array. */
void stored_message_pack(text_buffer_t *out, const broker_message_t *message);

/* Its texts are those of the arguments. False: it is no such array. */
bool stored_message_unpack(stored_message_t *out, text_t properties, text_t body)
    __attribute__((warn_unused_result));

#endif
