/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/run_ends.h"

#include "pipeline/backoff.h"
#include "pipeline/log.h"
#include "proto/errors.h"

/* Never without data, which the log takes for a number. */
static text_t shown(text_t text)
{
    return text.size > 0 ? text : TEXT("");
}

static ended_run_t *add(run_ends_t *self, retry_lane_t *lane, run_end_t end)
{
    must(self->count < RUN_ENDS_MAX);
    ended_run_t *ended = &self->ended[self->count++];
    *ended = (ended_run_t){.lane = lane, .end = end};
    return ended;
}

void run_ends_note(run_ends_t *self, retry_lane_t *lane, run_end_t end)
{
    must(end != END_FAILED && end != END_DEAD);
    add(self, lane, end);
}

void run_ends_note_failure(run_ends_t *self, retry_lane_t *lane, bool for_good, const char *error,
                           text_t reason)
{
    ended_run_t *ended = add(self, lane, for_good ? END_DEAD : END_FAILED);
    ended->error = error;
    detail_set(&ended->reason, 0, "%.*s", (int)reason.size, reason.size > 0 ? reason.data : "");
}

static int write_failure(run_ends_t *self, ended_run_t *ended, int64_t now_us)
{
    const retry_event_t *event = retry_lane_event(ended->lane);
    waiting_event_t waiting;
    int error = waiting_table_read(self->table, event->row, &waiting);
    if (error != 0)
        return error;
    ended->verdict =
        retry_schedule_judge(self->schedule, ended->lane, ended->end == END_DEAD, random_bits());
    waiting.attempts = ended->verdict.attempts;
    waiting.is_dead = ended->verdict.is_dead;
    waiting.first_failed_us = waiting.first_failed_us > 0 ? waiting.first_failed_us : now_us;
    waiting.next_try_us = waiting.is_dead ? 0 : now_us + ended->verdict.pause_ms * 1000;
    waiting.error = text_of(ended->error);
    waiting.reason = text_of(ended->reason.text);
    inbox_tally(self->database, TALLY_FAILED_RUNS, 1);
    log_event(LOG_WARN, self->actor, "run_failed",
              LOG_TEXT("message_id", shown(waiting.message_id)),
              LOG_TEXT("user", shown(waiting.user_key)), LOG_STR("error", ended->error),
              LOG_STR("reason", ended->reason.text), LOG_INT("attempt", waiting.attempts),
              LOG_INT("retry_ms", waiting.is_dead ? -1 : ended->verdict.pause_ms));
    return waiting_table_failed(self->table, &waiting);
}

static int write_end(run_ends_t *self, ended_run_t *ended, int64_t now_us)
{
    const retry_event_t *event = retry_lane_event(ended->lane);
    switch (ended->end) {
    case END_DONE:
    case END_UNHANDLED: /* the handler table has lost its row since */
        inbox_tally(self->database, ended->end == END_DONE ? event->kind : (int)TALLY_UNHANDLED, 1);
        return waiting_table_remove(self->table, event->row, INBOX_PROCESSED);
    case END_BURIED:
        inbox_tally(self->database, TALLY_DEAD, 1);
        return waiting_table_remove(self->table, event->row, INBOX_DEAD);
    default:
        return write_failure(self, ended, now_us);
    }
}

/* After the commit: the lanes go on. */
static void tell_lane(run_ends_t *self, const ended_run_t *ended, int64_t now_ms)
{
    if (ended->end == END_FAILED || ended->end == END_DEAD)
        retry_schedule_failed(self->schedule, ended->lane, &ended->verdict, now_ms);
    else
        retry_schedule_done(self->schedule, ended->lane, now_ms);
}

int run_ends_write(run_ends_t *self, int64_t now_us)
{
    int error = 0;
    inbox_tally(self->database, TALLY_TIMEOUTS, (int64_t)self->timeouts_untold);
    for (size_t i = 0; i < self->count && error == 0; i++)
        error = write_end(self, &self->ended[i], now_us);
    return error;
}

void run_ends_tell(run_ends_t *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->count; i++)
        tell_lane(self, &self->ended[i], now_ms);
    self->count = 0;
    self->timeouts_untold = 0;
}

void run_ends_take_back(run_ends_t *self, size_t kept)
{
    while (self->count > kept)
        retry_schedule_put_back(self->schedule, self->ended[--self->count].lane);
}
