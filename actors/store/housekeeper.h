/* SPDX-License-Identifier: Apache-2.0
 * housekeeper.h - what the store does beside requests: saves confirmed positions, deletes old events, asks for
 * checkpoints, and says when the database cannot be written. Part of the store actor.
 *
 * Order     While an event is on its way beside the log (lane_keeper.h), no position is saved and nothing deleted.
 * Fails     what may pass is logged and tried again; only ERR_DATABASE_FATAL is told
 */
#ifndef USERBUS_ACTORS_STORE_HOUSEKEEPER_H
#define USERBUS_ACTORS_STORE_HOUSEKEEPER_H

#include "actors/store/event_feed.h"
#include "actors/store/lane_keeper.h"

typedef struct housekeeper {
    const char *name; /* of the actor, for the log; the first four are borrowed */
    database_t *database;
    event_feed_t *feed;
    const lane_keeper_t *lanes;
    int64_t retention_s;
    sender_t *checkpoint; /* NULL: there is no such actor */
    frame_t requests;     /* to it */

    int64_t next_save_ms, next_trim_ms, last_request_ms; /* monotonic */
    bool idle;                                           /* no request came for a while */

    bool unwritable;           /* the last batch that would have changed something could not */
    int64_t next_complaint_ms; /* monotonic */
    int64_t refused;           /* requests of failed batches since the last complaint */
} housekeeper_t;

/* Takes the sender, which may be NULL. Zeroed before. */
void housekeeper_init(housekeeper_t *self, const char *name, event_feed_t *feed,
                      const lane_keeper_t *lanes, int64_t retention_s, sender_t *checkpoint);

/* Also of a zeroed one. */
void housekeeper_fini(housekeeper_t *self);

/* Requests were answered. */
void housekeeper_note_requests(housekeeper_t *self, int64_t now_ms);

/* Within a batch's transaction, before its commit: positions that are due ride along. An error is the
 * database's. */
int housekeeper_ride(housekeeper_t *self, int64_t now_ms) __attribute__((warn_unused_result));

/* Between batches, in transactions of its own. *more: there is more to do at once. */
int housekeeper_turn(housekeeper_t *self, int64_t now_ms, bool *more)
    __attribute__((warn_unused_result));

/* The last turn: what is unsaved is saved now. */
int housekeeper_finish(housekeeper_t *self) __attribute__((warn_unused_result));

/* When a turn is due without mail. */
int64_t housekeeper_due_ms(const housekeeper_t *self);

/* A batch of so many requests failed; writes: it would have changed something. A line in the log now and
 * then: a full disk fails every batch until it has room again. */
void housekeeper_note_failure(housekeeper_t *self, bool writes, size_t requests, int error,
                              int64_t now_ms);

/* Something was committed. */
void housekeeper_note_written(housekeeper_t *self);

#endif
