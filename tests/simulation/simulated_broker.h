/* SPDX-License-Identifier: Apache-2.0
 * simulated_broker.h - a RabbitMQ of one exchange, the queue `user` and its dead letters, behind
 * broker_connection.h. What it confirmed is kept, also when it goes down; a deleted queue takes its
 * messages along.
 */
#ifndef USERBUS_TESTS_SIMULATION_SIMULATED_BROKER_H
#define USERBUS_TESTS_SIMULATION_SIMULATED_BROKER_H

#include "pipeline/broker_connection.h"
#include "tests/simulation/world.h"

void broker_begin(void);
void dialers_begin(void);

/* --- faults --------------------------------------------------------------------------------------- */

typedef enum refusal { REFUSAL_NONE, REFUSAL_NACK, REFUSAL_RETURN } refusal_t;

void broker_refuse_user(unsigned user, refusal_t refusal);
void broker_refuse_all(refusal_t refusal);
void broker_go_down(void);
void broker_come_up(void);
void broker_block(bool blocked);
void broker_delete_queue(void);
/* Some open connection; the broker notices after a while. */
void broker_cut(int64_t which, int64_t noticed_after_us);
void broker_add_garbage(void);

/* --- for the checks -------------------------------------------------------------------------------- */

/* Nothing is on its way, and the queue is empty. */
bool broker_is_quiet(void);

/* --- for the dialer --------------------------------------------------------------------------------- */

/* A connection with the topology declared, confirms, and a subscription when prefetch is not 0; NULL: the
 * broker is down. */
broker_connection_t *connection_make(task_t *task, unsigned prefetch);

/* Declares what is missing; false: the broker is down. */
bool broker_mend(void);

/* --- for waiting ------------------------------------------------------------------------------------ */

bool connection_has_news(int fd);
bool dialer_has_news(int fd);

#endif
