/* SPDX-License-Identifier: Apache-2.0
 * bridge_actor.h - takes committed events to the broker: one AMQP connection, in order per user.
 *
 * Receives  bridge_attached      bridge.<index>, the first of each frame of the store's: another life's
 *                                is passed over
 *           event (batch)        within the credit it granted
 *           stop
 * Sends     bridge_attach        to "store" at start
 *           bridge_credit, confirmed_position (batch)     to "store", after confirms
 * Fails     a lost or absent broker is tried again for ever, with backoff and jitter, and so is one that answers
 *           and confirms nothing; what was not confirmed is sent again in order with the same message_id
 */
#ifndef USERBUS_ACTORS_BRIDGE_BRIDGE_ACTOR_H
#define USERBUS_ACTORS_BRIDGE_BRIDGE_ACTOR_H

#include <stdbool.h>

#include "actors/bridge/confirm_window.h"
#include "pipeline/actor.h"
#include "pipeline/broker_dialer.h"

enum {
    BRIDGE_CREDIT = 4096, /* four windows, so that lanes can be passed over */
    BRIDGE_WINDOW = CONFIRM_WINDOW_MAX,
};

typedef struct bridge_conf {
    unsigned index;
    const char *rabbit_mq_url; /* one or several; all texts are borrowed for the actor's life */
    int heartbeat_s;           /* 0: BROKER_HEARTBEAT_S */
    int confirm_timeout_s;     /* without any confirm until the broker is left; 0: 30 */
    broker_topology_t topology;
    const char *application_id;
    bool full_headers; /* with the CloudEvents ones; else only the sequence of them */
    int64_t credit;    /* events held at most, 1..65536; 0: BRIDGE_CREDIT */
    size_t window;     /* of them in flight, at most CONFIRM_WINDOW_MAX; 0: BRIDGE_WINDOW */
} bridge_conf_t;

/* conf: bridge_conf_t. Its init does not need the broker. */
extern const actor_class_t bridge_actor;

#endif
