/* SPDX-License-Identifier: Apache-2.0
 * broker_encode.h - the frames of what is sent per message, written into one buffer (AMQP 0-9-1 section
 * 2.3.5, 4.2). Pure: no socket, no connection. Part of amqp_connection.
 */
#ifndef USERBUS_PIPELINE_BROKER_ENCODE_H
#define USERBUS_PIPELINE_BROKER_ENCODE_H

#include "pipeline/broker_connection.h"
#include "proto/text_buffer.h"

enum { BROKER_PUBLISH_HEADERS_MAX = 32 };

/* Appends basic.publish (mandatory), the content header and the body, cut into frames of at most
 * frame_max bytes. At most BROKER_PUBLISH_HEADERS_MAX headers; exchange and routing key at most 255
 * bytes, as are all properties but the headers' values. */
void broker_encode_publish(text_buffer_t *out, uint16_t channel, size_t frame_max,
                           const broker_message_t *message);

void broker_encode_ack(text_buffer_t *out, uint16_t channel, uint64_t tag, bool multiple);

/* basic.nack of one delivery, which goes back into its queue. */
void broker_encode_requeue(text_buffer_t *out, uint16_t channel, uint64_t tag);

#endif
