/* SPDX-License-Identifier: Apache-2.0
 * simulated_inbox.h - inbox_database.h in memory: what was committed stays when the worker dies.
 */
#ifndef USERBUS_TESTS_SIMULATION_SIMULATED_INBOX_H
#define USERBUS_TESTS_SIMULATION_SIMULATED_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "actors/consumer/processors.h"

void inbox_begin_run(void);

/* --- faults --------------------------------------------------------------------------------------- */

void inbox_busy(bool busy);
void inbox_break(void); /* at the next commit */
/* Processors fail for the events of a user: for now, or for good. 0: they do not. */
void processors_fail(unsigned user, int error);

/* What is done with every event: one effect. */
extern const processor_t simulated_processor;

/* --- the events that wait (simulated_waiting.c), within the inbox's transactions ------------------------ */

void inbox_settle_record(int64_t record, int outcome);
void waiting_begin_run(void);
void waiting_commit(void);
void waiting_rollback(void);
size_t waiting_count(void); /* committed */

#endif
