/* SPDX-License-Identifier: Apache-2.0
 * clients.h - those who send the planned requests, and check the answers.
 */
#ifndef USERBUS_TESTS_SIMULATION_CLIENTS_H
#define USERBUS_TESTS_SIMULATION_CLIENTS_H

#include "tests/simulation/simulated_mailbox.h"

void clients_begin(const plan_t *plan);

/* The service has begun a life: requests go there. */
void clients_connect(mailroom_t *room);

/* The service is dead, or takes nothing any more. */
void clients_disconnect(void);

/* Sends the request of that number (from 0). */
void clients_send(int64_t request);

/* An operator lets the lanes in quarantine try again. */
void clients_release_lanes(void);

#endif
