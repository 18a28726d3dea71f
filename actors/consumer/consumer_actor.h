/* SPDX-License-Identifier: Apache-2.0
 * consumer_actor.h - takes events from a queue and runs the processor that the handler table names.
 *
 * Receives  deliveries           from the broker, at most `prefetch` unacknowledged
 *           stop                 consumer
 * Sends     acks                 after the commit of the batch they belong to
 *           dead letters         to <queue>.dead, confirmed before the ack
 * Fails     a lost or absent broker is tried again for ever, with backoff and jitter; a message that
 *           cannot be processed becomes a dead letter; a database that cannot be written pauses
 *           consumption and is tried again
 */
#ifndef USERBUS_ACTORS_CONSUMER_CONSUMER_ACTOR_H
#define USERBUS_ACTORS_CONSUMER_CONSUMER_ACTOR_H

#include "pipeline/actor.h"
#include "pipeline/broker_dialer.h"
#include "pipeline/settings.h" /* handler_t */

typedef struct consumer_conf {
    const char *rabbit_mq_url;  /* one or several; all texts are borrowed for the actor's life */
    int heartbeat_s;            /* 0: BROKER_HEARTBEAT_S */
    broker_topology_t topology; /* its queue is the one consumed */
    unsigned prefetch;          /* 1..5000 */
    const char *database_url;   /* "sqlite:PATH" */
    const handler_t *handlers;  /* borrowed for the actor's life */
    size_t handler_count;
    int64_t inbox_retention_s; /* 0: for ever */
    int64_t inbox_max_messages;
} consumer_conf_t;

/* A dead letter that is published again must still be known, or it would count as new: so the inbox keeps
 * for longer than the dead-letter queue does. 0, or ERR_BAD_SETTING with what to change. */
int consumer_retention_check(int64_t inbox_retention_s, int64_t dead_letter_retention_s,
                             detail_t *detail);

/* conf: consumer_conf_t. Its init opens and migrates its database and refuses retentions that do not fit
 * and a handler table that names an unknown processor or event; it does not need the broker. */
extern const actor_class_t consumer_actor;

#endif
