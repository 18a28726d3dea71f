/* SPDX-License-Identifier: Apache-2.0
 * failpoint.h - named places where a fault test kills, delays or sabotages the process.
 *
 * In normal builds a failpoint is nothing. In the preset `fault` the environment variable USERBUS_FAILPOINTS
 * says what each does, separated by commas:
 *   store.committed=kill:37     SIGKILL to the own process at the 37th hit
 *   store.committed=delay:500   every hit waits so many milliseconds
 *   store.answer_early=on       FAILPOINT_ON is true there: the sabotage that a control needs
 *   bridge.forget=every:50      FAILPOINT_ON is true there once in so many hits
 * It is read here and not in the settings, since it is no setting: no build that is shipped knows it.
 *
 * Fails     a text that cannot be read ends the process, since a test that kills nowhere proves nothing
 */
#ifndef USERBUS_FAILPOINT_H
#define USERBUS_FAILPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef USERBUS_FAILPOINTS
#define FAILPOINT(name)    failpoint_hit(name)
#define FAILPOINT_ON(name) failpoint_is_on(name)
#else
#define FAILPOINT(name)    ((void)0)
#define FAILPOINT_ON(name) false
#endif

enum { FAILPOINTS_MAX = 16, FAILPOINT_NAME_MAX_BYTES = 47 };

typedef enum failpoint_action {
    FAILPOINT_KILL,
    FAILPOINT_DELAY,
    FAILPOINT_SABOTAGE,
    FAILPOINT_EVERY,
} failpoint_action_t;

typedef struct failpoint {
    char name[FAILPOINT_NAME_MAX_BYTES + 1];
    failpoint_action_t action;
    int64_t value; /* the hit that kills, or milliseconds, or of how many hits one is sabotaged */
} failpoint_t;

/* Reads such a text into out, at most FAILPOINTS_MAX; returns how many, or -1 when it is none. */
int failpoints_parse(failpoint_t *out, const char *text);

/* Any thread. */
void failpoint_hit(const char *name);
bool failpoint_is_on(const char *name);

#endif
