/* SPDX-License-Identifier: Apache-2.0
 * incoming_event.h - from a delivery to the event it tells of, or to the reason why it cannot be
 * processed. Pure: no socket, no clock, no database.
 *
 * Takes messages of this service and such as know nothing of it: without a `type` the body decides, without
 * a `message_id` the hash of type and body is the id, without a sequence the order of arrival counts.
 */
#ifndef USERBUS_ACTORS_CONSUMER_INCOMING_EVENT_H
#define USERBUS_ACTORS_CONSUMER_INCOMING_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "actors/consumer/own_body.h"
#include "pipeline/broker_connection.h"
#include "proto/event.h"

enum {
    INCOMING_BODY_MAX_BYTES = 1 << 20,
    USER_KEY_MAX_BYTES = EMAIL_MAX_BYTES,
    INCOMING_TIME_MAX_BYTES = 64,
    HASHED_ID_SIZE = 72, /* "sha256:", 64 digits and the NUL */
};

/* One event. Its texts live as long as the delivery's and until incoming_event_fini; it must not be moved,
 * since message_id may point into it. */
typedef struct incoming_event {
    text_t message_id; /* never empty */
    event_kind_t kind;
    text_t user_key;              /* context.id, else the email */
    text_t email;                 /* never empty */
    text_t first_name, last_name; /* empty: untold */
    validity_t validity;          /* of the user */
    text_t registered_at; /* of the user: context.created_at, else the body's; may be empty */
    text_t occurred_at;   /* context.updated_at, else the body's created_at; may be empty */
    int64_t sequence;     /* among the user's events, from 1; 0: untold */
    json_t *document;     /* owned; holds the texts; NULL: they stand in the delivery */
    char hashed_id[HASHED_ID_SIZE];
} incoming_event_t;

/* Why a message cannot be processed. */
typedef struct rejection {
    const char *slug; /* for programs: "bad-json"; static storage */
    detail_t reason;  /* for a person */
} rejection_t;

/* False: *why says what is wrong. incoming_event_fini in both cases. */
bool incoming_event_parse(incoming_event_t *out, const broker_message_t *message, rejection_t *why)
    __attribute__((warn_unused_result));

void incoming_event_fini(incoming_event_t *event);

#endif
