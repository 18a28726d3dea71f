/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/shrink.h"

#include <string.h>

#include "actors/bridge/bridge_actor.h"

enum { RUNS_MAX = 1500 };

typedef struct shrinking {
    plan_t *plan; /* the smallest so far */
    outcome_t outcome;
    int runs;
} shrinking_t;

/* Keeps the smaller plan when it breaches the same promise. */
static bool try_plan(shrinking_t *self, const plan_t *smaller)
{
    if (self->runs++ >= RUNS_MAX)
        return false;
    outcome_t outcome = simulation_run(smaller, NULL);
    if (!outcome.breached || strcmp(outcome.promise, self->outcome.promise) != 0)
        return false;
    *self->plan = *smaller;
    self->outcome = outcome;
    return true;
}

static void drop_faults(shrinking_t *self)
{
    for (size_t i = 0; i < self->plan->fault_count;) {
        plan_t smaller = *self->plan;
        smaller.fault_count--;
        memmove(&smaller.faults[i], &smaller.faults[i + 1],
                (smaller.fault_count - i) * sizeof(smaller.faults[0]));
        if (!try_plan(self, &smaller))
            i++;
    }
}

static void drop_requests(shrinking_t *self)
{
    for (size_t size = (self->plan->request_count + 1) / 2; size > 0; size /= 2)
        for (size_t i = 0; i < self->plan->request_count;) {
            plan_t smaller = *self->plan;
            size_t dropped = smaller.request_count - i < size ? smaller.request_count - i : size;
            smaller.request_count -= dropped;
            memmove(&smaller.requests[i], &smaller.requests[i + dropped],
                    (smaller.request_count - i) * sizeof(smaller.requests[0]));
            if (!try_plan(self, &smaller))
                i += dropped;
        }
}

static void shorten_faults(shrinking_t *self)
{
    for (size_t i = 0; i < self->plan->fault_count; i++)
        for (int64_t for_us = self->plan->faults[i].for_us / 2; for_us > 0; for_us /= 2) {
            plan_t smaller = *self->plan;
            smaller.faults[i].for_us = for_us;
            if (!try_plan(self, &smaller))
                break;
        }
}

static void one_bridge(plan_t *plan)
{
    for (size_t i = 0; i < PLAN_STARTS_MAX; i++)
        plan->bridges[i] = 1;
}

static void same_bridges(plan_t *plan)
{
    for (size_t i = 1; i < PLAN_STARTS_MAX; i++)
        plan->bridges[i] = plan->bridges[0];
}

static void full_credit(plan_t *plan)
{
    plan->credit = BRIDGE_CREDIT;
}

static void full_window(plan_t *plan)
{
    plan->window = BRIDGE_WINDOW;
}

static void wide_outbox(plan_t *plan)
{
    plan->outbox_max_events = 100000;
}

static void short_hops(plan_t *plan)
{
    plan->latency_us = 200;
}

static void one_user(plan_t *plan)
{
    for (size_t i = 0; i < plan->request_count; i++)
        plan->requests[i].user = 0;
}

static void make_plain(shrinking_t *self)
{
    static void (*const simplifications[])(plan_t * plan) = {
        one_bridge, same_bridges, full_credit, full_window, wide_outbox, short_hops, one_user};
    for (size_t i = 0; i < sizeof(simplifications) / sizeof(simplifications[0]); i++) {
        plan_t smaller = *self->plan;
        simplifications[i](&smaller);
        if (memcmp(&smaller, self->plan, sizeof(smaller)) != 0)
            (void)try_plan(self, &smaller);
    }
}

outcome_t shrink(plan_t *plan, const outcome_t *found)
{
    shrinking_t self = {.plan = plan, .outcome = *found};
    size_t before;
    do {
        before = plan->request_count + plan->fault_count;
        drop_faults(&self);
        drop_requests(&self);
        make_plain(&self);
        shorten_faults(&self);
    } while (plan->request_count + plan->fault_count < before && self.runs < RUNS_MAX);
    return self.outcome;
}
