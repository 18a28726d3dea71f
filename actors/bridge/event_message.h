/* SPDX-License-Identifier: Apache-2.0
 * event_message.h - an event as the broker's clients see it: the properties and headers that README
 * promises, CloudEvents 1.0 in binary mode (AMQP binding, section 3.1) among them. Pure.
 */
#ifndef USERBUS_ACTORS_BRIDGE_EVENT_MESSAGE_H
#define USERBUS_ACTORS_BRIDGE_EVENT_MESSAGE_H

#include "actors/bridge/bridge_actor.h"
#include "actors/bridge/outgoing_event.h"
#include "proto/uuid7.h"

enum { EVENT_HEADERS_MAX = 10 };

/* The message and what its texts point to, besides the event and the conf. */
typedef struct event_message {
    broker_message_t message;
    broker_header_t headers[EVENT_HEADERS_MAX];
    char id[UUID_TEXT_SIZE], subject[UUID_TEXT_SIZE];
    char time[TIME_TEXT_SIZE], sequence[INT_TEXT_MAX];
} event_message_t;

/* source: the CloudEvents source, "/" and the application id. */
void event_message_make(event_message_t *out, const outgoing_event_t *event,
                        const bridge_conf_t *conf, const char *source);

#endif
