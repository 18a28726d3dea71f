/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/plan.h"

#include <inttypes.h>
#include <string.h>

#include "actors/bridge/bridge_actor.h"

enum { MS = 1000, SECOND = 1000 * MS };

/* Weights say how often a kind is chosen among the faults of a plan. */
static const struct {
    const char *name;
    int weight;
    int64_t longest_us; /* of one that lasts */
    int64_t detail_max;
} kinds[FAULT_KIND_COUNT] = {
    [FAULT_SERVICE_KILL] = {"service-kill", 2, 0, 0},
    [FAULT_SERVICE_KILL_STEP] = {"service-kill-at-step", 5, 0, 60},
    [FAULT_SERVICE_STOP] = {"service-stop", 2, 0, 0},
    [FAULT_BRIDGE_KILL] = {"bridge-kill", 3, 0, PLAN_BRIDGES_MAX - 1},
    [FAULT_BRIDGE_FLAP] = {"bridge-flap", 2, 50 * MS, PLAN_BRIDGES_MAX - 1},
    [FAULT_BRIDGE_FLAP_NEWS] = {"bridge-flap-with-news", 2, 5 * SECOND, PLAN_BRIDGES_MAX - 1},
    [FAULT_WORKER_KILL] = {"worker-kill", 2, 0, 0},
    [FAULT_WORKER_KILL_STEP] = {"worker-kill-at-step", 4, 0, 60},
    [FAULT_WORKER_STOP] = {"worker-stop", 1, 0, 0},
    [FAULT_CUT] = {"cut", 5, 5 * SECOND, PLAN_BRIDGES_MAX},
    [FAULT_BROKER_DOWN] = {"broker-down", 2, 5 * SECOND, 0},
    [FAULT_BLOCKED] = {"blocked", 2, 5 * SECOND, 0},
    [FAULT_QUEUE_DELETE] = {"queue-delete", 1, 0, 0},
    [FAULT_REFUSE_USER] = {"refuse-user", 5, 20 * SECOND, PLAN_USERS_MAX - 1},
    [FAULT_REFUSE_ALL] = {"refuse-all", 2, 5 * SECOND, 0},
    [FAULT_DISK_FULL] = {"disk-full", 2, 3 * SECOND, 0},
    [FAULT_DISK_BROKEN] = {"disk-broken", 2, 0, 0},
    [FAULT_INBOX_BUSY] = {"inbox-busy", 1, 3 * SECOND, 0},
    [FAULT_INBOX_BROKEN] = {"inbox-broken", 1, 0, 0},
    [FAULT_PROCESSOR] = {"processor-fails", 4, 20 * SECOND, PLAN_USERS_MAX - 1},
    [FAULT_GARBAGE] = {"garbage", 2, 0, 0},
    [FAULT_SLOW] = {"slow", 1, 5 * SECOND, 0},
};

const char *fault_name(fault_kind_t kind)
{
    return kinds[kind].name;
}

static event_kind_t choose_kind(randomness_t *random, int reads_percent)
{
    if (random_chance(random, reads_percent))
        return EVENT_USER_READ;
    return random_chance(random, 90) ? EVENT_USER_UPDATE : EVENT_USER_DELETE;
}

static void plan_requests(plan_t *self, randomness_t *random, bool stubborn)
{
    int reads_percent = (int)random_between(random, 0, 90);
    bool hot = random_chance(random, 30); /* one user has most of the requests */
    bool bursts = !stubborn && random_chance(random, 50);
    size_t count = (size_t)random_between(random, stubborn ? 40 : 5, stubborn ? 120 : 60);
    if (random_chance(random, 8))
        count = (size_t)random_between(random, 100, PLAN_REQUESTS_MAX);
    int64_t at_us = 0, step_us = self->trouble_us / (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        if (!bursts || random_chance(random, 10))
            at_us += random_between(random, 0, (bursts ? 20 : 2) * step_us);
        if (at_us > self->trouble_us)
            break;
        unsigned user = (unsigned)random_between(random, 0, self->users - 1);
        self->requests[self->request_count++] = (planned_request_t){
            at_us + random_between(random, 0, 200), hot && random_chance(random, 70) ? 0 : user,
            choose_kind(random, reads_percent)};
    }
}

static fault_kind_t choose_fault(randomness_t *random)
{
    int total = 0, kind = 0;
    for (int i = 0; i < FAULT_KIND_COUNT; i++)
        total += kinds[i].weight;
    int64_t at = random_between(random, 0, total - 1);
    while (at >= kinds[kind].weight)
        at -= kinds[kind++].weight;
    return (fault_kind_t)kind;
}

static void plan_faults(plan_t *self, randomness_t *random, bool stubborn)
{
    size_t count = (size_t)random_between(random, 0, PLAN_FAULTS_MAX);
    if (random_chance(random, 50))
        count /= 4;
    if (stubborn)
        self->faults[self->fault_count++] = (planned_fault_t){
            .kind = FAULT_REFUSE_USER,
            .at_us = random_between(random, 0, self->trouble_us / 4),
            .for_us = random_between(random, self->trouble_us / 2, 2 * self->trouble_us),
            .detail = random_between(random, 0, self->users - 1)};
    for (size_t i = self->fault_count; i < count; i++) {
        fault_kind_t kind = choose_fault(random);
        self->faults[self->fault_count++] = (planned_fault_t){
            .kind = kind,
            .at_us = random_between(random, 0, self->trouble_us),
            .for_us =
                kinds[kind].longest_us > 0 ? random_between(random, MS, kinds[kind].longest_us) : 0,
            .detail = random_between(random, 0, kinds[kind].detail_max),
        };
    }
}

void plan_make(plan_t *out, uint64_t seed)
{
    randomness_t random = randomness_of(seed);
    static const int64_t latencies_us[] = {200, 2 * MS, 20 * MS, 200 * MS};
    memset(out, 0, sizeof(*out));
    out->seed = seed;
    out->users = (unsigned)random_between(&random, 1, PLAN_USERS_MAX);
    out->partitions = (unsigned)random_between(&random, 1, 8);
    for (size_t i = 0; i < PLAN_STARTS_MAX; i++)
        out->bridges[i] = random_chance(&random, 50)
                              ? out->bridges[0] + (out->bridges[0] == 0)
                              : (unsigned)random_between(&random, 1, PLAN_BRIDGES_MAX);
    out->credit = random_chance(&random, 60) ? random_between(&random, 1, 16) : BRIDGE_CREDIT;
    out->window =
        random_chance(&random, 60) ? (size_t)random_between(&random, 1, 16) : BRIDGE_WINDOW;
    out->outbox_max_events = random_chance(&random, 30) ? 100 : 100000;
    out->prefetch = (unsigned)random_between(&random, 1, PLAN_PREFETCH_MAX);
    out->latency_us = latencies_us[random_between(&random, 0, 3)];
    /* A user who is refused for long enough, while others are not, leaves the bridge. */
    bool stubborn = random_chance(&random, 20);
    out->trouble_us = random_between(&random, stubborn ? 8 * SECOND : 200 * MS,
                                     stubborn ? 40 * SECOND : 15 * SECOND);
    /* A small credit is the whole of what a bridge holds, and one user's events may take it up; a lane that
     * yields then waits for its partition's position, which another refused one holds back while nobody
     * else's events come. */
    out->isolation = random_chance(&random, 40) && out->credit == BRIDGE_CREDIT;
    plan_requests(out, &random, stubborn);
    plan_faults(out, &random, stubborn);
}

void plan_print(const plan_t *self, FILE *out)
{
    fprintf(out,
            "seed %" PRIu64 ": %u users in %u partitions, bridges %u, credit %" PRId64
            ", window %zu, outbox %" PRId64
            ", prefetch %u, latency %.1f ms, %zu requests, %zu faults%s\n",
            self->seed, self->users, self->partitions, self->bridges[0], self->credit, self->window,
            self->outbox_max_events, self->prefetch, (double)self->latency_us / MS,
            self->request_count, self->fault_count, self->isolation ? ", isolation" : "");
    for (size_t i = 0; i < self->fault_count; i++) {
        const planned_fault_t *fault = &self->faults[i];
        fprintf(out, "  fault %-20s at %.3f s for %.3f s, detail %" PRId64 "\n",
                fault_name(fault->kind), (double)fault->at_us / SECOND,
                (double)fault->for_us / SECOND, fault->detail);
    }
}
