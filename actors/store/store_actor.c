/* SPDX-License-Identifier: Apache-2.0
 * store_actor.c - drains its mailbox into one transaction, commits it, answers everyone, hands the
 * events on.
 *
 * A batch is at most BATCH_MAX requests. What bridges and the supervisor say waits for its end, so that
 * a batch that fails can take the outbox back to where it was. Positions ride in a batch's commit;
 * with no batch to ride in they get a commit of their own.
 */
#include "actors/store/store_actor.h"

#include <stdio.h>
#include <stdlib.h>

#include "actors/store/database.h"
#include "actors/store/event_feed.h"
#include "actors/store/housekeeper.h"
#include "actors/store/lane_keeper.h"
#include "actors/store/look.h"
#include "actors/store/operator_question.h"
#include "actors/store/user_change.h"
#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "storage/checkpoint_actor.h"

enum {
    HTTP_MAX = 64,
    BATCH_MAX = 512,
    CONTROLS_MAX = 256, /* messages that wait for the end of a batch; a full list ends it */
    QUESTIONS_MAX = 16, /* of operators, the same */
};

typedef enum store_state {
    STORE_WORKING,
    STORE_STOPPING, /* what is still in the mailbox is refused, positions are kept */
    STORE_STATE_COUNT
} store_state_t;

/* Whom to tell when a batch fails, and what to look for in their stead. */
typedef struct asker {
    int64_t reply_to;
    uint64_t corr;
    look_t look;
} asker_t;

/* By an operator. */
typedef struct asked {
    operator_question_t question;
    asker_t asker;
} asked_t;

/* What a batch's transaction is for. Requests that only read do not make it a writing one, which costs
 * a lock and a commit; the first that may write does. */
typedef enum batch_mode { BATCH_CLOSED, BATCH_READING, BATCH_WRITING } batch_mode_t;

typedef struct batch {
    batch_mode_t mode;
    bool writes; /* a request of it may */
    int error;   /* of the database: the batch cannot be committed */
    asker_t askers[BATCH_MAX];
    size_t count;
    text_buffer_t keys; /* of the askers' looks */
    outbox_t savepoint;
    message_t controls[CONTROLS_MAX]; /* only such as hold no text */
    size_t control_count;
    asked_t questions[QUESTIONS_MAX];
    size_t question_count;
} batch_t;

typedef struct store {
    actor_self_t self;
    store_conf_t conf;
    store_state_t state;
    database_t *database;
    event_feed_t feed;
    lane_keeper_t lanes;
    housekeeper_t house;
    store_status_t status;
    batch_t batch;

    frame_reader_t reader;
    bool in_frame; /* the reader stands in a frame */
    sender_t *https[HTTP_MAX];
    frame_t replies[HTTP_MAX];
    user_change_t change;
    text_buffer_t answer; /* to an operator */
    look_room_t look_room;
} store_t;

static void set_state(store_t *self, store_state_t next)
{
    static const char *const names[STORE_STATE_COUNT] = {
        [STORE_WORKING] = "working",
        [STORE_STOPPING] = "stopping",
    };
    must(next > self->state);
    self->state = next;
    log_event(LOG_INFO, self->self.name, names[next],
              LOG_INT("unconfirmed", outbox_size(&self->feed.outbox)));
}

/* --- the batch -------------------------------------------------------------------------------- */

static void add_reply(store_t *self, const asker_t *asker, const msg_user_reply_t *reply)
{
    must(asker->reply_to < self->conf.http_count);
    frame_add(&self->replies[asker->reply_to], MSG_user_reply, asker->corr, reply);
}

static int open_for_reading(store_t *self)
{
    batch_t *batch = &self->batch;
    if (batch->mode != BATCH_CLOSED)
        return 0;
    int error = self->database->class->begin_reading(self->database);
    if (error == 0)
        batch->mode = BATCH_READING;
    return error;
}

/* What was read before stays true: it was committed, and the answers go out after this commit. */
static int open_for_writing(store_t *self)
{
    batch_t *batch = &self->batch;
    const database_class_t *class = self->database->class;
    if (batch->mode == BATCH_WRITING)
        return 0;
    batch->writes = true;
    int error = batch->mode == BATCH_READING ? class->commit(self->database) : 0;
    batch->mode = BATCH_CLOSED;
    batch->savepoint = self->feed.outbox;
    if (error == 0)
        error = class->begin(self->database);
    if (error == 0)
        batch->mode = BATCH_WRITING;
    FAILPOINT("store.begun");
    return error;
}

/* Answers a request that only reads without writing; the user's view is not counted then. */
static int look(store_t *self, const look_t *look, msg_user_reply_t *reply)
{
    reply->uncounted = look->type == MSG_health || look->type == MSG_user_read;
    return look_again(look, &self->batch.keys, self->database, &self->look_room, reply);
}

/* Takes everything back to before the batch and tells those who wait. ERR_DATABASE_FATAL: the database
 * cannot be read either. */
static int fail_batch(store_t *self, int error)
{
    batch_t *batch = &self->batch;
    if (batch->mode != BATCH_CLOSED)
        self->database->class->rollback(self->database);
    if (batch->mode == BATCH_WRITING) {
        event_feed_roll_back(&self->feed, &batch->savepoint);
        parked_lanes_roll_back(&self->lanes.lanes);
    }
    for (unsigned i = 0; i < self->conf.http_count; i++)
        frame_clear(&self->replies[i]);
    for (size_t i = 0; i < batch->count; i++) {
        const asker_t *asker = &batch->askers[i];
        msg_user_reply_t reply = {0};
        int failure = look_suffices(&asker->look) ? look(self, &asker->look, &reply) : error;
        if (failure == ERR_DATABASE_FATAL)
            return failure;
        add_reply(self, asker, failure == 0 ? &reply : &(msg_user_reply_t){.error = failure});
    }
    return 0;
}

static void send_replies(store_t *self)
{
    for (unsigned i = 0; i < self->conf.http_count; i++)
        sender_send(self->https[i], &self->replies[i]);
}

static int commit_written(store_t *self, int64_t now_ms)
{
    batch_t *batch = &self->batch;
    int error = housekeeper_ride(&self->house, now_ms);
    if (FAILPOINT_ON("store.answer_early")) {
        send_replies(self);
        FAILPOINT("store.answered_early");
    }
    if (error != 0)
        return error;
    FAILPOINT("store.written");
    error = self->database->class->commit(self->database);
    FAILPOINT("store.committed");
    if (error != 0)
        return error;
    parked_lanes_commit(&self->lanes.lanes);
    if (self->feed.outbox.head != batch->savepoint.head)
        housekeeper_note_written(&self->house);
    return 0;
}

/* Answers only after COMMIT. Returns ERR_DATABASE_FATAL when the store must end, with nobody
 * answered, since nobody knows the outcome. */
static int end_batch(store_t *self)
{
    batch_t *batch = &self->batch;
    int64_t now_ms = clock_mono_ms();
    int error = batch->error;
    if (error == 0 && batch->mode == BATCH_WRITING)
        error = commit_written(self, now_ms);
    else if (error == 0 && batch->mode == BATCH_READING)
        error = self->database->class->commit(self->database);
    if (error != 0 && error != ERR_DATABASE_FATAL) {
        housekeeper_note_failure(&self->house, batch->writes, batch->count, error, now_ms);
        error = fail_batch(self, error);
    }
    if (error != 0)
        return error;
    if (batch->count > 0)
        housekeeper_note_requests(&self->house, now_ms);
    batch->mode = BATCH_CLOSED;
    batch->writes = false;
    batch->error = 0;
    batch->count = 0;
    text_buffer_clear(&batch->keys);
    send_replies(self);
    event_feed_send(&self->feed);
    return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static int change_user(store_t *self, const asker_t *asker, const message_t *message,
                       msg_user_reply_t *reply)
{
    if (outbox_accepts(&self->feed.outbox))
        return user_change_do(&self->change, message, reply);
    return look_suffices(&asker->look) ? look(self, &asker->look, reply) : ERR_OUTBOX_FULL;
}

/* Remembers who asks, and opens the transaction; false: there is nothing to do for them but the answer
 * they got or will get. */
static bool admit(store_t *self, asker_t *asker, const message_t *message, batch_mode_t mode)
{
    batch_t *batch = &self->batch;
    if (self->state == STORE_STOPPING) {
        add_reply(self, asker, &(msg_user_reply_t){.error = ERR_STOPPING});
        return false;
    }
    must(batch->count < BATCH_MAX);
    asker->look = look_keep(&batch->keys, message);
    batch->askers[batch->count++] = *asker;
    if (batch->error == 0)
        batch->error = mode == BATCH_WRITING ? open_for_writing(self) : open_for_reading(self);
    return batch->error == 0;
}

static void answer(store_t *self, const asker_t *asker, int error, const msg_user_reply_t *reply)
{
    if (error == ERR_STORE_UNAVAILABLE || error == ERR_DATABASE_FATAL)
        self->batch.error = error; /* all of the batch is answered alike */
    else if (error != 0)
        add_reply(self, asker, &(msg_user_reply_t){.error = error});
    else
        add_reply(self, asker, reply);
}

static void on_request(store_t *self, const message_t *message)
{
    asker_t asker = {.reply_to = message->user_create.reply_to, .corr = message->corr};
    msg_user_reply_t reply = {0};
    if (!admit(self, &asker, message, BATCH_WRITING))
        return;
    int error = change_user(self, &asker, message, &reply);
    answer(self, &asker, error, &reply);
}

/* Of a page, or of a user whose view is not counted. */
static void on_look(store_t *self, const message_t *message)
{
    asker_t asker = {.reply_to = message->user_list.reply_to, .corr = message->corr};
    msg_user_reply_t reply = {0};
    if (!admit(self, &asker, message, BATCH_READING))
        return;
    int error = look(self, &asker.look, &reply);
    answer(self, &asker, error, &reply);
}

static void on_read(store_t *self, const message_t *message)
{
    if (self->conf.read_events)
        on_request(self, message);
    else
        on_look(self, message);
}

/* Well is who can read: to take a service away that cannot write would take its reads away too. */
static void on_health(store_t *self, const message_t *message)
{
    asker_t asker = {.reply_to = message->health.reply_to, .corr = message->corr};
    msg_user_reply_t reply = {0};
    if (!admit(self, &asker, message, BATCH_READING))
        return;
    int error = look(self, &asker.look, &reply);
    reply.uncounted = self->house.unwritable || !outbox_accepts(&self->feed.outbox);
    answer(self, &asker, error, &reply);
}

/* --- what bridges and the supervisor say ------------------------------------------------------ */

static int on_attach(store_t *self, const message_t *message)
{
    const msg_bridge_attach_t *attach = &message->bridge_attach;
    /* The mailbox takes turns between senders, also between one life's and the next one's. */
    if (outbox_is_late(&self->feed.outbox, (unsigned)attach->bridge, attach->attach_id))
        return 0;
    int error = event_feed_attach(&self->feed, attach);
    if (error == 0)
        error = lane_keeper_attach(&self->lanes, (unsigned)attach->bridge);
    return error;
}

static int on_credit(store_t *self, const message_t *message)
{
    const msg_bridge_credit_t *credit = &message->bridge_credit;
    outbox_credit(&self->feed.outbox, (unsigned)credit->bridge, credit->attach_id, credit->count,
                  credit->bytes);
    return 0;
}

static int on_confirmed(store_t *self, const message_t *message)
{
    const msg_confirmed_position_t *confirmed = &message->confirmed_position;
    if (outbox_is_life(&self->feed.outbox, (unsigned)confirmed->bridge, confirmed->attach_id))
        outbox_confirm(&self->feed.outbox, (unsigned)confirmed->partition, confirmed->position);
    return 0;
}

static int on_checkpoint_done(store_t *self, const message_t *message)
{
    self->database->class->tidied(self->database, &message->checkpoint_done);
    return 0;
}

static int on_parked(store_t *self, const message_t *message)
{
    const msg_event_parked_t *parked = &message->event_parked;
    if (outbox_is_life(&self->feed.outbox, (unsigned)parked->bridge, parked->attach_id))
        lane_keeper_take(&self->lanes, parked);
    return 0;
}

static int on_stop(store_t *self, const message_t *message)
{
    (void)message;
    if (self->state == STORE_WORKING)
        set_state(self, STORE_STOPPING);
    return 0;
}

/* Touches nothing that a batch could have to take back. */
static void on_bridge_state(store_t *self, const message_t *message)
{
    store_status_hear(&self->status, &message->bridge_state, clock_mono_ms());
}

/* --- what operators ask ----------------------------------------------------------------------- */

/* Puts the question off until the batch has ended. */
static void ask(store_t *self, const asked_t *asked)
{
    batch_t *batch = &self->batch;
    if (self->state == STORE_STOPPING)
        add_reply(self, &asked->asker, &(msg_user_reply_t){.error = ERR_STOPPING});
    else
        batch->questions[batch->question_count++] = *asked;
}

static void on_question(store_t *self, const message_t *message)
{
    asked_t asked = {.asker = {.reply_to = message->status.reply_to, .corr = message->corr}};
    operator_question_keep(&asked.question, message);
    ask(self, &asked);
}

/* Between batches. Returns ERR_DATABASE_FATAL when the store must end. */
static int answer_operators(store_t *self)
{
    batch_t *batch = &self->batch;
    const operator_room_t room = {&self->feed, &self->lanes, &self->status,
                                  self->conf.event_retention_s};
    for (size_t i = 0; i < batch->question_count; i++) {
        text_buffer_clear(&self->answer);
        int error = operator_question_answer(&batch->questions[i].question, &room, &self->answer);
        if (error == ERR_DATABASE_FATAL)
            return error;
        msg_user_reply_t reply = {.error = error};
        if (error == 0)
            reply.body = text_buffer_view(&self->answer);
        add_reply(self, &batch->questions[i].asker, &reply);
    }
    batch->question_count = 0;
    send_replies(self);
    return 0;
}

/* --- the loop --------------------------------------------------------------------------------- */

static void (*const requests[MSG_count])(store_t *self, const message_t *message) = {
    [MSG_user_create] = on_request,
    [MSG_user_read] = on_read,
    [MSG_user_update] = on_request,
    [MSG_user_delete] = on_request,
    [MSG_user_list] = on_look,
    [MSG_health] = on_health,
    [MSG_bridge_state] = on_bridge_state,
    [MSG_status] = on_question,
    [MSG_lane_list] = on_question,
    [MSG_lane_release] = on_question,
    [MSG_lane_discard] = on_question,
};

/* An error is the database's and ends the store. */
static int (*const controls[MSG_count])(store_t *self, const message_t *message) = {
    [MSG_bridge_attach] = on_attach,         [MSG_bridge_credit] = on_credit,
    [MSG_confirmed_position] = on_confirmed, [MSG_checkpoint_done] = on_checkpoint_done,
    [MSG_event_parked] = on_parked,          [MSG_stop] = on_stop,
};

/* The next message in the mailbox; false: it is empty. */
static bool next_message(store_t *self, message_t *message)
{
    for (;;) {
        if (!self->in_frame)
            self->in_frame = mailbox_receive(self->self.mailbox, &self->reader);
        if (!self->in_frame)
            return false;
        int got = frame_reader_next(&self->reader, message);
        if (got == 1)
            return true;
        self->in_frame = false;
        if (got != 0)
            log_event(LOG_ERROR, self->self.name, "bad_frame");
    }
}

/* Does what is in the mailbox, up to a full batch, and then what was put off for it. */
static int work_batch(store_t *self)
{
    batch_t *batch = &self->batch;
    message_t message;
    while (batch->count < BATCH_MAX && batch->control_count < CONTROLS_MAX &&
           batch->question_count < QUESTIONS_MAX && next_message(self, &message)) {
        if (requests[message.type] != NULL)
            requests[message.type](self, &message);
        else if (controls[message.type] != NULL)
            batch->controls[batch->control_count++] = message;
    }
    int error = end_batch(self);
    for (size_t i = 0; i < batch->control_count && error == 0; i++)
        error = controls[batch->controls[i].type](self, &batch->controls[i]);
    batch->control_count = 0;
    if (error == 0)
        error = lane_keeper_turn(&self->lanes, clock_mono_ms());
    return error != 0 ? error : answer_operators(self);
}

/* How long to wait for mail: until the next thing that is to be done without any. */
static int wait_ms(const store_t *self, bool more_to_do, int64_t now_ms)
{
    int64_t lanes_ms = lane_keeper_due_ms(&self->lanes),
            house_ms = housekeeper_due_ms(&self->house);
    int64_t until_ms = lanes_ms < house_ms ? lanes_ms : house_ms;
    if (more_to_do || self->in_frame)
        return 0;
    return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

static int run_turn(store_t *self)
{
    bool more_to_read = false, more_to_tidy = false;
    int64_t now_ms = clock_mono_ms();
    int error = work_batch(self);
    if (error == 0)
        error = event_feed_read_log(&self->feed, &more_to_read);
    if (error == 0)
        error = housekeeper_turn(&self->house, now_ms, &more_to_tidy);
    if (error == 0 && self->state == STORE_WORKING)
        mailbox_wait(self->self.mailbox, -1, 0,
                     wait_ms(self, more_to_read || more_to_tidy, now_ms));
    return error;
}

static int run_store(void *state, detail_t *detail)
{
    store_t *self = state;
    int error = 0;
    while (error == 0 && self->state == STORE_WORKING)
        error = run_turn(self);
    /* Confirms that bridges sent before they ended may stand behind the stop. */
    while (error == 0 && (self->in_frame || mailbox_wait(self->self.mailbox, -1, 0, 0) != 0))
        error = work_batch(self);
    if (error == 0)
        error = housekeeper_finish(&self->house);
    if (error == 0)
        return 0;
    return detail_set(detail, error,
                      "the users' database is not written any more: check the disk, then start "
                      "again, which recovers what was committed");
}

/* --- life ------------------------------------------------------------------------------------- */

static void fini_store(void *state)
{
    store_t *self = state;
    for (unsigned i = 0; i < self->conf.http_count; i++) {
        sender_close(&self->https[i]);
        frame_clear(&self->replies[i]);
    }
    housekeeper_fini(&self->house);
    lane_keeper_fini(&self->lanes);
    event_feed_fini(&self->feed);
    database_close(&self->database);
    frame_reader_fini(&self->reader);
    user_change_fini(&self->change);
    text_buffer_fini(&self->answer);
    text_buffer_fini(&self->look_room.json);
    text_buffer_fini(&self->batch.keys);
    free(self);
}

static int open_everything(store_t *self, detail_t *detail)
{
    int error = database_open(&self->database, self->conf.database_url, detail);
    if (error != 0)
        return error;
    error =
        event_feed_init(&self->feed, self->self.room, self->database, self->conf.bridge_count,
                        (outbox_load_t){self->conf.outbox_max_events, self->conf.outbox_max_bytes});
    const parked_lanes_conf_t lanes = {.retry_base_ms = self->conf.lane_retry_ms,
                                       .retry_cap_ms = self->conf.lane_retry_max_ms,
                                       .max_events = self->conf.lane_max_events};
    if (error == 0)
        error = lane_keeper_init(&self->lanes, self->self.name, &self->feed, &lanes);
    if (error != 0)
        return detail_set(detail, ERR_DATABASE_OPEN,
                          "the event log of the users' database cannot be read (%s): restore a "
                          "backup",
                          error_info(error)->title);
    for (unsigned i = 0; i < self->conf.http_count; i++) {
        char address[ADDRESS_MAX_BYTES];
        snprintf(address, sizeof(address), "http.%u", i);
        self->https[i] = sender_open(self->self.room, address);
    }
    user_change_init(&self->change, self->conf.queue, &self->lanes);
    housekeeper_init(
        &self->house, self->self.name, &self->feed, &self->lanes, self->conf.event_retention_s,
        self->conf.has_checkpoint_actor ? sender_open(self->self.room, CHECKPOINT_ADDRESS) : NULL);
    return 0;
}

static int init_store(void **state, const actor_self_t *actor, const void *conf, detail_t *detail)
{
    store_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->self = *actor;
    self->conf = *(const store_conf_t *)conf;
    must(self->conf.http_count <= HTTP_MAX);
    int error = open_everything(self, detail);
    if (error != 0) {
        fini_store(self);
        return error;
    }
    log_event(LOG_INFO, actor->name, "database_open", LOG_INT("head", self->feed.outbox.head),
              LOG_INT("unconfirmed", outbox_size(&self->feed.outbox)));
    *state = self;
    return 0;
}

const actor_class_t store_actor = {.init = init_store, .run = run_store, .fini = fini_store};
