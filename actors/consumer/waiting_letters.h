/* SPDX-License-Identifier: Apache-2.0
 * waiting_letters.h - the dead letters of waiting events that are published and not yet confirmed. The row of each
 * stays until then, so a letter that is lost is made again.
 */
#ifndef USERBUS_ACTORS_CONSUMER_WAITING_LETTERS_H
#define USERBUS_ACTORS_CONSUMER_WAITING_LETTERS_H

#include "actors/consumer/pending_letters.h"
#include "actors/consumer/retry_schedule.h"
#include "actors/consumer/waiting_table.h"

enum { WAITING_LETTERS_MAX = 64 /* unconfirmed */ };

typedef struct waiting_letters {
    const char *actor, *queue; /* borrowed */
    pending_letters_t pending; /* by their publish tags; the other tag is a slot of */
    retry_lane_t *lanes[WAITING_LETTERS_MAX]; /* NULL: a free slot */
    text_buffer_t error, reason;              /* scratch */
} waiting_letters_t;

typedef void (*lane_visit_t)(void *context, retry_lane_t *lane);

void waiting_letters_init(waiting_letters_t *self, const char *actor, const char *queue);
void waiting_letters_fini(waiting_letters_t *self);

bool waiting_letters_has_room(const waiting_letters_t *self);

static inline size_t waiting_letters_count(const waiting_letters_t *self)
{
    return self->pending.count;
}

/* Encodes the letter of the lane's first event, as it was read; there is room. */
void waiting_letters_publish(waiting_letters_t *self, broker_connection_t *connection,
                             retry_lane_t *lane, const waiting_event_t *waiting,
                             const char *processor);

/* The broker has a letter, or all up to it: visits their lanes. */
void waiting_letters_confirm(waiting_letters_t *self, uint64_t publish_tag, bool multiple,
                             lane_visit_t visit, void *context);

/* The connection has gone, and nobody knows which of them arrived: visits all lanes, the last one first. */
void waiting_letters_lost(waiting_letters_t *self, lane_visit_t visit, void *context);

#endif
