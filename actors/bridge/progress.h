/* SPDX-License-Identifier: Apache-2.0
 * progress.h - up to which position each partition is confirmed: just before the oldest event that is
 * not, or at the newest that was handed over when all are. Pure.
 */
#ifndef USERBUS_ACTORS_BRIDGE_PROGRESS_H
#define USERBUS_ACTORS_BRIDGE_PROGRESS_H

#include "actors/bridge/outgoing_event.h"

/* Zero-initialised is empty. */
typedef struct progress {
    struct {
        outgoing_event_t *first, *last; /* not confirmed, by position; linked through the events */
        int64_t newest;                 /* position of the last event handed over; 0: none */
        int64_t reported;
    } partitions[PARTITION_COUNT];
} progress_t;

/* The event was handed over: the newest of its partition. */
void progress_add(progress_t *self, outgoing_event_t *event);

/* The event was confirmed, before it is freed. */
void progress_confirmed(progress_t *self, outgoing_event_t *event);

/* True and the confirmed position, when the partition's moved since it was last taken. */
bool progress_take(progress_t *self, unsigned partition, int64_t *position);

#endif
