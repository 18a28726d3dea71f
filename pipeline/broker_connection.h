/* SPDX-License-Identifier: Apache-2.0
 * broker_connection.h - one connection with one channel to RabbitMQ, and the only place that calls
 * rabbitmq-c.
 *
 * Opening, topology and consume are calls that wait for the broker, each within a timeout. After
 * that nothing waits: publishes and acks are encoded into one buffer, broker_flush writes it with as
 * few sends as the socket takes, and broker_next takes what has arrived, one thing at a time. Wait for
 * broker_fd in between, at most BROKER_IDLE_MAX_MS at a time, since heartbeats are sent and checked inside
 * broker_next.
 *
 * Fails     Any negative return but ERR_TOPOLOGY means the connection is dead: close it, open another.
 * Threads   A connection belongs to one thread.
 */
#ifndef USERBUS_PIPELINE_BROKER_CONNECTION_H
#define USERBUS_PIPELINE_BROKER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h" /* detail_t */
#include "proto/message.h"

typedef struct broker_connection broker_connection_t;

enum {
    BROKER_HEARTBEAT_S = 10,
    BROKER_IDLE_MAX_MS = 1000, /* call broker_next at least this often */
    BROKER_CONNECT_TIMEOUT_MS = 3000,
    BROKER_CALL_TIMEOUT_MS = 5000,  /* handshake, topology, consume */
    BROKER_FLUSH_TIMEOUT_MS = 5000, /* a broker that takes nothing for so long is given up */
};

/* True when the URL can be read (amqp://user:password@host:port/vhost); else *detail says what is
 * wrong, without the password. amqps is not supported yet and says so. */
bool broker_url_check(const char *url, detail_t *detail);

/* Connects, logs in (announcing connection.blocked, consumer_cancel_notify, basic.nack and
 * publisher_confirms) and opens the channel. `name` is the connection's name as operators see it.
 * ERR_BROKER_DOWN, ERR_BROKER_REFUSED. */
int broker_open(broker_connection_t **out, const char *url, const char *name, detail_t *detail)
    __attribute__((warn_unused_result));

/* Says goodbye when the connection is healthy, at most 1 s. A NULL *self is fine. */
void broker_close(broker_connection_t **self);

int broker_fd(const broker_connection_t *self);

/* What must exist on the broker: a durable exchange, and for each queue a durable queue (quorum or
 * classic, single active consumer) bound under its own name, and a plain durable dead-letter queue
 * "<queue>.dead" of the same type, reached through the default exchange. */
typedef struct broker_topology {
    const char *exchange, *exchange_type; /* type: direct */
    const char *queue_type;               /* "quorum" or "classic" */
    const char *queue;
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

/* Writes the buffer to the socket. A short write waits for the socket, at most
 * BROKER_FLUSH_TIMEOUT_MS in all; then ERR_BROKER_DOWN. */
int broker_flush(broker_connection_t *self, detail_t *detail) __attribute__((warn_unused_result));

typedef enum broker_event_kind {
    BROKER_ACK,       /* tag, multiple: the broker has it */
    BROKER_NACK,      /* tag, multiple: the broker refused it */
    BROKER_RETURN,    /* message (message_id, reply_text): not routed; its ack follows */
    BROKER_DELIVERY,  /* tag, redelivered, message */
    BROKER_CANCELLED, /* the broker ended our subscription (queue deleted, failover) */
    BROKER_BLOCKED,   /* the broker asks publishers to pause; reply_text says why */
    BROKER_UNBLOCKED,
} broker_event_kind_t;

typedef struct broker_event {
    broker_event_kind_t kind;
    uint64_t tag;
    bool multiple, redelivered;
    text_t reply_text;
    broker_message_t message; /* its texts and headers live until the next broker_next */
} broker_event_t;

/* 1: *out holds the next thing that arrived; 0: nothing is here now; ERR_BROKER_DOWN: the connection
 * or channel was closed or failed, *detail says how. Never waits. Call it until it returns 0 before
 * sleeping on broker_fd: frames may be buffered already. */
int broker_next(broker_connection_t *self, broker_event_t *out, detail_t *detail);

#endif
