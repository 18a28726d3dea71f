/* SPDX-License-Identifier: Apache-2.0
 * broker_dial_plan.h - which of several brokers to try next, and when. Pure: the caller brings time and
 * randomness.
 *
 * The brokers stand in a shuffled order, so that many clients do not all sit on the first one. The next
 * is the first in that order whose time has come; one that failed or was lost goes to the end. Each has
 * an exponential backoff with full jitter of its own. A broker that refuses (credentials, topology) waits
 * the cap at once, since only a person mends that.
 */
#ifndef USERBUS_PIPELINE_BROKER_DIAL_PLAN_H
#define USERBUS_PIPELINE_BROKER_DIAL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/backoff.h"
#include "pipeline/broker_urls.h"

enum { DIAL_BASE_MS = 100, DIAL_CAP_MS = 5000 };

/* Times are monotonic milliseconds. */
typedef struct broker_dial_plan {
    size_t count;
    size_t order[BROKERS_MAX];
    struct {
        backoff_t backoff;
        int64_t due_ms;       /* not before */
        int64_t connected_ms; /* when the connection that holds was made */
    } brokers[BROKERS_MAX];
} broker_dial_plan_t;

/* count: 1..BROKERS_MAX. All may be tried at once. */
void broker_dial_plan_init(broker_dial_plan_t *self, size_t count, uint64_t random);

/* The broker to try now; -1: none yet. */
int broker_dial_plan_next(const broker_dial_plan_t *self, int64_t now_ms);

/* When the next one may be tried. */
int64_t broker_dial_plan_due_ms(const broker_dial_plan_t *self);

/* An attempt ended with `error` (errors.def). Returns the milliseconds until this broker may be tried
 * again. */
int broker_dial_plan_failed(broker_dial_plan_t *self, size_t broker, int error, int64_t now_ms,
                            uint64_t random);

void broker_dial_plan_connected(broker_dial_plan_t *self, size_t broker, int64_t now_ms);

/* The connection ended. One that held for DIAL_CAP_MS proves that there is something to come back to,
 * so the backoff begins anew; one that fails each time right after the login goes on with it. */
int broker_dial_plan_lost(broker_dial_plan_t *self, size_t broker, int error, int64_t now_ms,
                          uint64_t random);

/* Only a person can mend these, so trying often helps nobody. */
bool broker_error_needs_a_person(int error);

#endif
