/* SPDX-License-Identifier: Apache-2.0
 * operator_broker.h - the broker as the operator's commands use it: one connection, tried once.
 */
#ifndef USERBUS_MANAGER_OPERATOR_BROKER_H
#define USERBUS_MANAGER_OPERATOR_BROKER_H

#include "pipeline/broker_connection.h"
#include "pipeline/settings.h"

enum {
    OPERATOR_STALL_MS = 30000
}; /* a broker that says nothing for so long while something is awaited */

/* `name` is the connection's name as the broker shows it. ERR_BROKER_DOWN, ERR_BROKER_REFUSED,
 * ERR_BAD_SETTING. */
int operator_broker_open(broker_connection_t **out, const settings_t *settings, const char *name,
                         detail_t *detail) __attribute__((warn_unused_result));

/* Sends what was encoded, then waits until something has arrived, at most timeout_ms. */
int operator_broker_wait(broker_connection_t *broker, int timeout_ms, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
