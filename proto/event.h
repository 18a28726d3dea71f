/* SPDX-License-Identifier: Apache-2.0
 * event.h - the user, the event, and the JSON that clients and the broker see (README, "Events").
 */
#ifndef USERBUS_PROTO_EVENT_H
#define USERBUS_PROTO_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/message.h"
#include "proto/text_buffer.h"

enum {
    ID_BYTES = 16,
    EMAIL_MAX_BYTES = 254,      /* RFC 5321 section 4.5.3.1.3 less the angle brackets */
    EMAIL_KEY_MAX_BYTES = 1016, /* case folding may lengthen a character */
    NAME_MAX_BYTES = 400,       /* 100 characters of four bytes */
    PARTITION_COUNT = 64,
    TIME_TEXT_SIZE = 28, /* "2026-11-23T21:39:48.123456Z" and its NUL */
};

/* One user, as stored. Texts are terminated. */
typedef struct user {
    int64_t row; /* the store's own number; 0: not stored yet */
    uint8_t id[ID_BYTES];
    char email[EMAIL_MAX_BYTES + 1];
    char email_key[EMAIL_KEY_MAX_BYTES + 1];
    char first_name[NAME_MAX_BYTES + 1];
    char last_name[NAME_MAX_BYTES + 1];
    int64_t view_count;
    bool is_valid;
    int64_t version;                /* one higher per write; the ETag */
    int64_t sequence;               /* of the user's last event */
    int64_t created_us, updated_us; /* wall clock */
} user_t;

typedef enum event_kind {
    EVENT_USER_CREATE,
    EVENT_USER_READ,
    EVENT_USER_UPDATE,
    EVENT_USER_DELETE,
    EVENT_KIND_COUNT
} event_kind_t;

/* "user.create" ...: the AMQP `type` and the CloudEvents `type`. Static storage. */
const char *event_kind_name(event_kind_t kind);

/* -1 when no kind has that name. */
int event_kind_parse(text_t name);

/* Reads commute with each other, so they may be in flight together; writes may not. */
bool event_kind_is_read(event_kind_t kind);

/* The partition of a user: a stable hash of the id (FNV-1a), 0..PARTITION_COUNT-1. Part of the
 * stored format: positions are kept per partition. */
unsigned partition_of(const uint8_t user_id[ID_BYTES]);

/* What bounds in bytes count of an event: its texts. */
int64_t event_bytes(const msg_event_t *event);

/* RFC 3339 in UTC with microseconds and "Z". `us` is microseconds since 1970, 0..year 9999. */
void time_text(char out[TIME_TEXT_SIZE], int64_t us);

/* Appends the user as one JSON object: what a client gets and what an event carries. */
void user_json(text_buffer_t *out, const user_t *user);

/* Appends the message body: {"created_at": ..., "queue": ..., "context": user_json}, created_at
 * without a zone (it is UTC), as the original producer wrote it. */
void event_body_json(text_buffer_t *out, int64_t created_us, const char *queue, text_t user_json);

#endif
