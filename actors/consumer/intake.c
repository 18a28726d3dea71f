/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/intake.h"

#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum { SAMPLE_MS = 10000 /* at most one line of a kind in it */ };

/* Gaps may come in floods, so a line tells what came since the last one. */
static void note_gap(intake_t *self, const incoming_event_t *event, const sequence_step_t *step)
{
    self->gaps_untold += step->missing;
    if (self->gaps_untold == 0 || clock_mono_ms() < self->next_gap_line_ms)
        return;
    log_event(LOG_WARN, self->actor, "sequence_gap", LOG_INT("missing", self->gaps_untold),
              LOG_TEXT("last_user", event->user_key), LOG_INT("before_sequence", event->sequence));
    self->gaps_untold = 0;
    self->next_gap_line_ms = clock_mono_ms() + SAMPLE_MS;
}

void intake_note_cut(intake_t *self)
{
    self->cut_untold += inbox_cut_short(self->database);
    if (self->cut_untold == 0 || clock_mono_ms() < self->next_cut_line_ms)
        return;
    log_event(LOG_WARN, self->actor, "retention_cut_short", LOG_INT("messages", self->cut_untold));
    self->cut_untold = 0;
    self->next_cut_line_ms = clock_mono_ms() + SAMPLE_MS;
}

static void tell(const intake_t *self, const incoming_event_t *event, const char *outcome)
{
    log_event(LOG_DEBUG, self->actor, outcome, LOG_TEXT("message_id", event->message_id),
              LOG_STR("type", event_kind_name(event->kind)),
              LOG_STR("processor", self->handlers->names[event->kind]));
}

/* --- dead at once ----------------------------------------------------------------------------- */

static void die(taken_t *out)
{
    out->is_dead = true;
    out->death = (death_t){.error = out->why.slug,
                           .reason = out->why.reason.text,
                           .attempts = 1,
                           .first_failed_us = clock_wall_us(),
                           .processor = ""};
}

/* Nobody can read it; it is marked, so that whoever counts ids finds it. */
static int reject(intake_t *self, const broker_message_t *message, taken_t *out)
{
    const inbox_message_t unread = {
        message->message_id,
        message->type.size > 0 ? event_kind_parse(message->type) : INBOX_KIND_UNKNOWN, 0};
    inbox_marked_t marked;
    die(out);
    return unread.message_id.size > 0 ? inbox_mark(self->database, &unread, INBOX_DEAD, &marked)
                                      : 0;
}

static int give_up(intake_t *self, taken_t *out)
{
    const incoming_event_t *event = &out->event;
    die(out);
    out->death.processor = self->handlers->names[event->kind];
    out->death.user_key = event->user_key;
    out->death.sequence = event->sequence;
    tell(self, event, "dead");
    return inbox_settle(self->database, event->message_id, INBOX_DEAD);
}

/* --- events ----------------------------------------------------------------------------------- */

static int let_wait(intake_t *self, const broker_message_t *message, const taken_t *taken,
                    const rejection_t *why)
{
    tell(self, &taken->event, "waiting");
    return waiting_runs_add(self->runs, &taken->event, message, why);
}

static int on_failure(intake_t *self, const broker_message_t *message, taken_t *taken, int error)
{
    inbox_tally(self->database, TALLY_FAILED_RUNS, 1);
    if (error == ERR_PROCESSOR_DEAD || waiting_runs_tries(self->runs) <= 1)
        return give_up(self, taken);
    error = inbox_settle(self->database, taken->event.message_id, INBOX_WAITING);
    return error != 0 ? error : let_wait(self, message, taken, &taken->why);
}

/* The usual way. */
static int run(intake_t *self, const broker_message_t *message, taken_t *taken)
{
    const incoming_event_t *event = &taken->event;
    const processor_t *processor = self->handlers->by_kind[event->kind];
    sequence_step_t step;
    bool done;
    int error = projection_keep(self->database, event, processor->effect, &step, &done);
    if (step.missing > 0)
        note_gap(self, event, &step);
    if (error == 0 && !done)
        error = waiting_runs_run(self->runs, processor, event, &taken->why);
    if (is_processor_failure(error))
        return on_failure(self, message, taken, error);
    inbox_tally(self->database, (int)event->kind, 1);
    tell(self, event, "processed");
    return error;
}

static int wait_for_turn(intake_t *self, const broker_message_t *message, const taken_t *taken)
{
    sequence_step_t step;
    int error = projection_arrive(self->database, &taken->event, &step);
    if (step.missing > 0)
        note_gap(self, &taken->event, &step);
    return error != 0 ? error : let_wait(self, message, taken, NULL);
}

static int take_event(intake_t *self, const broker_message_t *message, taken_t *taken)
{
    const incoming_event_t *event = &taken->event;
    const inbox_message_t seen = {event->message_id, (int)event->kind, event->sequence};
    inbox_marked_t marked;
    if (!handler_table_has(self->handlers, event->kind)) {
        inbox_tally(self->database, TALLY_UNHANDLED, 1);
        tell(self, event, "unhandled");
        return 0;
    }
    bool waits = waiting_runs_must_wait(self->runs, event);
    int error = inbox_mark(self->database, &seen, waits ? INBOX_WAITING : INBOX_PROCESSED, &marked);
    FAILPOINT("consumer.marked");
    if (error != 0)
        return error;
    if (marked == MARKED_KNOWN) {
        inbox_tally(self->database, TALLY_DUPLICATE, 1);
        tell(self, event, "duplicate");
        return 0;
    }
    inbox_tally(self->database, TALLY_REPLAYED, marked == MARKED_AGAIN);
    return waits ? wait_for_turn(self, message, taken) : run(self, message, taken);
}

int intake_take(intake_t *self, const broker_message_t *message, taken_t *out)
{
    out->is_dead = false;
    if (incoming_event_parse(&out->event, message, &out->why))
        return take_event(self, message, out);
    return reject(self, message, out);
}

void taken_fini(taken_t *taken)
{
    incoming_event_fini(&taken->event);
}
