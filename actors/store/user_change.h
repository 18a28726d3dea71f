/* SPDX-License-Identifier: Apache-2.0
 * user_change.h - a request that changes a user, or counts a view, and its event, within a batch's transaction.
 * Part of the store actor.
 */
#ifndef USERBUS_ACTORS_STORE_USER_CHANGE_H
#define USERBUS_ACTORS_STORE_USER_CHANGE_H

#include "actors/store/lane_keeper.h"
#include "actors/store/user_service.h"

typedef struct user_change {
    const char *queue; /* named in event bodies; all three are borrowed */
    lane_keeper_t *lanes;
    database_t *database;
    user_outcome_t outcome;   /* of the request at hand */
    text_buffer_t json, body; /* of its user, and of its event */
} user_change_t;

/* Zeroed before. */
void user_change_init(user_change_t *self, const char *queue, lane_keeper_t *lanes);

/* Also of a zeroed one. */
void user_change_fini(user_change_t *self);

/* Does a user_create, user_read, user_update or user_delete and fills the reply, whose texts live until the next
 * one. An error of the client or the database's. */
int user_change_do(user_change_t *self, const message_t *message, msg_user_reply_t *reply)
    __attribute__((warn_unused_result));

#endif
