/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/operator_broker.h"

#include <poll.h>

#include "proto/errors.h"

int operator_broker_open(broker_connection_t **out, const settings_t *settings, const char *name,
                         detail_t *detail)
{
    *out = NULL;
    if (!broker_url_check(settings->rabbit_mq_url, detail))
        return ERR_BAD_SETTING;
    return broker_open(out, settings->rabbit_mq_url, name, detail);
}

int operator_broker_wait(broker_connection_t *broker, int timeout_ms, detail_t *detail)
{
    int error = broker_flush(broker, detail);
    struct pollfd socket = {.fd = broker_fd(broker), .events = broker_poll_events(broker)};
    if (error == 0 && timeout_ms > 0)
        (void)poll(&socket, 1, timeout_ms < BROKER_IDLE_MAX_MS ? timeout_ms : BROKER_IDLE_MAX_MS);
    return error;
}
