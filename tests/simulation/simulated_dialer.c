/* SPDX-License-Identifier: Apache-2.0
 * simulated_dialer.c - broker_dialer.h without threads: an attempt ends some hops later. When the next one
 * is due is the real plan's business.
 */
#include "pipeline/broker_dialer.h"

#include "pipeline/clock.h"
#include "proto/errors.h"
#include "tests/simulation/simulated_broker.h"

enum { DIALERS_MAX = 2048, FD_BASE = 100000, HOPS = 5, NEVER_MS = 3600000 };

typedef enum job { JOB_NONE, JOB_RUNS, JOB_DONE } job_t;

struct broker_dialer {
    int index;
    task_t *task; /* NULL: closed */
    broker_dial_plan_t plan;
    unsigned prefetch;
    job_t attempt, mending;
    broker_connection_t *made; /* by the attempt; NULL: it failed */
    bool connected;            /* a connection was given out, and is not lost */
    bool mended;
};

static broker_dialer_t *dialers[DIALERS_MAX];
static int dialer_count;

void dialers_begin(void)
{
    dialer_count = 0;
}

bool dialer_has_news(int fd)
{
    int index = fd - FD_BASE;
    return index >= 0 && index < dialer_count && dialers[index]->attempt == JOB_DONE;
}

broker_dialer_t *broker_dialer_open(const broker_dialer_conf_t *conf)
{
    must(dialer_count < DIALERS_MAX);
    broker_dialer_t *self = run_alloc(sizeof(*self));
    self->index = dialer_count;
    self->task = world.running;
    self->prefetch = conf->prefetch;
    broker_dial_plan_init(&self->plan, 1, random_bits());
    dialers[dialer_count++] = self;
    return self;
}

void broker_dialer_close(broker_dialer_t **self)
{
    if (*self == NULL)
        return;
    (*self)->task = NULL;
    if ((*self)->attempt == JOB_DONE)
        broker_close(&(*self)->made);
    *self = NULL;
}

static int64_t attempt_us(void)
{
    int64_t us = 0;
    for (int i = 0; i < HOPS; i++)
        us += hop_us();
    return us;
}

static void end_attempt(void *context, int64_t number)
{
    broker_dialer_t *self = context;
    (void)number;
    if (self->task == NULL)
        return;
    self->made = connection_make(self->task, self->prefetch);
    self->attempt = JOB_DONE;
    task_wake(self->task);
}

int broker_dialer_turn(broker_dialer_t *self, broker_connection_t **out, detail_t *detail)
{
    if (step() || self->attempt == JOB_RUNS)
        return 0;
    if (self->attempt == JOB_NONE) {
        if (broker_dial_plan_next(&self->plan, clock_mono_ms()) < 0)
            return 0;
        self->attempt = JOB_RUNS;
        world_after(attempt_us(), end_attempt, self, 0);
        return 0;
    }
    self->attempt = JOB_NONE;
    if (self->made == NULL) {
        broker_dial_plan_failed(&self->plan, 0, ERR_BROKER_DOWN, clock_mono_ms(), random_bits());
        return detail_set(detail, ERR_BROKER_DOWN, "the broker is down");
    }
    *out = self->made;
    self->made = NULL;
    self->connected = true;
    broker_dial_plan_connected(&self->plan, 0, clock_mono_ms());
    detail_set(detail, 0, "connected");
    return 1;
}

int broker_dialer_fd(const broker_dialer_t *self)
{
    return FD_BASE + self->index;
}

int64_t broker_dialer_due_ms(const broker_dialer_t *self)
{
    return self->attempt != JOB_NONE ? clock_mono_ms() + NEVER_MS
                                     : broker_dial_plan_due_ms(&self->plan);
}

void broker_dialer_lost(broker_dialer_t *self, int error)
{
    must(self->connected);
    self->connected = false;
    broker_dial_plan_lost(&self->plan, 0, error, clock_mono_ms(), random_bits());
}

static void end_mending(void *context, int64_t number)
{
    broker_dialer_t *self = context;
    (void)number;
    self->mended = broker_mend();
    self->mending = JOB_DONE;
}

void broker_dialer_mend(broker_dialer_t *self)
{
    if (step() || self->mending != JOB_NONE)
        return;
    self->mending = JOB_RUNS;
    world_after(attempt_us(), end_mending, self, 0);
}

int broker_dialer_mended(broker_dialer_t *self, detail_t *detail)
{
    if (self->mending != JOB_DONE)
        return 0;
    self->mending = JOB_NONE;
    return self->mended ? 1 : detail_set(detail, ERR_BROKER_DOWN, "the broker is down");
}
