/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/look.h"

#include <string.h>

#include "actors/store/user_service.h"
#include "proto/errors.h"

static void keep_key(look_t *self, text_buffer_t *keys, text_t key)
{
    self->at = keys->size;
    self->size = key.size;
    text_add(keys, key);
}

look_t look_keep(text_buffer_t *keys, const message_t *request)
{
    look_t look = {.type = request->type};
    if (request->type == MSG_user_read) {
        look.by_email = request->user_read.id.size == 0;
        keep_key(&look, keys, look.by_email ? request->user_read.email_key : request->user_read.id);
    } else if (request->type == MSG_user_list) {
        look.limit = request->user_list.limit;
        keep_key(&look, keys, request->user_list.after);
    }
    return look;
}

/* --- the looks -------------------------------------------------------------------------------- */

static int look_at_user(const look_t *self, text_t key, database_t *database, look_room_t *room,
                        msg_user_reply_t *reply)
{
    msg_user_read_t request = {0};
    user_outcome_t outcome;
    *(self->by_email ? &request.email_key : &request.id) = key;
    int error = user_read(database, &request, false, &outcome);
    if (error != 0)
        return error;
    user_json(&room->json, &outcome.user);
    memcpy(room->id, outcome.user.id, ID_BYTES);
    reply->id = (text_t){(const char *)room->id, ID_BYTES};
    reply->version = outcome.user.version;
    reply->body = text_buffer_view(&room->json);
    return 0;
}

static int look_at_page(const look_t *self, text_t key, database_t *database, look_room_t *room,
                        msg_user_reply_t *reply)
{
    const msg_user_list_t request = {.after = key, .limit = self->limit};
    size_t next_size = 0;
    int error = user_list(database, &request, &room->json, room->id, &next_size);
    reply->next = (text_t){(const char *)room->id, next_size};
    reply->body = text_buffer_view(&room->json);
    return error;
}

/* Nobody has this id, and to find that out is to read. */
static int look_at_nobody(const look_t *self, text_t key, database_t *database, look_room_t *room,
                          msg_user_reply_t *reply)
{
    static const uint8_t nobody[ID_BYTES];
    user_t user;
    (void)self, (void)key, (void)room, (void)reply;
    int error =
        database->class->user_by_id(database, (text_t){(const char *)nobody, ID_BYTES}, &user);
    return error == ERR_USER_NOT_FOUND ? 0 : error;
}

static int (*const looks[MSG_count])(const look_t *self, text_t key, database_t *database,
                                     look_room_t *room, msg_user_reply_t *reply) = {
    [MSG_user_read] = look_at_user,
    [MSG_user_list] = look_at_page,
    [MSG_health] = look_at_nobody,
};

bool look_suffices(const look_t *self)
{
    return looks[self->type] != NULL;
}

int look_again(const look_t *self, const text_buffer_t *keys, database_t *database,
               look_room_t *room, msg_user_reply_t *reply)
{
    must(look_suffices(self));
    text_buffer_clear(&room->json);
    const text_t key = {self->size > 0 ? keys->data + self->at : "", self->size};
    return looks[self->type](self, key, database, room, reply);
}
