/* SPDX-License-Identifier: Apache-2.0
 * consumer_actor.h - takes events from a queue and runs the processor that the handler table names.
 *
 * Receives  deliveries           from the broker, at most `prefetch` unacknowledged
 *           stop                 consumer
 * Sends     acks                 after the commit of the batch they belong to; a message that is not done by then is
 *                                whole in the database (waiting_runs.h), so nothing stays unacked for long but what
 *                                no more may wait behind (below)
 *           dead letters         to <queue>.dead, confirmed before the ack, or before the waiting row goes
 * Bound     `waiting.max_events` may wait. At it the acks of what was committed are held back until a tenth less
 *           wait: the broker then delivers no more than its prefetch, so that many may wait beyond the bound.
 *           Heartbeats go on. When that lasts longer than the broker's consumer_timeout (30 minutes), it closes the
 *           channel, and what comes again is a duplicate.
 * Fails     a lost or absent broker is tried again for ever, with backoff and jitter; a message that
 *           cannot be read becomes a dead letter; a processor that fails is tried again, then its event becomes one; a
 *           database that cannot be written pauses consumption and is tried again; another worker at work on
 *           the same queue and file is stood by for
 */
#ifndef USERBUS_ACTORS_CONSUMER_CONSUMER_ACTOR_H
#define USERBUS_ACTORS_CONSUMER_CONSUMER_ACTOR_H

#include "actors/consumer/waiting_runs.h"
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
    waiting_rules_t waiting;
    more_processors_t more; /* what tests bring along */
} consumer_conf_t;

/* A dead letter that is published again must still be known, or it would count as new: so the inbox keeps
 * for longer than the dead-letter queue does. 0, or ERR_BAD_SETTING with what to change. */
int consumer_retention_check(int64_t inbox_retention_s, int64_t dead_letter_retention_s,
                             detail_t *detail);

/* conf: consumer_conf_t. Its init opens and migrates its database and refuses retentions that do not fit
 * and a handler table that names an unknown processor or event; it does not need the broker. */
extern const actor_class_t consumer_actor;

#endif
