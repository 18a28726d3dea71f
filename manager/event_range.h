/* SPDX-License-Identifier: Apache-2.0
 * event_range.h - the part of the event log that was made between two times, found by bisection: the log
 * has no index on time, but its positions are in order of it. Events that were parked and appended again
 * stand later than their time; they stand in small groups, so each probe looks at EVENT_PROBE_ROWS rows.
 */
#ifndef USERBUS_MANAGER_EVENT_RANGE_H
#define USERBUS_MANAGER_EVENT_RANGE_H

#include "actors/store/database.h"

enum { EVENT_PROBE_ROWS = 1200 };

typedef struct event_range {
    int64_t from_us, to_us; /* from is in it, to is not */
    int64_t after, last;    /* positions: events behind `after`, up to `last` */
    saved_positions_t positions;
} event_range_t;

/* Finds the positions of from_us and to_us, which are set before. An error of the database. */
int event_range_find(event_range_t *self, database_t *database) __attribute__((warn_unused_result));

/* Is an event of these positions in the range by its own time? */
static inline bool event_range_holds(const event_range_t *self, const msg_event_t *event)
{
    return event->created_us >= self->from_us && event->created_us < self->to_us;
}

/* The broker has confirmed it. */
static inline bool event_range_is_confirmed(const event_range_t *self, const msg_event_t *event)
{
    return event->position <= self->positions.confirmed[event->partition];
}

/* The bisection alone: the highest position of lo..hi all events up to which are older than us. `newest`
 * gives the latest time of the events that follow a position; -1: there are none. */
typedef int event_newest_t(void *context, int64_t after, int64_t *newest_us);
int event_range_bisect(int64_t lo, int64_t hi, int64_t us, event_newest_t *newest, void *context,
                       int64_t *out) __attribute__((warn_unused_result));

#endif
