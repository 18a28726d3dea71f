/* SPDX-License-Identifier: Apache-2.0
 * inbox_database.h - what the worker knows: which messages it has seen (the inbox), what it made of
 * them (the projection: one row per user) and how many there were. All of a batch stands in one
 * transaction, so a message is either seen and has had its effect, or neither.
 *
 * Bounds    The inbox forgets a message INBOX_KEEP_US after it was seen, or when INBOX_ROWS_MAX newer
 *           ones are there; a commit forgets more than a batch can add. The projection has a row
 *           per user.
 * Fails     ERR_STORE_UNAVAILABLE: it may pass (disk full, another worker holds the lock for long);
 *           roll back and try again. ERR_DATABASE_FATAL: never try again with this connection.
 * Threads   It belongs to the thread that opened it; several processes may share the file.
 */
#ifndef USERBUS_ACTORS_CONSUMER_INBOX_DATABASE_H
#define USERBUS_ACTORS_CONSUMER_INBOX_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "actors/consumer/incoming_event.h"

#define INBOX_KEEP_US ((int64_t)14 * 24 * 3600 * 1000000)

enum {
    INBOX_ROWS_MAX = 10000000,
    INBOX_TRIM_ROWS = 512, /* looked at by each commit: more than a batch adds */
};

typedef struct inbox_database inbox_database_t;

/* Opens or creates the file of "sqlite:PATH" and migrates it. ERR_DATABASE_OPEN, *detail says what to
 * do and *out is NULL. */
int inbox_database_open(inbox_database_t **out, const char *url, detail_t *detail)
    __attribute__((warn_unused_result));

/* For looking only; changes nothing. */
int inbox_database_open_readonly(inbox_database_t **out, const char *url, detail_t *detail)
    __attribute__((warn_unused_result));

/* What was not committed is rolled back. A NULL *self is fine. */
void inbox_database_close(inbox_database_t **self);

/* Looks and changes nothing: 0 with *detail telling what is there, else ERR_DATABASE_OPEN. */
int inbox_database_probe(const char *url, detail_t *detail);

/* --- a batch ---------------------------------------------------------------------------------- */

/* What is counted: processed events by their kind, and */
enum {
    TALLY_DUPLICATE = EVENT_KIND_COUNT, /* messages seen before */
    TALLY_UNHANDLED,                    /* events that the handler table has no row for */
    TALLY_COUNT
};

/* Opens the transaction; now_us (wall clock) is when its messages are seen. */
int inbox_begin(inbox_database_t *self, int64_t now_us) __attribute__((warn_unused_result));

/* Forgets what is too old and makes all durable. On an error it is rolled back. */
int inbox_commit(inbox_database_t *self) __attribute__((warn_unused_result));

/* Fine when no transaction is open. */
void inbox_rollback(inbox_database_t *self);

/* Notes that the message was seen. *is_new false: it was seen before, and nothing changes. */
int inbox_mark(inbox_database_t *self, text_t message_id, bool *is_new)
    __attribute__((warn_unused_result));

/* Counts one message. */
void inbox_tally(inbox_database_t *self, int tally);

/* Moves what was committed from the log of the database into its file: when idle, or when there is much
 * of it. */
int inbox_tidy(inbox_database_t *self, bool idle) __attribute__((warn_unused_result));

/* --- the projection; in a transaction, about the message that was marked last ------------------- */

/* Keeps what the event tells about the user itself, who may be unknown so far. An event that is older than
 * the newest one seen of the user (by sequence) changes nothing known. */
int projection_keep_user(inbox_database_t *self, const incoming_event_t *event);

/* For a user that projection_keep_user has kept: */
int projection_register(inbox_database_t *self, const incoming_event_t *event);
int projection_count_view(inbox_database_t *self, const incoming_event_t *event);
int projection_count_update(inbox_database_t *self, const incoming_event_t *event);
int projection_disable(inbox_database_t *self, const incoming_event_t *event);

/* --- the report ------------------------------------------------------------------------------- */

typedef struct inbox_totals {
    int64_t users, registered, disabled, views, updates;
    int64_t tallies[TALLY_COUNT];
} inbox_totals_t;

int inbox_totals_read(inbox_database_t *self, inbox_totals_t *out)
    __attribute__((warn_unused_result));

/* A user of the projection; its texts live for the visit. */
typedef struct projected_user {
    text_t key, email, first_name, last_name;
    text_t registered_at, last_update, disabled_at; /* empty: never, or the event told no time */
    bool is_registered, is_valid;
    int64_t views, updates, sequence;
} projected_user_t;

typedef void (*projected_user_visit_t)(void *context, const projected_user_t *user);

/* Visits at most `limit` users, those first that an event was about last. */
int inbox_walk_users(inbox_database_t *self, int limit, projected_user_visit_t visit, void *context)
    __attribute__((warn_unused_result));

#endif
