/* SPDX-License-Identifier: Apache-2.0
 * consumer_actor.c - takes what has arrived into one transaction, commits it, acks it.
 *
 * A batch is at most BATCH_MAX deliveries. Whatever goes wrong with the broker or passes with the database has
 * one answer: nothing more is acked, the connection is closed, and after a pause a new one declares,
 * subscribes and gets again all that was not acked. What had been committed is then a duplicate,
 * and a dead letter that was returned or refused is made anew.
 *
 * Waiting events have their turn in every state, also without a broker.
 */
#include "actors/consumer/consumer_actor.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "actors/consumer/intake.h"
#include "actors/consumer/pending_letters.h"
#include "actors/consumer/queue_claim.h"
#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum {
    BATCH_MAX = 512, /* half of what a commit trims from the inbox */
    LETTERS_MAX_BYTES =
        4 << 20,       /* of dead letters ends a batch, since they wait in memory for its end */
    STANDBY_MS = 500,  /* between two looks whether the other worker has ended */
    TURN_EVERY_MS = 1, /* at most, so that deliveries gather and share a commit */
    BUSY_TURN_EVERY_MS = 5, /* after a batch of BUSY_BATCH or more, unless it was full */
    BUSY_BATCH = 16,
    CLOSE_RESERVE_MS = 500, /* of a stop's deadline, for the good-bye to the broker */
};

typedef enum consumer_state {
    CONSUMER_STANDBY,      /* another worker has the queue and the file */
    CONSUMER_DISCONNECTED, /* the dialer is after a connection */
    CONSUMER_CONSUMING,
    CONSUMER_STOPPING, /* takes no more deliveries; waits for confirms and for what runs */
    CONSUMER_ENDED,
    CONSUMER_STATE_COUNT
} consumer_state_t;

typedef struct batch {
    size_t count;                 /* deliveries; 0: no transaction is open */
    uint64_t first_tag, last_tag; /* of them */
    size_t letter_bytes;          /* of those that become dead letters */
} batch_t;

typedef struct consumer {
    actor_self_t self;
    consumer_conf_t conf;
    consumer_state_t state;
    handler_table_t handlers;
    inbox_database_t *database;
    int claim_fd;         /* -1: another worker has it */
    waiting_runs_t *runs; /* NULL while standing by */
    intake_t intake;
    broker_connection_t *connection; /* NULL unless consuming or stopping */
    bool is_blocked;                 /* it takes no letters now */
    pending_letters_t letters;
    batch_t batch;
    size_t last_count;              /* of the last batch */
    int64_t turn_ms;                /* monotonic: when the last batch was begun */
    uint64_t held_first, held_last; /* deliveries whose ack is held back; 0: none */
    frame_reader_t reader;
    broker_dialer_t *dialer;
    int64_t stop_by_ms; /* monotonic */
} consumer_t;

static void set_state(consumer_t *self, consumer_state_t next)
{
    static const char *const names[CONSUMER_STATE_COUNT] = {
        [CONSUMER_STANDBY] = "standing_by", [CONSUMER_DISCONNECTED] = "disconnected",
        [CONSUMER_CONSUMING] = "consuming", [CONSUMER_STOPPING] = "stopping",
        [CONSUMER_ENDED] = "ended",
    };
    static const bool legal[CONSUMER_STATE_COUNT][CONSUMER_STATE_COUNT] = {
        [CONSUMER_STANDBY] = {[CONSUMER_DISCONNECTED] = true, [CONSUMER_ENDED] = true},
        [CONSUMER_DISCONNECTED] = {[CONSUMER_CONSUMING] = true, [CONSUMER_STOPPING] = true},
        [CONSUMER_CONSUMING] = {[CONSUMER_DISCONNECTED] = true, [CONSUMER_STOPPING] = true},
        [CONSUMER_STOPPING] = {[CONSUMER_ENDED] = true},
    };
    must(legal[self->state][next]);
    self->state = next;
    log_event(LOG_INFO, self->self.name, names[next], LOG_STR("queue", self->conf.topology.queue));
}

/* --- the connection --------------------------------------------------------------------------- */

static void disconnect(consumer_t *self)
{
    broker_close_within(&self->connection, BROKER_GOODBYE_MS);
    pending_letters_clear(&self->letters);
    self->held_first = self->held_last = 0;
    self->is_blocked = false;
    if (self->runs != NULL)
        waiting_runs_disconnected(self->runs);
}

static void report_failure(const consumer_t *self, int error, const detail_t *why)
{
    log_event(broker_error_needs_a_person(error) ? LOG_ERROR : LOG_WARN, self->self.name,
              "cannot_consume", LOG_STR("error", error_info(error)->slug),
              LOG_STR("detail", why->text),
              LOG_INT("retry_ms", broker_dialer_due_ms(self->dialer) - clock_mono_ms()));
}

/* --- acks and dead letters -------------------------------------------------------------------- */

static void ack(void *context, uint64_t delivery_tag, bool multiple)
{
    consumer_t *self = context;
    broker_ack(self->connection, delivery_tag, multiple);
}

static int bury(consumer_t *self, const broker_event_t *delivery, const death_t *death,
                detail_t *detail)
{
    dead_letter_t letter;
    const text_t id = delivery->message.message_id;
    dead_letter_make(&letter, &delivery->message, self->conf.topology.queue, death);
    if (FAILPOINT_ON("consumer.drop_letter"))
        return 0; /* acked with its batch */
    uint64_t publish_tag = broker_publish(self->connection, &letter.message);
    FAILPOINT("consumer.letter_published");
    self->batch.letter_bytes += letter.message.body.size;
    inbox_tally(self->database, TALLY_DEAD, 1);
    log_event(LOG_WARN, self->self.name, "dead_letter",
              LOG_TEXT("message_id", id.size > 0 ? id : TEXT("")), LOG_STR("error", death->error),
              LOG_STR("reason", death->reason), LOG_STR("fingerprint", letter.fingerprint));
    if (pending_letters_add(&self->letters, delivery->tag, publish_tag))
        return 0;
    return detail_set(detail, ERR_BROKER_DOWN, "the broker delivers more than the prefetch of %u",
                      self->conf.prefetch);
}

static int on_confirm(consumer_t *self, const broker_event_t *event, detail_t *detail)
{
    (void)detail;
    pending_letters_confirm(&self->letters, event->tag, event->multiple, ack, self);
    waiting_runs_confirm(self->runs, event->tag, event->multiple);
    FAILPOINT("consumer.letter_confirmed");
    return 0;
}

static int on_refused(consumer_t *self, const broker_event_t *event, detail_t *detail)
{
    (void)event;
    return detail_set(detail, ERR_BROKER_DOWN,
                      "the broker refused a dead letter; is the queue '%s.dead' full?",
                      self->conf.topology.queue);
}

static int on_return(consumer_t *self, const broker_event_t *event, detail_t *detail)
{
    return detail_set(detail, ERR_BROKER_DOWN,
                      "a dead letter came back: %.*s; the queue '%s.dead' will be declared again",
                      (int)event->reply_text.size, event->reply_text.data,
                      self->conf.topology.queue);
}

/* --- deliveries ------------------------------------------------------------------------------- */

static int database_failed(int error, detail_t *detail)
{
    return detail_set(detail, error,
                      "the worker's database cannot be written (%s): check the disk, and who else "
                      "uses the file",
                      error_info(error)->slug);
}

/* The batch grows by the delivery, which opens it when it is the first. */
static int join_batch(consumer_t *self, uint64_t tag)
{
    batch_t *batch = &self->batch;
    int error = batch->count == 0 ? inbox_begin(self->database, clock_wall_us()) : 0;
    if (error != 0)
        return error;
    if (batch->count == 0) {
        *batch = (batch_t){.first_tag = tag};
        FAILPOINT("consumer.begun");
    }
    batch->last_tag = tag;
    batch->count++;
    return 0;
}

static int on_delivery(consumer_t *self, const broker_event_t *delivery, detail_t *detail)
{
    taken_t taken;
    if (self->state == CONSUMER_STOPPING)
        return 0; /* it goes back to the queue with the connection */
    FAILPOINT("consumer.delivered");
    int error = join_batch(self, delivery->tag);
    if (error != 0)
        return database_failed(error, detail);
    if (FAILPOINT_ON("consumer.forget"))
        return 0; /* acked with its batch */
    error = intake_take(&self->intake, &delivery->message, &taken);
    if (error != 0)
        error = database_failed(error, detail);
    else if (taken.is_dead)
        error = bury(self, delivery, &taken.death, detail);
    taken_fini(&taken);
    return error;
}

/* While no more may wait, the acks of what is committed are held back, so that the prefetch is used up. */
static void ack_deliveries(consumer_t *self, uint64_t first, uint64_t last)
{
    if (self->held_first == 0)
        self->held_first = first;
    self->held_last = last;
    if (waiting_runs_is_full(self->runs))
        return;
    pending_letters_ack_batch(&self->letters, self->held_first, self->held_last, ack, self);
    self->held_first = self->held_last = 0;
}

static void abandon_batch(consumer_t *self)
{
    inbox_rollback(self->database);
    waiting_runs_rolled_back(self->runs);
    self->batch.count = 0;
}

static int end_batch(consumer_t *self, detail_t *detail)
{
    batch_t *batch = &self->batch;
    if (batch->count == 0) {
        if (self->held_first != 0)
            ack_deliveries(self, self->held_first, self->held_last);
        return 0;
    }
    int error = 0;
    if (FAILPOINT_ON("consumer.ack_early")) {
        ack(self, batch->last_tag, true);
        error = broker_flush(self->connection, detail);
        FAILPOINT("consumer.acked_early");
    }
    FAILPOINT("consumer.processed");
    if (error == 0)
        error = inbox_commit(self->database);
    FAILPOINT("consumer.committed");
    if (error != 0) {
        abandon_batch(self);
        return database_failed(error, detail);
    }
    batch->count = 0;
    waiting_runs_committed(self->runs);
    intake_note_cut(&self->intake);
    ack_deliveries(self, batch->first_tag, batch->last_tag);
    return 0;
}

/* --- what the broker says --------------------------------------------------------------------- */

static int on_cancelled(consumer_t *self, const broker_event_t *event, detail_t *detail)
{
    (void)event;
    return detail_set(detail, ERR_BROKER_DOWN,
                      "the broker ended the subscription; was the queue '%s' deleted?",
                      self->conf.topology.queue);
}

static int on_blocked(consumer_t *self, const broker_event_t *event, detail_t *detail)
{
    (void)detail;
    self->is_blocked = true;
    log_event(LOG_WARN, self->self.name, "blocked", LOG_TEXT("reason", event->reply_text));
    return 0;
}

static int on_unblocked(consumer_t *self, const broker_event_t *event, detail_t *detail)
{
    (void)event;
    (void)detail;
    self->is_blocked = false;
    log_event(LOG_INFO, self->self.name, "unblocked", LOG_STR("queue", self->conf.topology.queue));
    return 0;
}

static int (*const on_broker_event[])(consumer_t *, const broker_event_t *, detail_t *) = {
    [BROKER_ACK] = on_confirm,         [BROKER_NACK] = on_refused,
    [BROKER_RETURN] = on_return,       [BROKER_DELIVERY] = on_delivery,
    [BROKER_CANCELLED] = on_cancelled, [BROKER_BLOCKED] = on_blocked,
    [BROKER_UNBLOCKED] = on_unblocked,
};

static bool batch_is_full(const batch_t *batch)
{
    return batch->count == BATCH_MAX ||
           (batch->count > 0 && batch->letter_bytes >= LETTERS_MAX_BYTES);
}

/* Takes what is here, until a batch is full, and ends the batch. *more: there may be more here. */
static int take_batch(consumer_t *self, bool *more, detail_t *detail)
{
    broker_event_t event;
    int got = 1, error = 0;
    self->turn_ms = clock_mono_ms();
    while (error == 0 && !batch_is_full(&self->batch) &&
           (got = broker_next(self->connection, &event, detail)) == 1)
        error = on_broker_event[event.kind](self, &event, detail);
    if (error == 0 && got < 0)
        error = got;
    self->last_count = self->batch.count;
    if (error == 0)
        error = end_batch(self, detail);
    else
        abandon_batch(self);
    if (error == 0)
        error = broker_flush(self->connection, detail);
    FAILPOINT("consumer.acked");
    *more = got == 1;
    return error;
}

/* --- turns: what is done in each state; only an error that ends the actor is returned ----------- */

/* Nothing that waits is known before the claim is ours, and what is known then is all. */
static int take_claim(consumer_t *self, detail_t *detail)
{
    const consumer_conf_t *conf = &self->conf;
    const waiting_conf_t waiting = {.actor = self->self.name,
                                    .queue = conf->topology.queue,
                                    .database = self->database,
                                    .handlers = &self->handlers,
                                    .rules = conf->waiting};
    int error = queue_claim_take(&self->claim_fd, conf->database_url, conf->topology.queue, detail);
    if (error != 0 || self->claim_fd < 0)
        return error;
    error = waiting_runs_open(&self->runs, &waiting, detail);
    self->intake = (intake_t){.actor = self->self.name,
                              .database = self->database,
                              .handlers = &self->handlers,
                              .runs = self->runs};
    return error;
}

static int turn_standby(consumer_t *self, detail_t *detail)
{
    int error = take_claim(self, detail);
    if (error == 0 && self->claim_fd >= 0)
        set_state(self, CONSUMER_DISCONNECTED);
    else if (error == 0)
        mailbox_wait(self->self.mailbox, -1, 0, STANDBY_MS);
    return error;
}

/* Whoever takes nothing now gets no letters. */
static broker_connection_t *for_letters(consumer_t *self)
{
    return self->state == CONSUMER_CONSUMING && !self->is_blocked ? self->connection : NULL;
}

static int turn_disconnected(consumer_t *self, detail_t *detail)
{
    bool more = false;
    int error = waiting_runs_turn(self->runs, NULL, &more, detail);
    if (error != 0)
        return error;
    int got = broker_dialer_turn(self->dialer, &self->connection, detail);
    if (got == 1) {
        set_state(self, CONSUMER_CONSUMING);
        return 0;
    }
    if (got < 0)
        report_failure(self, got, detail);
    int64_t left_ms = broker_dialer_due_ms(self->dialer) - clock_mono_ms();
    waiting_runs_wait(self->runs, self->self.mailbox, broker_dialer_fd(self->dialer), POLLIN,
                      left_ms > 0 && !more ? (int)left_ms : 0);
    return 0;
}

static int tidy(consumer_t *self, bool idle, detail_t *detail)
{
    int error = inbox_tidy(self->database, idle);
    if (error == ERR_DATABASE_FATAL)
        return database_failed(error, detail);
    if (error != 0)
        log_event(LOG_WARN, self->self.name, "checkpoint_failed",
                  LOG_STR("error", error_info(error)->slug));
    return 0;
}

static void leave(consumer_t *self, int error, const detail_t *why)
{
    disconnect(self);
    set_state(self, CONSUMER_DISCONNECTED);
    broker_dialer_lost(self->dialer, error);
    report_failure(self, error, why);
}

/* A commit costs a sync and a dozen system calls, whatever it holds. What comes first after a while finds the pause
 * over. */
static void let_gather(consumer_t *self)
{
    bool busy = self->last_count >= BUSY_BATCH;
    int64_t early_ms =
        self->turn_ms + (busy ? BUSY_TURN_EVERY_MS : TURN_EVERY_MS) - clock_mono_ms();
    if (self->last_count > 0 && early_ms > 0)
        mailbox_pause(self->self.mailbox, (int)early_ms);
}

static int turn_consuming(consumer_t *self, detail_t *detail)
{
    bool more = false, more_runs = false;
    int error = waiting_runs_turn(self->runs, for_letters(self), &more_runs, detail);
    if (error == 0)
        error = take_batch(self, &more, detail);
    if (error == ERR_DATABASE_FATAL)
        return error;
    if (error != 0) {
        leave(self, error, detail);
        return 0;
    }
    if (!more && !more_runs)
        let_gather(self);
    bool idle = !more && !more_runs &&
                waiting_runs_wait(self->runs, self->self.mailbox, broker_fd(self->connection),
                                  broker_poll_events(self->connection), BROKER_IDLE_MAX_MS) == 0;
    return tidy(self, idle, detail);
}

static bool has_letters(const consumer_t *self)
{
    return self->connection != NULL &&
           (self->letters.count > 0 || waiting_runs_have_letters(self->runs));
}

/* What is not done by the deadline is done by the next worker. */
static int turn_stopping(consumer_t *self, detail_t *detail)
{
    int64_t left_ms = self->stop_by_ms - clock_mono_ms();
    bool more = false, more_runs = false;
    int error = waiting_runs_turn(self->runs, NULL, &more_runs, detail);
    if (error != 0)
        return error;
    if (has_letters(self) && left_ms > 0 && take_batch(self, &more, detail) != 0)
        disconnect(self);
    bool is_done = !has_letters(self) && waiting_runs_are_quiet(self->runs);
    if (is_done || left_ms <= 0)
        set_state(self, CONSUMER_ENDED);
    else if (!more && !more_runs)
        waiting_runs_wait(self->runs, self->self.mailbox,
                          has_letters(self) ? broker_fd(self->connection) : -1,
                          has_letters(self) ? broker_poll_events(self->connection) : POLLIN,
                          left_ms < BROKER_IDLE_MAX_MS ? (int)left_ms : BROKER_IDLE_MAX_MS);
    return 0;
}

static int (*const turns[CONSUMER_STATE_COUNT])(consumer_t *, detail_t *) = {
    [CONSUMER_STANDBY] = turn_standby,
    [CONSUMER_DISCONNECTED] = turn_disconnected,
    [CONSUMER_CONSUMING] = turn_consuming,
    [CONSUMER_STOPPING] = turn_stopping,
};

/* --- mailbox and life ------------------------------------------------------------------------- */

static void on_stop(void *state, const message_t *message)
{
    consumer_t *self = state;
    self->stop_by_ms = clock_mono_ms() + message->stop.deadline_ms - CLOSE_RESERVE_MS;
    if (self->state == CONSUMER_STANDBY)
        set_state(self, CONSUMER_ENDED);
    if (self->state != CONSUMER_DISCONNECTED && self->state != CONSUMER_CONSUMING)
        return;
    set_state(self, CONSUMER_STOPPING);
    waiting_runs_finish(self->runs);
}

static const message_handler_t handlers[MSG_count] = {[MSG_stop] = on_stop};

static int run_consumer(void *state, detail_t *detail)
{
    consumer_t *self = state;
    int error = 0;
    while (error == 0 && self->state != CONSUMER_ENDED) {
        error = turns[self->state](self, detail);
        actor_read_mail(&self->self, &self->reader, handlers, self);
    }
    return error;
}

static void fini_consumer(void *state)
{
    consumer_t *self = state;
    disconnect(self);
    broker_dialer_close(&self->dialer);
    waiting_runs_close(&self->runs);
    inbox_database_close(&self->database);
    if (self->claim_fd >= 0)
        close(self->claim_fd);
    pending_letters_fini(&self->letters);
    frame_reader_fini(&self->reader);
    free(self);
}

int consumer_retention_check(int64_t inbox_retention_s, int64_t dead_letter_retention_s,
                             detail_t *detail)
{
    if (inbox_retention_s == 0 ||
        (dead_letter_retention_s > 0 && dead_letter_retention_s < inbox_retention_s))
        return 0;
    return detail_set(
        detail, ERR_BAD_SETTING,
        "inbox_retention is %lld s and dead_letter_retention %lld s (0: for ever): the "
        "inbox must keep for longer, or a dead letter that is published again would "
        "count as new",
        (long long)inbox_retention_s, (long long)dead_letter_retention_s);
}

static int init_consumer(void **state, const actor_self_t *actor, const void *conf,
                         detail_t *detail)
{
    consumer_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->self = *actor;
    self->conf = *(const consumer_conf_t *)conf;
    const broker_dialer_conf_t dialing = {.urls = self->conf.rabbit_mq_url,
                                          .name = "userbus consumer",
                                          .heartbeat_s = self->conf.heartbeat_s,
                                          .topology = self->conf.topology,
                                          .prefetch = (uint16_t)self->conf.prefetch};
    self->dialer = broker_dialer_open(&dialing);
    self->claim_fd = -1;
    json_object_seed(0); /* before several threads meet in it */
    pending_letters_init(&self->letters, self->conf.prefetch);
    int error = consumer_retention_check(self->conf.inbox_retention_s,
                                         self->conf.topology.dead_letter_retention_s, detail);
    if (error == 0)
        error = handler_table_init(&self->handlers, self->conf.handlers, self->conf.handler_count,
                                   self->conf.topology.queue, &self->conf.more, detail);
    if (error == 0)
        error = inbox_database_open(&self->database, self->conf.database_url, detail);
    if (error == 0)
        error = take_claim(self, detail);
    if (error != 0) {
        fini_consumer(self);
        return error;
    }
    const inbox_limits_t limits = {.retention_us = self->conf.inbox_retention_s * 1000000,
                                   .messages_max = self->conf.inbox_max_messages};
    inbox_database_limit(self->database, &limits);
    self->state = self->claim_fd >= 0 ? CONSUMER_DISCONNECTED : CONSUMER_STANDBY;
    if (self->state == CONSUMER_STANDBY)
        log_event(LOG_INFO, self->self.name, "standing_by",
                  LOG_STR("queue", self->conf.topology.queue));
    *state = self;
    return 0;
}

const actor_class_t consumer_actor = {
    .init = init_consumer, .run = run_consumer, .fini = fini_consumer};
