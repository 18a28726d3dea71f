/* SPDX-License-Identifier: Apache-2.0
 * broker_private.h - what the files of broker_connection.h share: broker_open.c, which makes a connection,
 * and broker_connection.c, which uses it. Nobody else includes it.
 */
#ifndef USERBUS_PIPELINE_BROKER_PRIVATE_H
#define USERBUS_PIPELINE_BROKER_PRIVATE_H

#include <amqp.h>
#include <sys/time.h>

#include "pipeline/broker_connection.h"
#include "pipeline/broker_decode.h"
#include "proto/text_buffer.h"

enum { BROKER_CHANNEL = 1, BROKER_ADDRESS_SIZE = 256 };

struct broker_connection {
    amqp_connection_state_t library;
    char address[BROKER_ADDRESS_SIZE];
    bool healthy;    /* false: only to be closed */
    bool unreleased; /* the decoder's event points into the library's memory */
    size_t frame_max;
    int64_t deadline_ms; /* monotonic: of the calls that wait; 0: none */
    broker_pulse_t pulse;
    uint64_t published;   /* tag of the last publish */
    text_buffer_t out;    /* encoded */
    size_t sent, flushed; /* bytes of out: the socket has them; it should */
    broker_decoder_t decoder;
};

/* The time until a deadline, as the library wants it: a little at least. */
struct timeval broker_time_until(int64_t deadline_ms);

/* Marks the connection as dead; ERR_BROKER_DOWN. */
int broker_down(broker_connection_t *self, detail_t *detail, const char *what, const char *why);

/* Before each call of the library that waits: sends what is encoded and sets the call's time. `what`
 * names it for a person. */
int broker_begin_call(broker_connection_t *self, const char *what, detail_t *detail)
    __attribute__((warn_unused_result));

/* What became of the last call. */
int broker_end_call(broker_connection_t *self, const char *what, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
