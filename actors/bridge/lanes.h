/* SPDX-License-Identifier: Apache-2.0
 * lanes.h - which events may be in flight: a lane per user, with the rule of a readers-writer lock. A
 * write is alone in flight; reads are in flight together, but never beside a write and never past
 * one that waits.
 *
 * An event that failed goes again first, after its lane was parked a while; other lanes flow on. A
 * lane that keeps failing leaves: its events, and those that still come for it, are to be given back
 * to the store, until the lane is opened again. Only such failures count as its own between which
 * an event of another user was confirmed: a broker that refuses everybody is no user's fault.
 *
 * Bound     the credit that the bridge granted, since every event held was paid for with it.
 * Pure: plain data, the caller brings time and randomness.
 */
#ifndef USERBUS_ACTORS_BRIDGE_LANES_H
#define USERBUS_ACTORS_BRIDGE_LANES_H

#include <stddef.h>

#include "actors/bridge/outgoing_event.h"
#include "pipeline/backoff.h"

enum {
    LANE_BUCKETS = 4096,
    LANES_SPARE_MAX = 1024, /* kept for users to come: most lanes hold one event, for a moment */
    PARK_BASE_MS = 100,
    PARK_CAP_MS = 30000,
    LANE_TRIES = 5, /* counted failures in a row with which a lane leaves */
    LANE_HELD_MAX =
        256, /* events of a lane that waits and failed by its own fault; more, and it leaves */
};

typedef enum lane_state {
    LANE_FLOWING,
    LANE_PARKED,  /* waits until wake_ms to be tried again */
    LANE_LEAVING, /* waits for what is in flight; then it is closed */
    LANE_CLOSED,  /* its events are given back */
    LANE_STATE_COUNT
} lane_state_t;

typedef struct lane {
    uint8_t user_id[ID_BYTES];
    struct lane *bucket_next;
    lane_state_t state;
    outgoing_event_t *first, *last; /* all events that are not confirmed, in order */
    outgoing_event_t *next;         /* the first that is not in flight, or NULL */
    size_t held, reads_in_flight;
    bool write_in_flight;
    bool ready;              /* stands in the list of lanes that have something to publish */
    struct lane *ready_next; /* in that list */

    /* failures */
    unsigned round; /* one higher with each: what was published before it is no new one */
    size_t failing; /* events held that failed and were not confirmed since */
    int tries;      /* counted failures since the last time when none was failing */
    int64_t passed; /* confirmed events of other users, as of the last failure */
    int64_t own;    /* confirmed events of this lane */
    int reason;     /* of the last failure */
    bool counted;   /* it left by its own fault */
    backoff_t backoff;
    int64_t wake_ms;                          /* of a parked one */
    struct lane *parked_next, *parked_before; /* in the list of the parked */
    struct lane *left_next;                   /* in the list of closed ones that hold events */
} lane_t;

typedef struct lanes {
    lane_t *buckets[LANE_BUCKETS];
    lane_t *ready_first, *ready_last;
    lane_t *parked; /* in no order: there are few, or all of them at once */
    lane_t *left_first, *left_last;
    lane_t *spare; /* linked by bucket_next */
    size_t spare_count;
    event_shelf_t shelf;  /* for outgoing_event_new; takes the events that are done */
    int64_t next_wake_ms; /* of the first lane that is to be woken; INT64_MAX: none is parked */
    int64_t confirmed;    /* events, ever */
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

/* The event in flight was not taken: its lane is parked, or leaves. reason: the reply code of the
 * return; 0: a nack. */
void lanes_failed(lanes_t *self, outgoing_event_t *event, int reason, int64_t now_ms,
                  uint64_t random);

/* Lets the parked lanes go whose time has come. */
void lanes_wake(lanes_t *self, int64_t now_ms);

/* Nobody knows the outcome of what is in flight: all of it is to go again, in order. */
void lanes_requeue_all(lanes_t *self);

/* --- lanes that leave ------------------------------------------------------------------------- */

/* How an event left. */
typedef struct departure {
    bool counted; /* by its lane's own fault */
    int reason;   /* as for lanes_failed */
} departure_t;

/* The next event to be given back, those of a lane in order; NULL: there is none. It is the caller's
 * to free, by outgoing_event_free with the shelf. */
outgoing_event_t *lanes_take_left(lanes_t *self, departure_t *how);

/* Nothing is in flight and every lane is parked, so that nothing can move: the one that holds most
 * leaves, not counted, so that events of others come in and show whose fault it is. False: something
 * can move. */
bool lanes_yield(lanes_t *self);

/* The store has events of this user that go before those that come: the lane is closed. */
void lanes_close(lanes_t *self, const uint8_t user_id[ID_BYTES]);

/* What comes for this user from now on is to be published. */
void lanes_open(lanes_t *self, const uint8_t user_id[ID_BYTES]);

#endif
