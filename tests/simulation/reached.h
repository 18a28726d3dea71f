/* SPDX-License-Identifier: Apache-2.0
 * reached.h - how often a run came to a bound of a bridge: a simulation that never does says nothing of what
 * happens there.
 */
#ifndef USERBUS_TESTS_SIMULATION_REACHED_H
#define USERBUS_TESTS_SIMULATION_REACHED_H

#include <stdint.h>

typedef enum reached {
    REACHED_WINDOW_FULL,  /* a publish took the last room of the confirm window */
    REACHED_CREDIT_SPENT, /* an event took the last credit of a bridge */
    REACHED_LANE_YIELDED, /* the fullest lane left, since all that was held waited */
    REACHED_COUNT
} reached_t;

/* As the summary has it. */
const char *reached_name(reached_t what);

/* Counts from 0 again, for the next run. */
void reached_begin(void);
int64_t reached_times(reached_t what);

#endif
