/* SPDX-License-Identifier: Apache-2.0
 * broker_dialer.h - opens an actor's connection to one of several brokers, in the background.
 *
 * An attempt is a thread of its own: it looks the name up, connects, logs in, declares and subscribes, by one
 * deadline of DIAL_TIMEOUT_MS in all, and leaves the connection or the reason for the actor to find.
 * No function here waits, so an actor hears its mail, and stops, whatever a broker or a resolver does.
 *
 * What can hang  Only the system's resolver knows no deadline. An attempt that did not end in time is
 *           abandoned: the thread owns all that it touches (a copy of what it was asked for, and the outcome), and
 *           lets go of it when the lookup returns, if ever; a connection that it makes too late it closes. At
 *           most one thread per broker can hang, since a broker whose last one did not end fails at once; and one
 *           more for broker_dialer_mend. They do not hold up the end of the process.
 * Which, when    broker_dial_plan.h
 * Threads   A dialer belongs to one thread.
 */
#ifndef USERBUS_PIPELINE_BROKER_DIALER_H
#define USERBUS_PIPELINE_BROKER_DIALER_H

#include "pipeline/broker_connection.h"
#include "pipeline/broker_dial_plan.h"

enum {
    DIAL_TIMEOUT_MS = 5000, /* from the lookup to the subscription */
    DIAL_GRACE_MS = 250,    /* more, before a thread that says nothing is abandoned */
};

typedef struct broker_dialer broker_dialer_t;

/* What is asked for. All texts are copied. */
typedef struct broker_dialer_conf {
    const char *urls;           /* RABBIT_MQ_URL, checked by broker_url_check */
    const char *name;           /* the connection's, as operators see it */
    int heartbeat_s;            /* 0: BROKER_HEARTBEAT_S */
    broker_topology_t topology; /* declared on each connection, which also confirms publishes */
    uint16_t prefetch;          /* subscribes to topology.queue; 0: does not */
} broker_dialer_conf_t;

/* The first attempt begins with the first turn. */
broker_dialer_t *broker_dialer_open(const broker_dialer_conf_t *conf);

/* Abandons what is under way. A NULL *self is fine. */
void broker_dialer_close(broker_dialer_t **self);

/* Call it while there is no connection, when broker_dialer_fd is readable and at broker_dialer_due_ms.
 * 1: *out is a connection, the caller's to close, and *detail names the broker; 0: none yet; an error: an
 * attempt failed, *detail says why; the next one is planned. */
int broker_dialer_turn(broker_dialer_t *self, broker_connection_t **out, detail_t *detail);

/* Readable when an attempt has ended. */
int broker_dialer_fd(const broker_dialer_t *self);

/* Monotonic: when something must be done even if no attempt ends. */
int64_t broker_dialer_due_ms(const broker_dialer_t *self);

/* The connection that was given out ended with `error`: plans the next attempt. */
void broker_dialer_lost(broker_dialer_t *self, int error);

/* Declares the topology again, in the background and over a connection of its own to the broker in use:
 * a refused declaration would close the channel with all that is in flight on it. Nothing when the
 * one before has not ended. */
void broker_dialer_mend(broker_dialer_t *self);

/* 1: what broker_dialer_mend began is done; an error: it failed, *detail says why; 0: neither. */
int broker_dialer_mended(broker_dialer_t *self, detail_t *detail);

#endif
