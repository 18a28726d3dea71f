/* SPDX-License-Identifier: Apache-2.0
 * lanes.h - which events may be in flight: a lane per user, with the rule of a readers-writer lock. A
 * write is alone in flight; reads are in flight together, but never beside a write and never past
 * one that waits. An event that failed goes again first, after its lane was parked a while; other
 * lanes flow on.
 *
 * Bound     the credit that the bridge granted, since every event held was paid for with it.
 * Pure: plain data, the caller brings time and randomness.
 */
#ifndef USERBUS_ACTORS_BRIDGE_LANES_H
#define USERBUS_ACTORS_BRIDGE_LANES_H

#include <stddef.h>

#include "actors/bridge/outgoing_event.h"
#include "pipeline/backoff.h"

enum { LANE_BUCKETS = 4096, PARK_BASE_MS = 100, PARK_CAP_MS = 30000 };

typedef struct lane {
    uint8_t user_id[ID_BYTES];
    struct lane *bucket_next;
    outgoing_event_t *first, *last; /* all events that are not confirmed, in order */
    outgoing_event_t *next;         /* the first that is not in flight, or NULL */
    size_t reads_in_flight;
    bool write_in_flight;
    bool ready;              /* stands in the list of lanes that have something to publish */
    struct lane *ready_next; /* in that list */
    backoff_t backoff;
    int64_t parked_until_ms; /* 0: not parked */
    struct lane *parked_next;
} lane_t;

typedef struct lanes {
    lane_t *buckets[LANE_BUCKETS];
    lane_t *ready_first, *ready_last;
    lane_t *parked;       /* in no order: there are few, or all of them at once */
    int64_t next_wake_ms; /* of the first lane that is to be woken; INT64_MAX: none is parked */
    size_t events, in_flight, parked_count;
} lanes_t;

void lanes_init(lanes_t *self);

/* Frees every event. */
void lanes_fini(lanes_t *self);

/* Takes the event over; it is the newest of its user. */
void lanes_add(lanes_t *self, outgoing_event_t *event);

/* The next event to publish, which is in flight from then on; NULL: none may go now. Lanes take
 * turns. */
outgoing_event_t *lanes_next(lanes_t *self);

/* The event in flight is done, and freed. */
void lanes_confirmed(lanes_t *self, outgoing_event_t *event);

/* The event in flight was not taken: its lane is parked. */
void lanes_failed(lanes_t *self, outgoing_event_t *event, int64_t now_ms, uint64_t random);

/* Lets the parked lanes go whose time has come. */
void lanes_wake(lanes_t *self, int64_t now_ms);

/* Nobody knows the outcome of what is in flight: all of it is to go again, in order. */
void lanes_requeue_all(lanes_t *self);

#endif
