/* SPDX-License-Identifier: Apache-2.0
 * simulation.h - one run of a plan.
 */
#ifndef USERBUS_TESTS_SIMULATION_SIMULATION_H
#define USERBUS_TESTS_SIMULATION_SIMULATION_H

#include "tests/simulation/plan.h"
#include "tests/simulation/reached.h"

typedef struct outcome {
    bool breached;
    char promise[64], text[512];
    uint64_t hash;  /* of all that happened: the same for the same plan */
    uint64_t steps; /* calls that the actors made */
    int64_t ended_us, events;
    int64_t reached[REACHED_COUNT]; /* how often */
} outcome_t;

/* trace: where to print all that happens; NULL: nowhere. */
outcome_t simulation_run(const plan_t *plan, FILE *trace);

#endif
