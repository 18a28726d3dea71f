/* SPDX-License-Identifier: Apache-2.0
 * worker.h - settings into the confs that runserver and broker start share.
 */
#ifndef USERBUS_MANAGER_WORKER_H
#define USERBUS_MANAGER_WORKER_H

#include "actors/consumer/consumer_actor.h"

/* The queue that users' events go to. */
#define USER_QUEUE "user"

/* All texts stay the settings' and the caller's. */
broker_topology_t topology_of(const settings_t *settings, const char *queue);
consumer_conf_t consumer_conf_of(const settings_t *settings, const char *queue);

/* What the worker's settings must be to each other. 0 or ERR_BAD_SETTING. */
int worker_settings_check(const settings_t *settings, detail_t *detail);

/* True when a row of the handler table names the queue. */
bool queue_is_handled(const settings_t *settings, const char *queue);

#endif
