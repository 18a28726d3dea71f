/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/user_change.h"

#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "proto/uuid7.h"

void user_change_init(user_change_t *self, const char *queue, lane_keeper_t *lanes)
{
    self->queue = queue;
    self->lanes = lanes;
    self->database = lanes->database;
}

void user_change_fini(user_change_t *self)
{
    text_buffer_fini(&self->json);
    text_buffer_fini(&self->body);
}

static int create(user_change_t *self, const message_t *message, int64_t now_us)
{
    return user_create(self->database, &message->user_create, now_us, &self->outcome);
}

static int read_one(user_change_t *self, const message_t *message, int64_t now_us)
{
    (void)now_us;
    return user_read(self->database, &message->user_read, true, &self->outcome);
}

static int update(user_change_t *self, const message_t *message, int64_t now_us)
{
    return user_update(self->database, &message->user_update, now_us, &self->outcome);
}

static int delete_one(user_change_t *self, const message_t *message, int64_t now_us)
{
    return user_delete(self->database, &message->user_delete, now_us, &self->outcome);
}

/* The requests that may be events. */
static const struct {
    int (*run)(user_change_t *self, const message_t *message, int64_t now_us);
    event_kind_t kind;
} rules[MSG_count] = {
    [MSG_user_create] = {create, EVENT_USER_CREATE},
    [MSG_user_read] = {read_one, EVENT_USER_READ},
    [MSG_user_update] = {update, EVENT_USER_UPDATE},
    [MSG_user_delete] = {delete_one, EVENT_USER_DELETE},
};

/* Appends the event of what was just done; self->json holds the user. */
static int append_event(user_change_t *self, const message_t *message, int64_t now_us)
{
    /* All of these requests begin with the same fields (C11 section 6.5.2.3 paragraph 6). */
    const msg_user_create_t *request = &message->user_create;
    const user_t *user = &self->outcome.user;
    uint8_t id[UUID_BYTES];
    uuid7_make(id, now_us / 1000);
    text_buffer_clear(&self->body);
    event_body_json(&self->body, now_us, self->queue, text_buffer_view(&self->json));
    msg_event_t event = {.partition = partition_of(user->id),
                         .kind = rules[message->type].kind,
                         .sequence = user->sequence,
                         .created_us = now_us,
                         .id = {(const char *)id, UUID_BYTES},
                         .user_id = {(const char *)user->id, ID_BYTES},
                         .request_id = request->request_id,
                         .traceparent = request->traceparent,
                         .tracestate = request->tracestate,
                         .body = text_buffer_view(&self->body)};
    int error = lane_keeper_append(self->lanes, &event);
    FAILPOINT("store.outbox_written");
    return error;
}

int user_change_do(user_change_t *self, const message_t *message, msg_user_reply_t *reply)
{
    int64_t now_us = clock_wall_us();
    int error =
        message->type != MSG_user_create
            ? lane_keeper_admit(self->lanes, message->user_read.id, message->user_read.email_key)
            : 0;
    if (error == 0)
        error = rules[message->type].run(self, message, now_us);
    if (error != 0)
        return error;
    text_buffer_clear(&self->json);
    user_json(&self->json, &self->outcome.user);
    reply->id = (text_t){(const char *)self->outcome.user.id, ID_BYTES};
    reply->version = self->outcome.user.version;
    reply->body = text_buffer_view(&self->json);
    return self->outcome.eventful ? append_event(self, message, now_us) : 0;
}
