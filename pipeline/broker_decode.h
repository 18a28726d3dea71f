/* SPDX-License-Identifier: Apache-2.0
 * broker_decode.h - from the frames that arrive to the events of broker_connection.h: a message comes
 * as a method, a header and any number of body frames (AMQP 0-9-1 section 4.2.6). Pure: no socket.
 */
#ifndef USERBUS_PIPELINE_BROKER_DECODE_H
#define USERBUS_PIPELINE_BROKER_DECODE_H

#include <amqp.h>

#include "pipeline/broker_connection.h"
#include "proto/text_buffer.h"

enum { BROKER_RECEIVED_HEADERS_MAX = 64, HEADER_NUMBER_SIZE = 24 };

typedef enum broker_decoder_state {
    DECODE_METHOD,
    DECODE_HEADER,
    DECODE_BODY
} broker_decoder_state_t;

/* Zero-initialised is ready for the first frame. */
typedef struct broker_decoder {
    broker_decoder_state_t state;
    broker_event_t event;   /* the complete one; points into the frames it was made of */
    broker_event_t content; /* being put together */
    broker_header_t headers[BROKER_RECEIVED_HEADERS_MAX];
    char numbers[BROKER_RECEIVED_HEADERS_MAX][HEADER_NUMBER_SIZE];
    text_buffer_t body; /* of a message with more than one body frame */
    uint64_t body_left; /* bytes */
} broker_decoder_t;

/* Takes one frame, whose memory must stay until the event was used. 1: self->event is complete;
 * 0: more frames are needed, or the frame tells nothing (a heartbeat); ERR_BROKER_DOWN: the broker
 * closes the channel or the connection, or sent what must not stand here, and *detail says so. */
int broker_decode(broker_decoder_t *self, const amqp_frame_t *frame, detail_t *detail);

void broker_decoder_fini(broker_decoder_t *self);

#endif
