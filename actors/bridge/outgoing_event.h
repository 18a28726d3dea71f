/* SPDX-License-Identifier: Apache-2.0
 * outgoing_event.h - one event that a bridge holds, from the store's message until its confirm. The
 * lanes own it; the other cores only link it.
 */
#ifndef USERBUS_ACTORS_BRIDGE_OUTGOING_EVENT_H
#define USERBUS_ACTORS_BRIDGE_OUTGOING_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/event.h"

typedef struct outgoing_event outgoing_event_t;

struct outgoing_event {
    int64_t position, sequence, created_us;
    int64_t bytes; /* event_bytes */
    unsigned partition;
    event_kind_t kind;
    uint8_t id[ID_BYTES], user_id[ID_BYTES];
    text_t request_id, traceparent, tracestate, body; /* in the same allocation */

    struct lane *lane;             /* lanes.c: its user's */
    outgoing_event_t *lane_next;   /* lanes.c: behind it in order */
    outgoing_event_t *lane_before; /* lanes.c */
    unsigned round;                /* lanes.c: of its lane when it was published */
    bool in_flight;                /* lanes.c: published, its outcome not yet known */
    bool has_failed;               /* lanes.c */

    outgoing_event_t *partition_next, *partition_before; /* progress.c: by position */
};

/* Copies the message into one allocation, for free(). */
outgoing_event_t *outgoing_event_new(const msg_event_t *message);

#endif
