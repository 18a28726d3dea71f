/* SPDX-License-Identifier: Apache-2.0
 * store_actor.h - the user store: the only thread that speaks SQL to the users' database.
 *
 * Receives  user_create ... health     "store"; bounded by the http actors' open requests
 *           bridge_attach, bridge_credit, confirmed_position, event_parked, bridge_state
 *                                    bounded by the bridges' credit
 *           status, lane_list, lane_release, lane_discard
 *           stop
 *           checkpoint_done   one per request
 * Sends     user_reply      to http.<reply_to>: one per request, also when it fails, after COMMIT
 *           event (batch), lane_open     to bridge.<i>, after COMMIT, within its credit
 *           bridge_attached, lane_closed     to bridge.<i>, when it attaches
 *           checkpoint_request   to checkpoint: one at a time
 * Fails     a batch that cannot be committed is rolled back and answered 503 store-unavailable; an
 *           I/O error of the database ends the actor with ERR_DATABASE_FATAL, never retried
 */
#ifndef USERBUS_ACTORS_STORE_STORE_ACTOR_H
#define USERBUS_ACTORS_STORE_STORE_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h"

typedef struct store_conf {
    const char *database_url;  /* "sqlite:PATH" */
    const char *queue;         /* named in event bodies; borrowed for the actor's life */
    unsigned http_count;       /* replies go to http.0 ... */
    unsigned bridge_count;     /* a partition's events go to bridge.<partition % bridge_count> */
    bool read_events;          /* false: a read is neither counted nor announced */
    int64_t outbox_max_events; /* unconfirmed events; at it requests that make one get 503 */
    int64_t outbox_max_bytes;  /* the same for their bytes */
    int64_t lane_max_events;   /* of a parked lane; at it its user's requests get 429 */
    int lane_retry_ms;         /* delay of its second try; grows to lane_retry_max_ms */
    int lane_retry_max_ms;
    int64_t event_retention_s; /* confirmed events younger than this stay */
    bool has_checkpoint_actor; /* false: the store moves the database's log itself */
} store_conf_t;

/* conf: store_conf_t. Its init opens and migrates the database. */
extern const actor_class_t store_actor;

#endif
