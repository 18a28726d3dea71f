/* SPDX-License-Identifier: Apache-2.0
 * bridge_trouble.h - why nothing is sent or confirmed, as an operator is told: no connection, a queue that does not
 * answer, or one that refuses everything. Pure: the caller brings the time.
 *
 * A broker without a connection is in trouble until there is one; one that answers and confirms nothing until something is
 * confirmed, since connecting to it always succeeds.
 */
#ifndef USERBUS_ACTORS_BRIDGE_BRIDGE_TROUBLE_H
#define USERBUS_ACTORS_BRIDGE_BRIDGE_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h"

enum { CONFIRM_TIMEOUT_S = 30 };

/* Times are monotonic milliseconds. */
typedef struct bridge_trouble {
    detail_t why; /* empty: none */
    bool changed; /* since the caller last set it to false */
    bool holds;   /* with a connection, too */
    int timeout_s;
    int64_t heard_ms;         /* when an outcome came, or was first to be awaited */
    int64_t refused_since_ms; /* since when all is refused; 0: something was confirmed */
} bridge_trouble_t;

/* timeout_s: how long nothing may be confirmed; 0: CONFIRM_TIMEOUT_S. */
void bridge_trouble_init(bridge_trouble_t *self, int timeout_s);

/* The connection ended, or an attempt to get one failed. */
void bridge_trouble_lost(bridge_trouble_t *self, const detail_t *why);
void bridge_trouble_failed(bridge_trouble_t *self, const detail_t *why);
void bridge_trouble_connected(bridge_trouble_t *self);

/* An outcome came, whatever it was; nothing is awaited; the first one is from now on. */
void bridge_trouble_heard(bridge_trouble_t *self, int64_t now_ms);

/* An event was confirmed: all is well. */
void bridge_trouble_confirmed(bridge_trouble_t *self);

/* True, with `why` for a person: outcomes are awaited, and none came for the timeout. */
bool bridge_trouble_is_silent(bridge_trouble_t *self, int64_t now_ms, const char *address);

/* Events came back for `reason`, routed nowhere or refused. True, once in a timeout and with `why`: so did everything
 * for that long, so it is not one user's trouble. */
bool bridge_trouble_refused(bridge_trouble_t *self, int64_t now_ms, const char *reason,
                            bool returned);

#endif
