/* SPDX-License-Identifier: Apache-2.0
 * broker_connection.h - one connection with one channel to RabbitMQ, and the only place that calls
 * rabbitmq-c.
 *
 * What waits, and for how long: broker_open and broker_open_by until their deadline (and for the system's
 * resolver before it, which has none: an actor leaves opening to broker_dialer.h); topology, confirm and
 * consume until the one of broker_set_deadline or BROKER_CALL_TIMEOUT_MS; broker_close at most
 * BROKER_CLOSE_TIMEOUT_MS. Nothing else waits: publishes and acks are encoded into one buffer, broker_flush
 * and broker_next write what the socket takes of it, and broker_next takes what has arrived, one thing at a
 * time. Wait for broker_fd in between, for broker_poll_events, at most BROKER_IDLE_MAX_MS at a time, since
 * heartbeats are sent and missed inside broker_next.
 *
 * Alive     A peer that says or takes nothing for about twice the heartbeat is given up (broker_pulse.h).
 * Fails     Any negative return but ERR_TOPOLOGY means the connection is dead: close it, open another.
 * Threads   A connection belongs to one thread at a time.
 */
#ifndef USERBUS_PIPELINE_BROKER_CONNECTION_H
#define USERBUS_PIPELINE_BROKER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h"        /* detail_t */
#include "pipeline/broker_pulse.h" /* BROKER_IDLE_MAX_MS */
#include "pipeline/broker_urls.h"  /* broker_url_check */
#include "proto/message.h"

typedef struct broker_connection broker_connection_t;

enum {
    BROKER_HEARTBEAT_S = 10,
    BROKER_OPEN_TIMEOUT_MS = 5000, /* for each broker, without the name lookup */
    BROKER_CALL_TIMEOUT_MS = 5000, /* each call that waits, when no deadline is set */
    BROKER_CLOSE_TIMEOUT_MS = 1000,
    BROKER_GOODBYE_MS = 400, /* for actors: less than they keep of a stop's deadline for it */
};

typedef struct broker_login {
    const char *url;  /* of one broker: amqp://user:password@host:port/vhost */
    const char *name; /* the connection's, as operators see it */
    int heartbeat_s;  /* 0: BROKER_HEARTBEAT_S; the broker may ask for less */
} broker_login_t;

/* Looks the name up, connects to one of its addresses after the other, logs in (announcing
 * connection.blocked, consumer_cancel_notify, basic.nack and publisher_confirms) and opens the channel,
 * by deadline_ms (monotonic), of which each address has its share. ERR_BROKER_DOWN,
 * ERR_BROKER_REFUSED. */
int broker_open_by(broker_connection_t **out, const broker_login_t *login, int64_t deadline_ms,
                   detail_t *detail) __attribute__((warn_unused_result));

/* For commands: the first broker of the list (RABBIT_MQ_URL) that lets us in, each within
 * BROKER_OPEN_TIMEOUT_MS. The error is that of the last one. */
int broker_open(broker_connection_t **out, const char *urls, const char *name, detail_t *detail)
    __attribute__((warn_unused_result));

/* Until it is called again, all calls that wait end by deadline_ms (monotonic) together; 0: none is set. */
void broker_set_deadline(broker_connection_t *self, int64_t deadline_ms);

/* Sends what was flushed and says goodbye, when the connection is healthy and not blocked. A NULL *self
 * is fine. */
void broker_close(broker_connection_t **self);

/* The same within so many milliseconds. */
void broker_close_within(broker_connection_t **self, int ms);

/* Closes without a word and at once. A NULL *self is fine. */
void broker_abandon(broker_connection_t **self);

/* "host:port", as long as the connection lives. */
const char *broker_address(const broker_connection_t *self);

int broker_fd(const broker_connection_t *self);

/* What to wait for on broker_fd: POLLIN, and POLLOUT while something that was flushed is unsent. */
short broker_poll_events(const broker_connection_t *self);

/* What must exist on the broker: a durable exchange, and for each queue a durable queue (quorum or
 * classic, single active consumer) bound under its own name, and a plain durable dead-letter queue
 * "<queue>.dead" of the same type, reached through the default exchange. */
typedef struct broker_topology {
    const char *exchange, *exchange_type; /* type: direct */
    const char *queue_type;               /* "quorum" or "classic" */
    const char *queue;
    int64_t dead_letter_retention_s; /* the dead-letter queue drops older ones; 0: none */
} broker_topology_t;

/* Declares the missing parts. ERR_TOPOLOGY: a part exists with other arguments; *detail names it,
 * what differs and what to do, and the channel has been opened anew. Nothing is ever deleted. */
int broker_declare(broker_connection_t *self, const broker_topology_t *topology, detail_t *detail)
    __attribute__((warn_unused_result));

/* Number of messages and consumers of a queue, without creating it. ERR_TOPOLOGY: no such queue. */
int broker_queue_depth(broker_connection_t *self, const char *queue, uint32_t *messages,
                       uint32_t *consumers, detail_t *detail);

/* From now on every publish is confirmed; tags count from 1 for each connection. */
int broker_confirm_select(broker_connection_t *self, detail_t *detail)
    __attribute__((warn_unused_result));

/* Subscribes with manual acks. */
int broker_consume(broker_connection_t *self, const char *queue, uint16_t prefetch,
                   detail_t *detail) __attribute__((warn_unused_result));

typedef struct broker_header {
    text_t key, value; /* a string header; for a delivery also numbers and booleans, as text */
} broker_header_t;

/* One message, to publish or received. Empty texts are absent properties. */
typedef struct broker_message {
    text_t exchange, routing_key;
    text_t content_type, app_id, message_id, type, correlation_id;
    uint64_t timestamp;    /* seconds since 1970; 0: absent */
    uint8_t delivery_mode; /* 2: persistent; 0: absent */
    const broker_header_t *headers;
    size_t header_count;
    text_t body;
} broker_message_t;

/* Encodes a publish (mandatory) into the buffer and gives its delivery tag; nothing is sent before
 * broker_flush. Everything is copied. */
uint64_t broker_publish(broker_connection_t *self, const broker_message_t *message);

/* Encodes an ack of one delivery, or of all up to it. */
void broker_ack(broker_connection_t *self, uint64_t tag, bool multiple);

/* Encodes a nack that puts one delivery back into its queue. */
void broker_requeue(broker_connection_t *self, uint64_t tag);

/* Lets the buffer go: writes what the socket takes now and leaves the rest to broker_next. Never
 * waits. */
int broker_flush(broker_connection_t *self, detail_t *detail) __attribute__((warn_unused_result));

/* Bytes that were flushed and that the socket has not taken yet. A publisher adds nothing while there
 * are any, or the buffer grows. */
size_t broker_unsent(const broker_connection_t *self);

/* Between BROKER_BLOCKED and BROKER_UNBLOCKED. */
bool broker_is_blocked(const broker_connection_t *self);

typedef enum broker_event_kind {
    BROKER_ACK,      /* tag, multiple: the broker has it */
    BROKER_NACK,     /* tag, multiple: the broker refused it */
    BROKER_RETURN,   /* message (message_id), reply_code, reply_text: not routed; its ack follows */
    BROKER_DELIVERY, /* tag, redelivered, message */
    BROKER_CANCELLED, /* the broker ended our subscription (queue deleted, failover) */
    BROKER_BLOCKED,   /* the broker asks publishers to pause; reply_text says why */
    BROKER_UNBLOCKED,
} broker_event_kind_t;

typedef struct broker_event {
    broker_event_kind_t kind;
    uint64_t tag;
    bool multiple, redelivered;
    int reply_code;
    text_t reply_text;
    broker_message_t message; /* its texts and headers live until the next broker_next */
} broker_event_t;

/* 1: *out holds the next thing that arrived; 0: nothing is here now; ERR_BROKER_DOWN: the connection
 * or channel was closed or failed, or the peer is silent, *detail says how. Never waits. Call it until it returns 0 before
 * sleeping on broker_fd: frames may be buffered already. */
int broker_next(broker_connection_t *self, broker_event_t *out, detail_t *detail);

#endif
