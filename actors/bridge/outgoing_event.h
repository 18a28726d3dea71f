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
    bool has_slot;                 /* its memory is of EVENT_SLOT_BYTES */

    outgoing_event_t *partition_next, *partition_before; /* progress.c: by position */
};

/* Memory of events that are done, for those to come: most are of about one size, and a thousand of them are in flight, which
 * is more than malloc keeps at hand. Zero-initialised is empty. */
typedef struct event_shelf {
    outgoing_event_t *spare; /* linked by lane_next */
    size_t count;
} event_shelf_t;

enum {
    EVENT_SLOT_BYTES = 1024, /* an event that fits has a place of the shelf, a larger one its own */
    EVENT_SPARE_MAX = 1024,  /* places kept */
};

/* Copies the message into one allocation, from the shelf or for it. shelf NULL: for free(). */
outgoing_event_t *outgoing_event_new(event_shelf_t *shelf, const msg_event_t *message);

/* One that was made with the shelf, or with none. */
void outgoing_event_free(event_shelf_t *shelf, outgoing_event_t *event);

void event_shelf_fini(event_shelf_t *shelf);

#endif
