/* SPDX-License-Identifier: Apache-2.0
 * simulated_mailbox.h - mailbox.h as the simulation has it: frames take a while, and arrive in the order
 * in which a sender sent them. What the actors say to each other is looked at on its way.
 */
#ifndef USERBUS_TESTS_SIMULATION_SIMULATED_MAILBOX_H
#define USERBUS_TESTS_SIMULATION_SIMULATED_MAILBOX_H

#include "pipeline/mailbox.h"
#include "tests/simulation/world.h"

/* The address space of a process's next life. */
mailroom_t *room_make(process_t *process);

/* Opens an address that is no actor's: its frames go to `take`. */
typedef void (*take_message_t)(const message_t *message);
void room_sink(mailroom_t *room, const char *address, take_message_t take);

/* Sends from outside the actors; false: nobody has that address. Leaves the frame empty. */
bool room_send(mailroom_t *room, const char *address, frame_t *frame);

/* Frees what lives longer than a run. */
void simulated_mailbox_fini(void);

/* Called when a bridge has sent news of credit, which are on their way. */
void on_credit_sent(const task_t *bridge);

#endif
