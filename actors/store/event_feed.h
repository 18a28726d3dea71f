/* SPDX-License-Identifier: Apache-2.0
 * event_feed.h - committed events on their way to the bridges: what the outbox decides, done. Part of
 * the store actor.
 *
 * Every frame to a bridge begins with bridge_attached, which names the life that it is for.
 *
 * Bound     a bridge is sent no more than the credit it gave; the rest waits in the event log.
 */
#ifndef USERBUS_ACTORS_STORE_EVENT_FEED_H
#define USERBUS_ACTORS_STORE_EVENT_FEED_H

#include "actors/store/database.h"
#include "actors/store/outbox.h"
#include "pipeline/mailbox.h"

typedef struct event_feed {
    mailroom_t *room;     /* borrowed */
    database_t *database; /* borrowed */
    outbox_t outbox;
    sender_t *senders[OUTBOX_BRIDGES_MAX]; /* NULL: has not attached yet */
    frame_t frames[OUTBOX_BRIDGES_MAX];    /* to be sent after COMMIT */
} event_feed_t;

/* Takes the outbox up where the database has it. An error is the database's. Zeroed before. */
int event_feed_init(event_feed_t *self, mailroom_t *room, database_t *database,
                    unsigned bridge_count, outbox_load_t max) __attribute__((warn_unused_result));

/* Also of a zeroed one. */
void event_feed_fini(event_feed_t *self);

/* Gives the event its position and appends it to the log, within the transaction at hand. An error is
 * the database's. */
int event_feed_append(event_feed_t *self, msg_event_t *event) __attribute__((warn_unused_result));

/* Something for the bridge of a partition, before what is appended after it; to nobody when that bridge
 * has not attached. The fields are borrowed for the call. */
void event_feed_tell(event_feed_t *self, unsigned partition, message_type_t type,
                     const void *fields);

/* After COMMIT: what was appended goes to the bridges that keep up. */
void event_feed_send(event_feed_t *self);

/* After a rollback: what was appended since the outbox looked like `savepoint` is forgotten. */
void event_feed_roll_back(event_feed_t *self, const outbox_t *savepoint);

/* A bridge begins a life, and is told so at once. An error is the database's. */
int event_feed_attach(event_feed_t *self, const msg_bridge_attach_t *attach)
    __attribute__((warn_unused_result));

/* Reads the log a little for each bridge that lags and has credit, and sends it on. *more: there is
 * more to read at once. An error is the database's. */
int event_feed_read_log(event_feed_t *self, bool *more) __attribute__((warn_unused_result));

/* Wall clock, in microseconds, of the oldest event in the log that is not confirmed; -1: all are, as far
 * as a look at the beginning tells. An error is the database's. */
int event_feed_oldest(const event_feed_t *self, int64_t *created_us)
    __attribute__((warn_unused_result));

/* Saves the positions that moved, within the transaction at hand. An error is the database's. */
int event_feed_save(event_feed_t *self) __attribute__((warn_unused_result));

#endif
