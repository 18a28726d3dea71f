/* SPDX-License-Identifier: Apache-2.0
 * lane_keeper.h - parked lanes done: what comes back from bridges goes beside the log, what parked_lanes
 * decides goes back into it. Part of the store actor.
 *
 * Order     An event that came back is committed in `parked` before a position behind it is saved: while
 *           lane_keeper_is_settled is false, no position may be saved and nothing be trimmed.
 * Fails     what cannot be written now is kept in memory and tried again; only ERR_DATABASE_FATAL is told
 */
#ifndef USERBUS_ACTORS_STORE_LANE_KEEPER_H
#define USERBUS_ACTORS_STORE_LANE_KEEPER_H

#include "actors/store/event_feed.h"
#include "actors/store/parked_lanes.h"

typedef struct lane_keeper {
    const char *name;     /* of the actor, for the log; all three are borrowed */
    database_t *database; /* the feed's */
    event_feed_t *feed;
    parked_lanes_t lanes;
    msg_event_parked_t *returned; /* not in the database yet, in order */
    size_t returned_count, returned_capacity;
    int64_t retry_ms; /* monotonic: the database failed; not before this */
} lane_keeper_t;

/* Takes up what the database has. An error is the database's. Zeroed before. */
int lane_keeper_init(lane_keeper_t *self, const char *name, event_feed_t *feed,
                     const parked_lanes_conf_t *conf) __attribute__((warn_unused_result));

/* Also of a zeroed one. */
void lane_keeper_fini(lane_keeper_t *self);

/* --- within the batch's transaction ----------------------------------------------------------- */

/* Appends the event to the log, or to its user's lane. An error is the database's. */
int lane_keeper_append(lane_keeper_t *self, msg_event_t *event) __attribute__((warn_unused_result));

/* ERR_LANE_FULL: the user, found by one of the two, can have no more events. Other errors are the
 * database's or ERR_USER_NOT_FOUND. */
int lane_keeper_admit(lane_keeper_t *self, text_t id, text_t email_key)
    __attribute__((warn_unused_result));

/* --- what bridges say, between batches -------------------------------------------------------- */

/* Closes the lanes that are closed, first thing in a bridge's life. An error is the database's. */
int lane_keeper_attach(lane_keeper_t *self, unsigned bridge) __attribute__((warn_unused_result));

/* An event comes back. */
void lane_keeper_take(lane_keeper_t *self, const msg_event_parked_t *parked);

/* Writes what came back and lets lanes open, in transactions of its own. 0 or ERR_DATABASE_FATAL. */
int lane_keeper_turn(lane_keeper_t *self, int64_t now_ms) __attribute__((warn_unused_result));

bool lane_keeper_is_settled(const lane_keeper_t *self);

/* When a turn is due without mail; INT64_MAX: never. */
int64_t lane_keeper_due_ms(const lane_keeper_t *self);

/* --- operators, between batches --------------------------------------------------------------- */

/* Appends {"lanes": [...], "total": n}, those parked longest first. */
void lane_keeper_list(const lane_keeper_t *self, text_buffer_t *out, int64_t limit);

/* Lets the user's lane, or with NULL all in quarantine, try at once; appends {"released": n}.
 * ERR_LANE_NOT_FOUND, or the database's. */
int lane_keeper_release(lane_keeper_t *self, const uint8_t *user_id, text_buffer_t *out)
    __attribute__((warn_unused_result));

/* Deletes the events of the user's lane; appends {"discarded": n}. ERR_LANE_NOT_FOUND; ERR_LANE_BUSY:
 * not all of its events have come back yet; or the database's. */
int lane_keeper_discard(lane_keeper_t *self, const uint8_t user_id[ID_BYTES], text_buffer_t *out)
    __attribute__((warn_unused_result));

#endif
