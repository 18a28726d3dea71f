/* SPDX-License-Identifier: Apache-2.0
 * plan.h - what a run is given: its sizes, the requests of its clients and the faults, all from the seed.
 * Dropping requests or faults gives a smaller plan; that is how a breach is made short.
 */
#ifndef USERBUS_TESTS_SIMULATION_PLAN_H
#define USERBUS_TESTS_SIMULATION_PLAN_H

#include <stdio.h>

#include "proto/event.h"
#include "tests/simulation/randomness.h"

enum {
    PLAN_USERS_MAX = 12,
    PLAN_REQUESTS_MAX = 480,
    PLAN_FAULTS_MAX = 16,
    PLAN_BRIDGES_MAX = 4,
    PLAN_STARTS_MAX = 8,
    PLAN_PREFETCH_MAX = 50,
};

typedef struct planned_request {
    int64_t at_us;
    unsigned user;
    event_kind_t kind; /* a create instead, as long as the user was not created */
} planned_request_t;

typedef enum fault_kind {
    FAULT_SERVICE_KILL,      /* at a time */
    FAULT_SERVICE_KILL_STEP, /* at the `detail`-th step from a time on */
    FAULT_SERVICE_STOP,      /* asked to end, started again */
    FAULT_BRIDGE_KILL,       /* bridge `detail` */
    FAULT_BRIDGE_FLAP, /* bridge `detail` is killed again and again for a while, soon after each start */
    FAULT_BRIDGE_FLAP_NEWS, /* the same, each time just after it gave credit back */
    FAULT_WORKER_KILL,
    FAULT_WORKER_KILL_STEP,
    FAULT_WORKER_STOP,
    FAULT_CUT,         /* connection `detail` of those that are open; the broker may notice later */
    FAULT_BROKER_DOWN, /* for a while; what it confirmed is still there afterwards */
    FAULT_BLOCKED,     /* publishers are to pause for a while */
    FAULT_QUEUE_DELETE, /* with what is in it */
    FAULT_REFUSE_USER,  /* events of user `detail` are nacked or returned for a while */
    FAULT_REFUSE_ALL,
    FAULT_DISK_FULL,    /* of the store, for a while */
    FAULT_DISK_BROKEN,  /* the next commit of the store fails, and nobody knows how far it got */
    FAULT_INBOX_BUSY,   /* for a while */
    FAULT_INBOX_BROKEN, /* the next commit of the worker fails, and nobody knows how far it got */
    FAULT_PROCESSOR,    /* fails for user `detail` for a while */
    FAULT_GARBAGE,      /* a message that is no event is put into the queue */
    FAULT_SLOW,         /* the network, for a while */
    FAULT_KIND_COUNT
} fault_kind_t;

typedef struct planned_fault {
    fault_kind_t kind;
    int64_t at_us, for_us;
    int64_t detail;
} planned_fault_t;

typedef struct plan {
    uint64_t seed;
    unsigned users, partitions;
    unsigned bridges[PLAN_STARTS_MAX]; /* of each start of the service */
    int64_t credit;                    /* of a bridge: events it holds at most */
    size_t window;                     /* of a bridge: events in flight at most */
    int64_t outbox_max_events;
    unsigned prefetch;
    int64_t latency_us; /* of a network hop, at most */
    int64_t trouble_us; /* until here there are requests and faults */
    bool isolation;     /* after that all heals but the refusal of users, for a while */
    planned_request_t requests[PLAN_REQUESTS_MAX];
    size_t request_count;
    planned_fault_t faults[PLAN_FAULTS_MAX];
    size_t fault_count;
} plan_t;

const char *fault_name(fault_kind_t kind);

void plan_make(plan_t *out, uint64_t seed);

void plan_print(const plan_t *self, FILE *out);

#endif
