/* SPDX-License-Identifier: Apache-2.0
 * dead_letter.h - the message that takes one that cannot be processed to "<queue>.dead". Pure.
 *
 * It is the original, so that it can be published again once the cause is gone, with headers that tell
 * what happened: userbus_error, userbus_reason, userbus_queue and userbus_first_failed_at, which stays
 * as it is when the message fails again. Headers of the original that are no scalars did not arrive
 * here, numbers become texts, and those beyond the bounds of a publish are left out, never one of ours.
 */
#ifndef USERBUS_ACTORS_CONSUMER_DEAD_LETTER_H
#define USERBUS_ACTORS_CONSUMER_DEAD_LETTER_H

#include "actors/consumer/incoming_event.h" /* rejection_t */
#include "pipeline/broker_encode.h"

enum {
    DEAD_LETTER_KEY_MAX_BYTES = 128,           /* of a header of the original */
    DEAD_LETTER_HEADERS_MAX_BYTES = 64 * 1024, /* of all; they must fit into one frame */
    QUEUE_NAME_SIZE = 256,
};

/* It must not be moved, since the message points into it. */
typedef struct dead_letter {
    broker_message_t message; /* valid as long as what it was made of */
    char routing_key[QUEUE_NAME_SIZE];
    char failed_at[TIME_TEXT_SIZE];
    broker_header_t headers[BROKER_PUBLISH_HEADERS_MAX];
} dead_letter_t;

/* now_us is the wall clock. */
void dead_letter_make(dead_letter_t *out, const broker_message_t *original, const char *queue,
                      const rejection_t *why, int64_t now_us);

#endif
