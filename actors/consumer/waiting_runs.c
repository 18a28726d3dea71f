/* SPDX-License-Identifier: Apache-2.0
 * waiting_runs.c - what may run is begun and what has ended is gathered (run_ends.h) and written in one transaction, in
 * which the database's own runs take place.
 *
 * Runners of the schedule: RETRY_LETTERS, the database, and one per child.
 */
#include "actors/consumer/waiting_runs.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "actors/consumer/exec_child.h"
#include "actors/consumer/run_ends.h"
#include "actors/consumer/stored_message.h"
#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum {
    RUNNER_DATABASE = RETRY_LETTERS + 1,
    RUNNER_CHILDREN, /* the first of them */
    WRITE_AGAIN_MS = 1000,
};

_Static_assert(RUNNER_CHILDREN + EVENT_KIND_COUNT <= RETRY_RUNNERS_MAX, "a runner per child");

struct waiting_runs {
    waiting_conf_t conf;
    waiting_table_t *table;
    retry_schedule_t *schedule;
    exec_child_t *children[EVENT_KIND_COUNT];
    int epoll_fd;
    run_ends_t ends;
    waiting_letters_t letters;
    text_buffer_t line, properties; /* scratch */
    int64_t write_again_ms;         /* 0: at once */
    bool is_full, finishes;
};

/* The file may be of another version. */
static bool is_kind(int kind)
{
    return kind >= 0 && kind < EVENT_KIND_COUNT;
}

/* --- what has ended --------------------------------------------------------------------------- */

static void on_child_told(void *context, void *run, exec_end_t end, text_t error)
{
    static const struct {
        bool for_good;
        const char *slug;
    } failures[] = {
        [EXEC_ENDED_RETRY] = {false, "processor-failed"},
        [EXEC_ENDED_DEAD] = {true, "processor-failed"},
        [EXEC_ENDED_TIMEOUT] = {false, "processor-timeout"},
        [EXEC_ENDED_CRASHED] = {false, "processor-crashed"},
        [EXEC_ENDED_BAD_ANSWER] = {false, "processor-bad-answer"},
    };
    waiting_runs_t *self = context;
    if (end == EXEC_ENDED_NOT_RUN)
        retry_schedule_put_back(self->schedule, run);
    else if (end == EXEC_ENDED_DONE)
        run_ends_note(&self->ends, run, END_DONE);
    else
        run_ends_note_failure(&self->ends, run, failures[end].for_good, failures[end].slug,
                              error.size > 0 ? error : TEXT("the processor told no error"));
    self->ends.timeouts_untold += end == EXEC_ENDED_TIMEOUT;
}

static void on_letter_confirmed(void *context, retry_lane_t *lane)
{
    waiting_runs_t *self = context;
    run_ends_note(&self->ends, lane, END_BURIED);
}

void waiting_runs_confirm(waiting_runs_t *self, uint64_t publish_tag, bool multiple)
{
    waiting_letters_confirm(&self->letters, publish_tag, multiple, on_letter_confirmed, self);
}

static void on_letter_lost(void *context, retry_lane_t *lane)
{
    waiting_runs_t *self = context;
    retry_schedule_put_back(self->schedule, lane);
}

void waiting_runs_disconnected(waiting_runs_t *self)
{
    waiting_letters_lost(&self->letters, on_letter_lost, self);
}

/* --- runs in the database --------------------------------------------------------------------- */

static void report_slow(const waiting_runs_t *self, const processor_t *processor,
                        const incoming_event_t *event, int64_t took_ms)
{
    inbox_tally(self->conf.database, TALLY_TIMEOUTS, 1);
    log_event(LOG_WARN, self->conf.actor, "processor_timeout",
              LOG_STR("processor", processor->name), LOG_TEXT("message_id", event->message_id),
              LOG_INT("took_ms", took_ms), LOG_INT("limit_ms", self->conf.rules.timeout_ms));
}

int waiting_runs_run(waiting_runs_t *self, const processor_t *processor,
                     const incoming_event_t *event, rejection_t *why)
{
    int64_t began_ms = clock_mono_ms();
    int error = processor_run(processor, self->conf.database, event, why);
    int64_t took_ms = clock_mono_ms() - began_ms;
    if (took_ms > self->conf.rules.timeout_ms)
        report_slow(self, processor, event, took_ms);
    return error;
}

/* Parses and runs what was read. An error of the processor's is noted; the database's is returned. */
static int run_read(waiting_runs_t *self, retry_lane_t *lane, const waiting_event_t *waiting)
{
    const processor_t *processor =
        is_kind(waiting->kind) ? self->conf.handlers->by_kind[waiting->kind] : NULL;
    stored_message_t stored;
    incoming_event_t event;
    rejection_t why = {.slug = "stored-badly"};
    if (processor == NULL) {
        run_ends_note(&self->ends, lane, END_UNHANDLED);
        return 0;
    }
    if (!stored_message_unpack(&stored, waiting->properties, waiting->body)) {
        run_ends_note_failure(&self->ends, lane, true, why.slug,
                              TEXT("the stored message cannot be read"));
        return 0;
    }
    bool well = incoming_event_parse(&event, &stored.message, &why);
    int error = well ? projection_keep_arrived(self->conf.database, &event) : ERR_PROCESSOR_DEAD;
    if (error == 0)
        error = waiting_runs_run(self, processor, &event, &why);
    incoming_event_fini(&event);
    if (error == 0)
        run_ends_note(&self->ends, lane, END_DONE);
    else if (is_processor_failure(error))
        run_ends_note_failure(&self->ends, lane, error == ERR_PROCESSOR_DEAD, why.slug,
                              text_of(why.reason.text));
    return error == 0 || is_processor_failure(error) ? 0 : error;
}

/* In the open transaction. What was begun and is not noted as ended when it fails goes back. */
static int run_in_database(waiting_runs_t *self)
{
    int error = 0;
    for (int i = 0; i < DATABASE_RUNS_MAX && error == 0; i++) {
        waiting_event_t waiting;
        retry_lane_t *lane = retry_schedule_take(self->schedule, RUNNER_DATABASE);
        if (lane == NULL)
            return 0;
        error = waiting_table_read(self->table, retry_lane_event(lane)->row, &waiting);
        if (error == 0)
            error = run_read(self, lane, &waiting);
        if (error != 0)
            retry_schedule_put_back(self->schedule, lane);
    }
    return error;
}

/* --- the transaction -------------------------------------------------------------------------- */

/* Ended before the transaction, `kept` of them, must be written again when it fails; those that the database ran in
 * it have not run then. */
static int settle(waiting_runs_t *self, size_t kept)
{
    int64_t now_us = clock_wall_us();
    int error = inbox_begin(self->conf.database, now_us);
    if (error == 0)
        error = run_in_database(self);
    if (error == 0)
        error = run_ends_write(&self->ends, now_us);
    FAILPOINT("consumer.run_written");
    if (error == 0)
        error = inbox_commit(self->conf.database);
    else
        inbox_rollback(self->conf.database);
    if (error == 0)
        return 0;
    run_ends_take_back(&self->ends, kept);
    return error;
}

static bool has_database_runs(waiting_runs_t *self)
{
    retry_lane_t *lane =
        self->finishes ? NULL : retry_schedule_take(self->schedule, RUNNER_DATABASE);
    if (lane != NULL)
        retry_schedule_put_back(self->schedule, lane);
    return lane != NULL;
}

/* Writes what has ended. An error that passes is tried again after a while. */
static int write_ended(waiting_runs_t *self, int64_t now_ms, detail_t *detail)
{
    if (now_ms < self->write_again_ms || (self->ends.count == 0 && !has_database_runs(self)))
        return 0;
    int error = settle(self, self->ends.count);
    self->write_again_ms = error != 0 ? now_ms + WRITE_AGAIN_MS : 0;
    if (error != 0 && error != ERR_STORE_UNAVAILABLE)
        return detail_set(detail, ERR_DATABASE_FATAL,
                          "the worker's database failed (%s) with waiting events",
                          error_info(error)->slug);
    if (error != 0) {
        log_event(LOG_WARN, self->conf.actor, "cannot_write",
                  LOG_STR("error", error_info(error)->slug), LOG_INT("retry_ms", WRITE_AGAIN_MS));
        return 0;
    }
    run_ends_tell(&self->ends, now_ms);
    return 0;
}

/* --- runs of children ------------------------------------------------------------------------- */

static void send_read(waiting_runs_t *self, exec_child_t *child, retry_lane_t *lane,
                      const waiting_event_t *waiting, int64_t now_ms)
{
    stored_message_t stored;
    if (!stored_message_unpack(&stored, waiting->properties, waiting->body)) {
        run_ends_note_failure(&self->ends, lane, true, "stored-badly",
                              TEXT("the stored message cannot be read"));
        return;
    }
    if (!exec_id_is_sayable(waiting->message_id)) {
        run_ends_note_failure(&self->ends, lane, true, "bad-message-id",
                              TEXT("the message id is no text that can stand in JSON"));
        return;
    }
    const exec_request_t request = {.message_id = waiting->message_id,
                                    .type = event_kind_name((event_kind_t)waiting->kind),
                                    .queue = self->conf.queue,
                                    .sequence = waiting->sequence,
                                    .attempt = waiting->attempts + 1,
                                    .message = &stored.message};
    text_buffer_clear(&self->line);
    exec_request_line(&self->line, &request);
    exec_child_send(child, lane, waiting->message_id, text_buffer_view(&self->line), now_ms);
}

/* Nothing is begun while an end is unwritten, so `ended` has room for all that is under way. */
static int feed(waiting_runs_t *self, size_t index, int64_t now_ms)
{
    exec_child_t *child = self->children[index];
    unsigned runner = RUNNER_CHILDREN + (unsigned)index;
    int error = 0;
    for (int i = 0; i < EXEC_HAND_MAX && error == 0 && exec_child_can_take(child, now_ms) &&
                    self->ends.count == 0;
         i++) {
        waiting_event_t waiting;
        retry_lane_t *lane = retry_schedule_take(self->schedule, runner);
        if (lane == NULL)
            return 0;
        error = waiting_table_read(self->table, retry_lane_event(lane)->row, &waiting);
        if (error == 0)
            send_read(self, child, lane, &waiting, now_ms);
        else
            retry_schedule_put_back(self->schedule, lane);
    }
    return error;
}

/* --- dead letters ----------------------------------------------------------------------------- */

static int publish_letters(waiting_runs_t *self, broker_connection_t *connection)
{
    while (self->ends.count == 0 && waiting_letters_has_room(&self->letters)) {
        waiting_event_t waiting;
        retry_lane_t *lane = retry_schedule_take(self->schedule, RETRY_LETTERS);
        if (lane == NULL)
            return 0;
        int error = waiting_table_read(self->table, retry_lane_event(lane)->row, &waiting);
        if (error != 0) {
            retry_schedule_put_back(self->schedule, lane);
            return error;
        }
        const char *processor =
            is_kind(waiting.kind) ? self->conf.handlers->names[waiting.kind] : "";
        waiting_letters_publish(&self->letters, connection, lane, &waiting, processor);
    }
    return 0;
}

/* --- the turn --------------------------------------------------------------------------------- */

static int begin_more(waiting_runs_t *self, broker_connection_t *connection, int64_t now_ms,
                      detail_t *detail)
{
    int error = 0;
    for (size_t i = 0; i < self->conf.handlers->command_count && error == 0 && !self->finishes; i++)
        error = feed(self, i, now_ms);
    if (error == 0 && connection != NULL)
        error = publish_letters(self, connection);
    if (error == 0 || error == ERR_STORE_UNAVAILABLE)
        return 0;
    return detail_set(detail, ERR_DATABASE_FATAL, "the table of waiting events cannot be read (%s)",
                      error_info(error)->slug);
}

int waiting_runs_turn(waiting_runs_t *self, broker_connection_t *connection, bool *more,
                      detail_t *detail)
{
    int64_t now_ms = clock_mono_ms();
    *more = false;
    retry_schedule_wake(self->schedule, now_ms);
    for (size_t i = 0; i < self->conf.handlers->command_count; i++)
        exec_child_turn(self->children[i], now_ms);
    int error = write_ended(self, now_ms, detail);
    if (error == 0)
        error = begin_more(self, connection, now_ms, detail);
    *more = self->write_again_ms == 0 && (self->ends.count > 0 || has_database_runs(self));
    return error;
}

static int64_t due_ms(const waiting_runs_t *self)
{
    int64_t due = retry_schedule_next_ms(self->schedule);
    for (size_t i = 0; i < self->conf.handlers->command_count; i++) {
        int64_t of_child = exec_child_due_ms(self->children[i]);
        due = of_child < due ? of_child : due;
    }
    return self->write_again_ms > 0 && self->write_again_ms < due ? self->write_again_ms : due;
}

int waiting_runs_wait(waiting_runs_t *self, mailbox_t *mailbox, int fd, short fd_events,
                      int timeout_ms)
{
    int64_t left_ms = due_ms(self) - clock_mono_ms();
    left_ms = left_ms < 0 ? 0 : left_ms;
    bool is_due_first = left_ms < timeout_ms;
    int wait_ms = is_due_first ? (int)left_ms : timeout_ms;
    /* POLLIN and POLLOUT have the numbers of EPOLLIN and EPOLLOUT. */
    struct epoll_event event = {.events = (uint32_t)fd_events, .data = {.fd = fd}};
    bool with_children = self->conf.handlers->command_count > 0;
    if (with_children && fd >= 0)
        must(epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
    int got = with_children ? mailbox_wait(mailbox, self->epoll_fd, POLLIN, wait_ms)
                            : mailbox_wait(mailbox, fd, fd_events, wait_ms);
    if (with_children && fd >= 0)
        must(epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, &event) == 0);
    return got == 0 && is_due_first ? WAIT_FD : got;
}

/* --- from the batch --------------------------------------------------------------------------- */

static unsigned runner_of(const waiting_runs_t *self, int kind)
{
    int child = is_kind(kind) ? self->conf.handlers->child_of_kind[kind] : -1;
    return child < 0 ? RUNNER_DATABASE : RUNNER_CHILDREN + (unsigned)child;
}

bool waiting_runs_must_wait(const waiting_runs_t *self, const incoming_event_t *event)
{
    return self->conf.handlers->child_of_kind[event->kind] >= 0 ||
           retry_schedule_holds(self->schedule, event->user_key);
}

int waiting_runs_add(waiting_runs_t *self, const incoming_event_t *event,
                     const broker_message_t *message, const rejection_t *why)
{
    const int64_t now_us = clock_wall_us();
    int64_t attempts = why != NULL ? 1 : 0;
    int64_t pause_ms =
        why != NULL ? retry_pause_ms(&self->conf.rules.retry, attempts, random_bits()) : 0;
    text_buffer_clear(&self->properties);
    stored_message_pack(&self->properties, message);
    const waiting_event_t waiting = {
        .user_key = event->user_key,
        .message_id = event->message_id,
        .kind = (int)event->kind,
        .sequence = event->sequence,
        .arrived_us = now_us,
        .attempts = attempts,
        .first_failed_us = why != NULL ? now_us : 0,
        .next_try_us = why != NULL ? now_us + pause_ms * 1000 : 0,
        .error = why != NULL ? text_of(why->slug) : TEXT(""),
        .reason = why != NULL ? text_of(why->reason.text) : TEXT(""),
        .properties = text_buffer_view(&self->properties),
        .body = message->body,
    };
    int64_t row = 0;
    int error = waiting_table_add(self->table, &waiting, &row);
    if (error != 0)
        return error;
    const retry_event_t entry = {.row = row,
                                 .kind = (int)event->kind,
                                 .runner = runner_of(self, (int)event->kind),
                                 .attempts = attempts};
    retry_schedule_add(self->schedule, event->user_key, &entry,
                       why != NULL ? clock_mono_ms() + pause_ms : 0);
    return 0;
}

void waiting_runs_committed(waiting_runs_t *self)
{
    retry_schedule_keep(self->schedule, clock_mono_ms());
}

void waiting_runs_rolled_back(waiting_runs_t *self)
{
    retry_schedule_take_back(self->schedule);
}

bool waiting_runs_have_letters(const waiting_runs_t *self)
{
    return waiting_letters_count(&self->letters) > 0;
}

int64_t waiting_runs_tries(const waiting_runs_t *self)
{
    return self->conf.rules.retry.tries;
}

bool waiting_runs_is_full(waiting_runs_t *self)
{
    int64_t events = (int64_t)retry_schedule_events(self->schedule);
    bool was_full = self->is_full;
    self->is_full = events >= self->conf.rules.max_events ||
                    (was_full && events >= self->conf.rules.max_events / 10 * 9);
    inbox_tally(self->conf.database, TALLY_WAITING_FULL, self->is_full && !was_full);
    if (self->is_full != was_full)
        log_event(self->is_full ? LOG_WARN : LOG_INFO, self->conf.actor,
                  self->is_full ? "waiting_full" : "waiting_accepts", LOG_INT("events", events),
                  LOG_INT("waiting_max_events", self->conf.rules.max_events));
    return self->is_full;
}

/* --- life ------------------------------------------------------------------------------------- */

void waiting_runs_finish(waiting_runs_t *self)
{
    self->finishes = true;
    for (size_t i = 0; i < self->conf.handlers->command_count; i++)
        exec_child_finish(self->children[i]);
}

bool waiting_runs_are_quiet(const waiting_runs_t *self)
{
    size_t in_hand = 0;
    for (size_t i = 0; i < self->conf.handlers->command_count; i++)
        in_hand += exec_child_in_hand(self->children[i]);
    return in_hand == 0 && self->ends.count == 0;
}

/* One of an earlier life; a pause is no longer than the cap, whatever the wall clock did meanwhile. */
static void take_up(void *context, const waiting_event_t *event)
{
    waiting_runs_t *self = context;
    int64_t left_ms = (event->next_try_us - clock_wall_us()) / 1000;
    int64_t cap_ms = self->conf.rules.retry.cap_ms;
    int64_t pause_ms = left_ms < 0 ? 0 : left_ms > cap_ms ? cap_ms : left_ms;
    const retry_event_t entry = {.row = event->row,
                                 .kind = event->kind,
                                 .runner = event->is_dead ? (unsigned)RETRY_LETTERS
                                                          : runner_of(self, event->kind),
                                 .attempts = event->attempts};
    retry_schedule_add(self->schedule, event->user_key, &entry, clock_mono_ms() + pause_ms);
}

static void make_children(waiting_runs_t *self)
{
    for (size_t i = 0; i < self->conf.handlers->command_count; i++) {
        const exec_child_conf_t conf = {.actor = self->conf.actor,
                                        .command = self->conf.handlers->commands[i],
                                        .timeout_ms = self->conf.rules.timeout_ms,
                                        .epoll_fd = self->epoll_fd,
                                        .told = on_child_told,
                                        .context = self};
        self->children[i] = exec_child_new(&conf);
    }
}

int waiting_runs_open(waiting_runs_t **out, const waiting_conf_t *conf, detail_t *detail)
{
    waiting_runs_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->conf = *conf;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(self->epoll_fd >= 0);
    self->schedule = retry_schedule_new(&conf->rules.retry);
    waiting_letters_init(&self->letters, conf->actor, conf->queue);
    self->ends.actor = conf->actor;
    self->ends.database = conf->database;
    self->ends.schedule = self->schedule;
    make_children(self);
    int error = waiting_table_open(&self->table, conf->database, conf->queue, detail);
    if (error == 0) {
        error = waiting_table_walk(self->table, take_up, self);
        if (error != 0)
            detail_set(detail, error, "the table of waiting events cannot be read (%s)",
                       error_info(error)->slug);
        retry_schedule_keep(self->schedule, clock_mono_ms());
    }
    self->ends.table = self->table;
    if (error == 0 && retry_schedule_events(self->schedule) > 0)
        log_event(LOG_INFO, conf->actor, "waiting_taken_up",
                  LOG_INT("events", (int64_t)retry_schedule_events(self->schedule)),
                  LOG_INT("users", (int64_t)retry_schedule_lanes(self->schedule)));
    if (error != 0)
        waiting_runs_close(&self);
    *out = self;
    return error;
}

void waiting_runs_close(waiting_runs_t **self)
{
    waiting_runs_t *runs = *self;
    if (runs == NULL)
        return;
    *self = NULL;
    for (size_t i = 0; i < runs->conf.handlers->command_count; i++)
        exec_child_free(&runs->children[i]);
    waiting_table_close(&runs->table);
    retry_schedule_free(&runs->schedule);
    waiting_letters_fini(&runs->letters);
    text_buffer_fini(&runs->line);
    text_buffer_fini(&runs->properties);
    close(runs->epoll_fd);
    free(runs);
}
