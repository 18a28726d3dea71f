/* SPDX-License-Identifier: Apache-2.0
 * promises.h - the ledger of a run: every event from its commit to its effect, and what must hold of it
 * at each moment. A breach ends the run.
 */
#ifndef USERBUS_TESTS_SIMULATION_PROMISES_H
#define USERBUS_TESTS_SIMULATION_PROMISES_H

#include "actors/store/database.h"
#include "pipeline/broker_connection.h"
#include "tests/simulation/world.h"

void promises_begin(void);

/* --- ids: each holds its number, so that an event is found by its id --------------------------------- */

int64_t promise_record_of(text_t message_id); /* -1: none of ours */
unsigned promise_user_of(int64_t record);     /* PLAN_USERS_MAX: nobody's */

/* --- the store ------------------------------------------------------------------------------------ */

/* Which client user has this id, from its create on. */
void promise_user_committed(const user_t *user);
void promise_event_committed(const msg_event_t *event);
/* All that is parked from now on. */
void promise_parked_committed(const msg_event_t *events, size_t count);
void promise_positions_committed(const saved_positions_t *positions);
void promise_trimmed(int64_t position);

/* How many events of a request were committed. */
int promise_events_of_request(int64_t request);

/* --- the broker ------------------------------------------------------------------------------------ */

void promise_enqueued(int64_t record, const broker_message_t *message);
void promise_dead_letter(int64_t record, text_t message_id);
void promise_acked(int64_t record, bool garbage, text_t message_id);
void promise_destroyed(int64_t record, bool garbage, text_t message_id);
void promise_garbage(int number);

/* --- the worker ------------------------------------------------------------------------------------- */

/* inbox_outcome_t; -1: it was not seen. */
int promise_outcome_seen(int64_t record);
void promise_seen_committed(int64_t record, int outcome);
void promise_effect_committed(int64_t record);
void promise_failed(
    int64_t record); /* a processor failed with it, so it may become a dead letter */

/* --- the end ---------------------------------------------------------------------------------------- */

/* Is every committed event in the queue, and every one of the queue done? NULL: yes; else what is not.
 * Users of the set (bit i: user i) are passed over. */
const char *promises_open(uint64_t but_users);

/* Committed events. */
int64_t promises_events(void);

#endif
