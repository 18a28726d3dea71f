/* SPDX-License-Identifier: Apache-2.0
 * shrink.h - makes a plan that breaches a promise as small as it goes: fewer requests, fewer and shorter
 * faults, plainer sizes, as long as the same promise is breached.
 */
#ifndef USERBUS_TESTS_SIMULATION_SHRINK_H
#define USERBUS_TESTS_SIMULATION_SHRINK_H

#include "tests/simulation/simulation.h"

/* Returns the outcome of the smaller plan. */
outcome_t shrink(plan_t *plan, const outcome_t *found);

#endif
