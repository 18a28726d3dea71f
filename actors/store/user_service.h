/* SPDX-License-Identifier: Apache-2.0
 * user_service.h - the rules of users: what each request does to one, and whether that is an event.
 */
#ifndef USERBUS_ACTORS_STORE_USER_SERVICE_H
#define USERBUS_ACTORS_STORE_USER_SERVICE_H

#include "actors/store/database.h"
#include "proto/message.h"
#include "proto/text_buffer.h"

/* What a request did. */
typedef struct user_outcome {
    user_t user;   /* as it is now */
    bool eventful; /* false: nothing changed, nothing to announce */
} user_outcome_t;

/* Each runs within a transaction. now_us: wall clock. On an error of the client (ERR_USER_NOT_FOUND,
 * ERR_EMAIL_TAKEN) nothing changed; others are the database's. */
int user_create(database_t *database, const msg_user_create_t *request, int64_t now_us,
                user_outcome_t *out);
/* counted: the view counts and is an event. */
int user_read(database_t *database, const msg_user_read_t *request, bool counted,
              user_outcome_t *out);
int user_update(database_t *database, const msg_user_update_t *request, int64_t now_us,
                user_outcome_t *out);
int user_delete(database_t *database, const msg_user_delete_t *request, int64_t now_us,
                user_outcome_t *out);

/* Appends {"users": [...], "next": cursor or null} and copies the cursor's id to `next`, *next_size
 * being its size (0: there are no more). ERR_BAD_QUERY: the cursor names nobody. */
int user_list(database_t *database, const msg_user_list_t *request, text_buffer_t *out,
              uint8_t next[ID_BYTES], size_t *next_size);

#endif
