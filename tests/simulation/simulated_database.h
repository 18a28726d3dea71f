/* SPDX-License-Identifier: Apache-2.0
 * simulated_database.h - database.h in memory: what was committed stays when the service dies, what was not
 * is gone. A commit takes a while, and the service may die on either side of it.
 */
#ifndef USERBUS_TESTS_SIMULATION_SIMULATED_DATABASE_H
#define USERBUS_TESTS_SIMULATION_SIMULATED_DATABASE_H

#include "actors/store/database.h"

void database_begin_run(void);

/* --- faults --------------------------------------------------------------------------------------- */

void database_fill(bool full);
void database_break(void); /* at the next commit */

/* --- for the checks -------------------------------------------------------------------------------- */

/* Are the saved positions those of all events? */
bool database_is_confirmed(void);

/* Parked lanes and events, as committed. */
size_t database_lanes(void);

#endif
