/* SPDX-License-Identifier: Apache-2.0
 * supervisor.h - starts the actors in order, answers signals, starts failed ones again and stops all
 * in reverse. It runs in the main thread, which alone receives signals.
 *
 * Receives  actor_ended      supervisor; at most one per actor and start
 * Sends     stop             to every actor
 * Fails     an actor that fails RESTARTS_MAX times without a healthy minute between, or one that may
 *           not be started again or whose database failed on the disk, stops the others, within
 *           FAILED_STOP_MS, and gives its error; an actor that misses its stop
 *           deadline ends the process at once, exit code 70: what was promised is in the database
 */
#ifndef USERBUS_PIPELINE_SUPERVISOR_H
#define USERBUS_PIPELINE_SUPERVISOR_H

#include "pipeline/actor.h"

enum {
    FIRST_START_TIMEOUT_MS = 600000, /* a migration of a large database is in it */
    START_TIMEOUT_MS = 30000,        /* of an actor that is started again */
    RESTARTS_MAX = 10,
    HEALTHY_MS = 60000,
    FAILED_STOP_MS = 4000, /* time for the others to stop after one has failed for good */
};

/* What the failure of an actor means for the rest. */
typedef enum on_failure {
    FAILURE_ENDS_ALL, /* the process ends: only a new one has a clean state */
    FAILURE_RESTARTS, /* it is started again, RESTARTS_MAX times at most, and not after its database failed on the disk */
    FAILURE_IS_ITS_OWN /* it is started again for as long as it takes; the others go on without it */
} on_failure_t;

/* One actor to look after. All is borrowed until supervisor_close. */
typedef struct supervised {
    const char *name;
    const actor_class_t *class;
    const void *conf;
    int stage; /* actors are listed by ascending stage; those of one stage stop together */
    on_failure_t on_failure;
} supervised_t;

typedef struct supervisor supervisor_t;

/* Takes SIGTERM and SIGINT, ignores SIGPIPE, and starts the actors one after the other. On error the
 * ones that ran are stopped again, *detail is the failing actor's and *out is NULL. */
int supervisor_start(supervisor_t **out, const supervised_t *actors, size_t count, detail_t *detail)
    __attribute__((warn_unused_result));

/* Returns after SIGTERM or SIGINT (0) or a failure that cannot be mended (its error, *detail), all
 * actors being stopped, within stop_timeout_ms in all. */
int supervisor_run(supervisor_t *self, int stop_timeout_ms, detail_t *detail);

/* A NULL *self is fine. */
void supervisor_close(supervisor_t **self);

#endif
