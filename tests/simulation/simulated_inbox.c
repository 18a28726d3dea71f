/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/simulated_inbox.h"

#include <string.h>

#include "actors/consumer/inbox_database.h"
#include "proto/errors.h"
#include "tests/simulation/bugs.h"
#include "tests/simulation/promises.h"

enum { MARKS_MAX = 512, COMMIT_MOST_US = 3000 };

typedef struct mark {
    int64_t record;
    inbox_outcome_t outcome;
} mark_t;

struct inbox_database {
    bool open;               /* a transaction is */
    mark_t marks[MARKS_MAX]; /* and what they are settled as, in order */
    int64_t effects[MARKS_MAX];
    size_t mark_count, effect_count, effects_before;
    bool busy, broken;
    int failures[PLAN_USERS_MAX]; /* what processors give */
};

static inbox_database_t inbox;

void inbox_begin_run(void)
{
    memset(&inbox, 0, sizeof(inbox));
    waiting_begin_run();
}

void inbox_busy(bool busy)
{
    inbox.busy = busy;
}

void inbox_break(void)
{
    inbox.broken = true;
}

static void forget(inbox_database_t *self)
{
    self->open = false;
    self->mark_count = self->effect_count = 0;
    waiting_rollback();
}

static void make_durable(inbox_database_t *self)
{
    for (size_t i = 0; i < self->mark_count; i++)
        promise_seen_committed(self->marks[i].record, (int)self->marks[i].outcome);
    for (size_t i = 0; i < self->effect_count; i++)
        promise_effect_committed(self->effects[i]);
    waiting_commit();
    forget(self);
}

int inbox_database_open(inbox_database_t **out, const char *url, detail_t *detail)
{
    (void)url;
    *out = NULL;
    if (step())
        return detail_set(detail, ERR_DATABASE_OPEN, "dead");
    forget(&inbox);
    *out = &inbox;
    return 0;
}

void inbox_database_close(inbox_database_t **self)
{
    *self = NULL;
}

int inbox_begin(inbox_database_t *self, int64_t now_us)
{
    (void)now_us;
    if (step() || self->busy)
        return ERR_STORE_UNAVAILABLE;
    self->open = true;
    return 0;
}

static void delayed_commit(void *context, int64_t number)
{
    if (world.worker.alive && world.worker.life == number)
        make_durable(context);
}

int inbox_commit(inbox_database_t *self)
{
    if (step())
        return ERR_STORE_UNAVAILABLE;
    if (bug_is(BUG_ACK_BEFORE_COMMIT)) {
        world_after(COMMIT_MOST_US, delayed_commit, self, world.worker.life);
        return 0;
    }
    task_sleep(random_between(&world.random, 10, COMMIT_MOST_US));
    if (step())
        return ERR_STORE_UNAVAILABLE;
    bool broken = self->broken;
    self->broken = false;
    if (!broken || random_chance(&world.random, 50))
        make_durable(self);
    return step() || broken ? ERR_DATABASE_FATAL : 0;
}

void inbox_rollback(inbox_database_t *self)
{
    if (!step())
        forget(self);
}

static void add_mark(inbox_database_t *self, int64_t record, inbox_outcome_t outcome)
{
    must(self->mark_count < MARKS_MAX);
    if (record > 0)
        self->marks[self->mark_count++] = (mark_t){record, outcome};
}

/* As the open transaction sees it; -1: it was not seen. */
static int outcome_of(const inbox_database_t *self, int64_t record)
{
    int outcome = record > 0 ? promise_outcome_seen(record) : -1;
    for (size_t i = 0; i < self->mark_count; i++)
        if (self->marks[i].record == record)
            outcome = (int)self->marks[i].outcome;
    return outcome;
}

/* The simulated messages that are no events have ids that are none of ours. */
int inbox_mark(inbox_database_t *self, const inbox_message_t *message, inbox_outcome_t outcome,
               inbox_marked_t *marked)
{
    *marked = MARKED_KNOWN;
    if (step())
        return ERR_STORE_UNAVAILABLE;
    int64_t record = promise_record_of(message->message_id);
    int before = outcome_of(self, record);
    if (before < 0 || bug_is(BUG_APPLIED_TWICE))
        *marked = MARKED_NEW;
    else if (before == INBOX_DEAD)
        *marked = MARKED_AGAIN;
    if (*marked != MARKED_KNOWN)
        add_mark(self, record, outcome);
    return 0;
}

void inbox_settle_record(int64_t record, int outcome)
{
    add_mark(&inbox, record, (inbox_outcome_t)outcome);
}

int inbox_savepoint(inbox_database_t *self)
{
    self->effects_before = self->effect_count;
    return step() ? ERR_STORE_UNAVAILABLE : 0;
}

int inbox_undo(inbox_database_t *self)
{
    self->effect_count = self->effects_before;
    return step() ? ERR_STORE_UNAVAILABLE : 0;
}

int inbox_release(inbox_database_t *self)
{
    (void)self;
    return step() ? ERR_STORE_UNAVAILABLE : 0;
}

void inbox_tally(inbox_database_t *self, int tally, int64_t count)
{
    (void)self;
    (void)tally;
    (void)count;
}

void inbox_database_limit(inbox_database_t *self, const inbox_limits_t *limits)
{
    (void)self;
    (void)limits;
}

int64_t inbox_cut_short(const inbox_database_t *self)
{
    (void)self;
    return 0;
}

int inbox_tidy(inbox_database_t *self, bool idle)
{
    (void)self;
    (void)idle;
    return 0;
}

/* --- the projection: not simulated ---------------------------------------------------------------- */

int inbox_settle(inbox_database_t *self, text_t message_id, inbox_outcome_t outcome)
{
    if (step())
        return ERR_STORE_UNAVAILABLE;
    add_mark(self, promise_record_of(message_id), outcome);
    return 0;
}

int projection_keep(inbox_database_t *self, const incoming_event_t *event,
                    projection_effect_t effect, sequence_step_t *step_out, bool *done)
{
    (void)self;
    (void)event;
    must(effect == EFFECT_NONE);
    *step_out = (sequence_step_t){0};
    *done = false;
    return 0;
}

int projection_arrive(inbox_database_t *self, const incoming_event_t *event,
                      sequence_step_t *step_out)
{
    bool done;
    return projection_keep(self, event, EFFECT_NONE, step_out, &done);
}

int projection_keep_arrived(inbox_database_t *self, const incoming_event_t *event)
{
    (void)self;
    (void)event;
    return 0;
}

/* --- the processor ---------------------------------------------------------------------------------- */

void processors_fail(unsigned user, int error)
{
    inbox.failures[user] = error;
}

/* It fails after it did something, which must be undone. */
static int process(inbox_database_t *self, const incoming_event_t *event, rejection_t *why)
{
    if (step())
        return ERR_STORE_UNAVAILABLE;
    must(self->open && self->effect_count < MARKS_MAX);
    int64_t record = promise_record_of(event->message_id);
    self->effects[self->effect_count++] = record;
    int error = self->failures[promise_user_of(record)];
    if (error == 0)
        return 0;
    trace("fails", "processor", record, error);
    promise_failed(record);
    why->slug = "simulated";
    return detail_set(&why->reason, error, "simulated");
}

const processor_t simulated_processor = {"simulated", process, true, EFFECT_NONE};

/* The processors of the service are linked, and not used. */
static int not_used(void)
{
    must(false);
    return ERR_INTERNAL;
}

int projection_register(inbox_database_t *self, const incoming_event_t *event)
{
    (void)self;
    (void)event;
    return not_used();
}

int projection_count_view(inbox_database_t *self, const incoming_event_t *event)
{
    (void)self;
    (void)event;
    return not_used();
}

int projection_count_update(inbox_database_t *self, const incoming_event_t *event)
{
    (void)self;
    (void)event;
    return not_used();
}

int projection_disable(inbox_database_t *self, const incoming_event_t *event)
{
    (void)self;
    (void)event;
    return not_used();
}
