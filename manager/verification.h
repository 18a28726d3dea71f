/* SPDX-License-Identifier: Apache-2.0
 * verification.h - where each stored event is, counted by type and hour, and what that says. Pure: who looks
 * tells it of every event what the store and the inbox know, and of the queue what the broker says.
 *
 * Memory    a row per hour, and VERIFY_SUSPECTS_MAX suspects: events that are confirmed and that the worker has
 *           not seen, which may be in the queue still. Beyond that they are only counted.
 */
#ifndef USERBUS_MANAGER_VERIFICATION_H
#define USERBUS_MANAGER_VERIFICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/event.h"

enum { VERIFY_SUSPECTS_MAX = 1000000 };

#define VERIFY_HOUR_US (INT64_C(3600) * 1000000)

/* What is known of one event. */
typedef enum event_place {
    PLACE_UNSENT,    /* the broker has not confirmed it yet */
    PLACE_PARKED,    /* the broker did not take it: beside the log, until it is tried again */
    PLACE_DISCARDED, /* by an operator, while it was parked */
    PLACE_PROCESSED, /* by the worker, as the next two tell */
    PLACE_WAITING,
    PLACE_DEAD,
    PLACE_UNHANDLED, /* the handler table has no row for its type, so the inbox does not keep it */
    PLACE_FORGOTTEN, /* older than what the inbox keeps */
    PLACE_UNSEEN,    /* confirmed, and the worker has not seen it */
    PLACE_COUNT
} event_place_t;

typedef struct verified_hour {
    int64_t hour_us; /* where it begins */
    int64_t counts[EVENT_KIND_COUNT][PLACE_COUNT];
} verified_hour_t;

typedef struct suspect {
    uint8_t id[ID_BYTES];
    int64_t created_us;
    event_kind_t kind;
} suspect_t;

/* Zero-initialised is empty. */
typedef struct verification {
    verified_hour_t *hours; /* in order */
    size_t hour_count, hour_capacity;
    suspect_t *suspects; /* in order of the log */
    size_t suspect_count, suspect_capacity;
    int64_t totals[PLACE_COUNT];
} verification_t;

void verification_fini(verification_t *self);

/* One stored event. */
void verification_add(verification_t *self, const uint8_t id[ID_BYTES], event_kind_t kind,
                      int64_t created_us, event_place_t place);

/* The worker has seen the suspect by now: it is none any more. What is behind it moves up. */
void verification_clear(verification_t *self, size_t suspect, event_place_t place);

/* What the broker says of the queue after the suspects were looked for in the inbox. */
typedef struct queue_view {
    bool answers;
    int64_t messages;  /* ready to be delivered */
    int64_t consumers; /* may hold some unacknowledged */
    bool is_settled;   /* it has been empty for so long that no consumer can hold one still */
} queue_view_t;

typedef enum verdict {
    VERDICT_COMPLETE,    /* nothing is missing and nothing under way */
    VERDICT_ON_THE_WAY,  /* nothing is known to be missing */
    VERDICT_MISSING,     /* every suspect */
    VERDICT_SOME_MISSING /* there are more suspects than messages: *missing of them at least */
} verdict_t;

/* *missing: how many at least. */
verdict_t verification_verdict(const verification_t *self, const queue_view_t *queue,
                               int64_t *missing);

#endif
