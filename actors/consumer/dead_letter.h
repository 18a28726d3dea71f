/* SPDX-License-Identifier: Apache-2.0
 * dead_letter.h - the message that takes one that cannot be processed to "<queue>.dead". Pure.
 *
 * It is the original, so that it can be published again once the cause is gone, with headers that tell
 * what happened: userbus_error and userbus_reason, userbus_attempts, userbus_first_failed_at, which stays
 * as it is when the message fails again, userbus_fingerprint, the same for equal causes, userbus_queue, where it
 * came from, and userbus_user and userbus_sequence, if they are known. Headers of the original that are no
 * scalars did not arrive here, numbers become texts, and those beyond the bounds of a publish are left
 * out, never one of ours.
 */
#ifndef USERBUS_ACTORS_CONSUMER_DEAD_LETTER_H
#define USERBUS_ACTORS_CONSUMER_DEAD_LETTER_H

#include "pipeline/broker_encode.h"
#include "proto/event.h"

enum {
    DEAD_LETTER_KEY_MAX_BYTES = 128,           /* of a header of the original */
    DEAD_LETTER_HEADERS_MAX_BYTES = 64 * 1024, /* of all; they must fit into one frame */
    QUEUE_NAME_SIZE = 256,
    FINGERPRINT_SIZE = 17, /* 16 hex digits and the NUL */
    DECIMAL_SIZE = 24,
};

/* What a message died of. */
typedef struct death {
    const char *error; /* slug */
    const char *reason;
    int64_t attempts;        /* runs that failed, at least 1 */
    int64_t first_failed_us; /* wall clock */
    const char *processor;   /* by its name in the handler table; "": it came to none */
    text_t user_key;         /* empty: unknown */
    int64_t sequence;        /* 0: untold */
} death_t;

/* It must not be moved, since the message points into it. */
typedef struct dead_letter {
    broker_message_t message; /* valid as long as what it was made of */
    char routing_key[QUEUE_NAME_SIZE];
    char failed_at[TIME_TEXT_SIZE], fingerprint[FINGERPRINT_SIZE];
    char attempts[DECIMAL_SIZE], sequence[DECIMAL_SIZE];
    broker_header_t headers[BROKER_PUBLISH_HEADERS_MAX];
} dead_letter_t;

void dead_letter_make(dead_letter_t *out, const broker_message_t *original, const char *queue,
                      const death_t *death);

/* Of the error, the event's type and the processor: equal causes have equal ones, in every version. */
void fingerprint_of(char out[FINGERPRINT_SIZE], const char *error, text_t type,
                    const char *processor);

#endif
