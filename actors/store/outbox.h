/* SPDX-License-Identifier: Apache-2.0
 * outbox.h - which committed events go to which bridge when: the cursor over the event log.
 *
 * The log is numbered without gaps. A bridge that keeps up is fed from memory, event by event as they
 * are committed; one without credit falls behind and is fed from the log, from the position it was
 * last given. What is confirmed is kept per partition; `low` is the position up to which all are.
 *
 * Bound     unconfirmed events and their bytes, those in parked lanes among them. At either of them
 *           nothing that makes an event is accepted, until both are below 90%.
 * Pure: plain data, no clock, no database. A copy of the struct is a savepoint.
 */
#ifndef USERBUS_ACTORS_STORE_OUTBOX_H
#define USERBUS_ACTORS_STORE_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/event.h"

enum { OUTBOX_BRIDGES_MAX = 64, OUTBOX_NOBODY = -1 };

typedef struct outbox_load {
    int64_t events, bytes; /* bytes as event_bytes counts them */
} outbox_load_t;

typedef struct outbox_bridge {
    int64_t attach_id;         /* of the bridge's present life; 0: it was never there */
    int64_t credit;            /* events it may be sent now */
    outbox_load_t unconfirmed; /* of its partitions, what was not confirmed in this life */
    int64_t handed;            /* all its events up to this position were handed to it */
    bool behind;               /* the log holds more for it */
} outbox_bridge_t;

typedef struct outbox {
    outbox_load_t max;
    outbox_load_t parked; /* in parked lanes instead of the log */
    bool full;
    int64_t head;                       /* position of the last event */
    int64_t last[PARTITION_COUNT];      /* of each partition's last event; 0: it is confirmed */
    int64_t confirmed[PARTITION_COUNT]; /* of each partition, every event up to here is confirmed */
    uint64_t unsaved;                   /* partitions whose confirmed is not in the database yet */
    unsigned bridge_count;
    outbox_bridge_t bridges[OUTBOX_BRIDGES_MAX];
} outbox_t;

/* outbox_count follows for every event behind the saved low position. */
void outbox_init(outbox_t *self, outbox_load_t max, unsigned bridge_count, int64_t head,
                 const int64_t confirmed[PARTITION_COUNT]);

/* Is there room for one more event? */
bool outbox_accepts(outbox_t *self);

/* What is unconfirmed in all, and its events alone. */
outbox_load_t outbox_load(const outbox_t *self);
int64_t outbox_size(const outbox_t *self);

/* Counts one more event and gives its position. */
int64_t outbox_append(outbox_t *self, unsigned partition, int64_t bytes);

/* Counts what came into parked lanes; negative: what left them. */
void outbox_park(outbox_t *self, int64_t events, int64_t bytes);

/* Tells which bridge gets the event just appended at once; OUTBOX_NOBODY: its bridge reads the log
 * later. Takes one of its credit. */
int outbox_hand_over(outbox_t *self, unsigned partition, int64_t position);

/* An event found in the log behind `low` when the store or a bridge starts. */
void outbox_count(outbox_t *self, unsigned partition, int64_t position, int64_t bytes);

/* A bridge begins a life: what it had is forgotten and read from the log again. True: it had a life
 * before, so its unconfirmed events must be counted anew, all events of its partitions behind
 * outbox_low. */
bool outbox_attach(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t credit);

/* Did a later life of the bridge begin already? Then this one has ended, and its attach must not count. */
bool outbox_is_late(const outbox_t *self, unsigned bridge, int64_t attach_id);

/* Is this the bridge's present life? What another one says is late news: it must not count. */
bool outbox_is_life(const outbox_t *self, unsigned bridge, int64_t attach_id);

/* So many events were confirmed, or parked; of another life it is ignored. */
void outbox_credit(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t events,
                   int64_t bytes);

/* Every event of the partition up to a position is confirmed or parked. It never goes back. */
void outbox_confirm(outbox_t *self, unsigned partition, int64_t position);

/* The position up to which every event of every partition is confirmed. */
int64_t outbox_low(const outbox_t *self);

/* Is the bridge to be fed from the log now? */
bool outbox_wants_log(const outbox_t *self, unsigned bridge);

/* An event read from the log, in order from behind `handed`: is it to be sent to the bridge? Takes one
 * of its credit and moves `handed`. */
bool outbox_take(outbox_t *self, unsigned bridge, unsigned partition, int64_t position);

/* The log was read to its end. */
void outbox_caught_up(outbox_t *self, unsigned bridge);

#endif
