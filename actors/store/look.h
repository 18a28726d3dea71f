/* SPDX-License-Identifier: Apache-2.0
 * look.h - what a request that only reads asked for, kept until its batch is committed: when that fails,
 * or when no view can be counted, it is answered by a look that writes nothing.
 */
#ifndef USERBUS_ACTORS_STORE_LOOK_H
#define USERBUS_ACTORS_STORE_LOOK_H

#include "actors/store/database.h"
#include "proto/text_buffer.h"

typedef struct look {
    message_type_t type;
    bool by_email;   /* the key is an email's, else an id */
    size_t at, size; /* of the key, in the batch's keys; of a page: the id behind which it begins */
    int64_t limit;   /* of a page */
} look_t;

/* What the look's answer is made in; the reply's texts point into it. */
typedef struct look_room {
    text_buffer_t json;
    uint8_t id[ID_BYTES];
} look_room_t;

/* Keeps of any request what look_again needs, its key behind the others in `keys`. */
look_t look_keep(text_buffer_t *keys, const message_t *request);

/* Can the request be answered without writing? */
bool look_suffices(const look_t *self);

/* Answers such a request from what is committed, or in a transaction from what that sees. An error of
 * the client, or the database's. */
int look_again(const look_t *self, const text_buffer_t *keys, database_t *database,
               look_room_t *room, msg_user_reply_t *reply) __attribute__((warn_unused_result));

#endif
