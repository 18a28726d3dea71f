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

/* What an operator can do about a queue that confirms nothing or answers 541 INTERNAL_ERROR. RabbitMQ 3.10 that is
 * killed right after it made a quorum queue has forgotten which log is the queue's, and nobody leads it from then on. */
extern const char broker_no_leader[];

/* Says that the broker closed `what`, a channel or the connection, and what to do about it; ERR_BROKER_DOWN. before:
 * what was asked for and ": ", or "". */
int broker_closed(const char *before, const char *what, unsigned code, amqp_bytes_t why,
                  detail_t *detail);

#endif
