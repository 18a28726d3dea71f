/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/worker.h"

#include <string.h>

broker_topology_t topology_of(const settings_t *settings, const char *queue)
{
    return (broker_topology_t){.exchange = settings->exchange_name,
                               .exchange_type = settings->exchange_type,
                               .queue_type = settings->queue_type,
                               .queue = queue,
                               .dead_letter_retention_s = settings->dead_letter_retention};
}

consumer_conf_t consumer_conf_of(const settings_t *settings, const char *queue)
{
    return (consumer_conf_t){.rabbit_mq_url = settings->rabbit_mq_url,
                             .heartbeat_s = (int)settings->broker_heartbeat,
                             .topology = topology_of(settings, queue),
                             .prefetch = (unsigned)settings->prefetch,
                             .database_url = settings->consumer_database_url,
                             .handlers = settings->handlers,
                             .handler_count = settings->handler_count,
                             .inbox_retention_s = settings->inbox_retention,
                             .inbox_max_messages = settings->inbox_max_messages,
                             .waiting = {.retry = {.base_ms = settings->processor_retry_base,
                                                   .cap_ms = settings->processor_retry_cap,
                                                   .tries = settings->processor_tries},
                                         .timeout_ms = settings->processor_timeout,
                                         .max_events = settings->waiting_max_events}};
}

int worker_settings_check(const settings_t *settings, detail_t *detail)
{
    return consumer_retention_check(settings->inbox_retention, settings->dead_letter_retention,
                                    detail);
}

bool queue_is_handled(const settings_t *settings, const char *queue)
{
    for (size_t i = 0; i < settings->handler_count; i++)
        if (strcmp(settings->handlers[i].queue, queue) == 0)
            return true;
    return false;
}
