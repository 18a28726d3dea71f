/* SPDX-License-Identifier: Apache-2.0
 * own_body.h - what the body of an event tells, read without a parser when this service wrote it: nearly all of a worker's
 * messages, and a JSON tree of each was more than half of its work. Pure.
 *
 * Taken is only what event_body_json writes, to the letter: its members in its order and spacing, texts without escapes.
 * Of such a body jansson reads the same; any other is left to it.
 */
#ifndef USERBUS_ACTORS_CONSUMER_OWN_BODY_H
#define USERBUS_ACTORS_CONSUMER_OWN_BODY_H

#include <stdbool.h>

#include "proto/message.h"

typedef enum validity { VALIDITY_UNTOLD, USER_DISABLED, USER_VALID } validity_t;

/* Texts that are untold are empty. */
typedef struct body_told {
    text_t created_at; /* of the event */
    text_t id, email, first_name, last_name, user_created_at, user_updated_at;
    validity_t validity;
} body_told_t;

/* False: it is of another form, and *out is undefined. Texts point into the body. */
bool own_body_read(body_told_t *out, text_t body);

#endif
