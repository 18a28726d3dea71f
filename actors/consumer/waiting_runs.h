/* SPDX-License-Identifier: Apache-2.0
 * waiting_runs.h - what becomes of events that cannot be done in the batch they came with: those of processors that
 * are programs of their own, those that failed, and those that stand behind another one of the same user.
 *
 * They are whole in the table of waiting events, so their deliveries are acked with their batch; they run in order
 * per user, one at a time, whether there is a broker or not. One that is dead waits there for a broker, and
 * until its letter is confirmed.
 *
 * Owns      the table's rows, the retry schedule, the children (exec_child.h)
 * Bound     `max_events`: waiting_runs_is_full says when the caller must take no more
 * Fails     a database that cannot be written passes: what has ended is written later, and nothing else is begun
 */
#ifndef USERBUS_ACTORS_CONSUMER_WAITING_RUNS_H
#define USERBUS_ACTORS_CONSUMER_WAITING_RUNS_H

#include "actors/consumer/handler_table.h"
#include "actors/consumer/inbox_database.h"
#include "actors/consumer/retry_schedule.h"
#include "pipeline/broker_connection.h"
#include "pipeline/mailbox.h"

typedef struct waiting_runs waiting_runs_t;

typedef struct waiting_rules {
    retry_rules_t retry;
    int64_t timeout_ms; /* of a run */
    int64_t max_events; /* that may wait */
} waiting_rules_t;

/* All borrowed for its life. */
typedef struct waiting_conf {
    const char *actor; /* for the log */
    const char *queue;
    inbox_database_t *database;
    const handler_table_t *handlers;
    waiting_rules_t rules;
} waiting_conf_t;

/* Takes up what an earlier life left. It must be closed before the database. */
int waiting_runs_open(waiting_runs_t **out, const waiting_conf_t *conf, detail_t *detail)
    __attribute__((warn_unused_result));

/* Kills the children. A NULL *self is fine. */
void waiting_runs_close(waiting_runs_t **self);

/* --- from the batch, in its transaction ---------------------------------------------------------- */

/* The event cannot be done in its batch: another one of the user waits, or its processor is a program. */
bool waiting_runs_must_wait(const waiting_runs_t *self, const incoming_event_t *event);

/* Runs a processor of the database in the open transaction, and reports one beyond the time limit. 0, or an
 * error as processor_run gives it. */
int waiting_runs_run(waiting_runs_t *self, const processor_t *processor,
                     const incoming_event_t *event, rejection_t *why)
    __attribute__((warn_unused_result));

/* The event, which is marked in the inbox, waits from now on. why: it was run and failed, for now; NULL: it was
 * not run yet. */
int waiting_runs_add(waiting_runs_t *self, const incoming_event_t *event,
                     const broker_message_t *message, const rejection_t *why)
    __attribute__((warn_unused_result));

/* The transaction was committed, or rolled back. */
void waiting_runs_committed(waiting_runs_t *self);
void waiting_runs_rolled_back(waiting_runs_t *self);

/* --- outside of it ---------------------------------------------------------------------------- */

/* Takes in what has ended, begins what may begin, and publishes dead letters when there is a connection (NULL: none,
 * or one that takes nothing now). Only ERR_DATABASE_FATAL is returned. *more: there is more to do at once. */
int waiting_runs_turn(waiting_runs_t *self, broker_connection_t *connection, bool *more,
                      detail_t *detail) __attribute__((warn_unused_result));

/* The broker has a letter, or all up to it. */
void waiting_runs_confirm(waiting_runs_t *self, uint64_t publish_tag, bool multiple);

/* The connection has gone, and with it what was not confirmed. */
void waiting_runs_disconnected(waiting_runs_t *self);

/* Begins nothing new; what the children have in hand may end. */
void waiting_runs_finish(waiting_runs_t *self);

/* Nothing runs, and nothing waits to be written. */
bool waiting_runs_are_quiet(const waiting_runs_t *self);

/* Letters are unconfirmed. */
bool waiting_runs_have_letters(const waiting_runs_t *self);

/* How many runs of an event may fail. */
int64_t waiting_runs_tries(const waiting_runs_t *self);

/* True from max_events on until there are a tenth less. */
bool waiting_runs_is_full(waiting_runs_t *self);

/* mailbox_wait, which also returns when a child or a pause wants a turn; that counts as WAIT_FD. */
int waiting_runs_wait(waiting_runs_t *self, mailbox_t *mailbox, int fd, short fd_events,
                      int timeout_ms);

#endif
