/* SPDX-License-Identifier: Apache-2.0
 * inbox_database.h - what the worker knows: which messages it has seen and what became of each (the
 * inbox), what it made of them (the projection: one row per user, which also tells up to where the user's
 * sequence has come) and how many there were. All of a batch stands in one transaction, so a message is either
 * seen and has had its effect, or neither.
 *
 * Bounds    The inbox forgets a message `retention_us` after it was seen, or when `messages_max` newer
 *           ones are there, which is counted and told; a commit forgets more than a batch can add. The
 *           projection has a row per user.
 * Fails     ERR_STORE_UNAVAILABLE: it may pass (disk full, another worker holds the lock for long);
 *           roll back and try again. ERR_DATABASE_FATAL: never try again with this connection.
 * Threads   It belongs to the thread that opened it; several processes may share the file.
 */
#ifndef USERBUS_ACTORS_CONSUMER_INBOX_DATABASE_H
#define USERBUS_ACTORS_CONSUMER_INBOX_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "actors/consumer/incoming_event.h"
#include "storage/sqlite_file.h"

enum { INBOX_TRIM_ROWS = 1024 /* looked at by each commit: more than a batch adds */ };

typedef struct inbox_limits {
    int64_t retention_us; /* 0: nothing is too old */
    int64_t messages_max;
} inbox_limits_t;

/* Of the worker's database, for what looks through it. */
extern const sqlite_schema_t inbox_schema;

typedef struct inbox_database inbox_database_t;

/* Opens or creates the file of "sqlite:PATH" and migrates it. ERR_DATABASE_OPEN, *detail says what to
 * do and *out is NULL. */
int inbox_database_open(inbox_database_t **out, const char *url, detail_t *detail)
    __attribute__((warn_unused_result));

/* Without it nothing is forgotten. */
void inbox_database_limit(inbox_database_t *self, const inbox_limits_t *limits);

/* The file, for a part of the database that has statements of its own. */
const sqlite_file_t *inbox_database_file(const inbox_database_t *self);

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
    TALLY_DEAD,                         /* dead letters */
    TALLY_FAILED_RUNS,                  /* of processors */
    TALLY_TIMEOUTS,                     /* of them: the time limit passed */
    TALLY_GAPS,                         /* sequences that were jumped over */
    TALLY_GAPS_HEALED,                  /* of them: came later */
    TALLY_REPLAYED,                     /* dead before and run again */
    TALLY_WAITING_FULL,                 /* times that no more events could wait */
    TALLY_CUT_SHORT,                    /* messages forgotten before their retention */
    TALLY_COUNT
};

/* What became of a message. Part of the stored format. */
typedef enum inbox_outcome {
    INBOX_PROCESSED,
    INBOX_WAITING, /* it stands in the table of waiting events */
    INBOX_DEAD, /* its letter is on its way or there; when the message comes again, it is run again */
} inbox_outcome_t;

enum { INBOX_KIND_UNKNOWN = -1 /* of a message that could not be read */ };

typedef struct inbox_message {
    text_t message_id;
    int kind;         /* event_kind_t or INBOX_KIND_UNKNOWN */
    int64_t sequence; /* 0: untold */
} inbox_message_t;

typedef enum inbox_marked {
    MARKED_NEW,
    MARKED_AGAIN, /* it was dead */
    MARKED_KNOWN, /* a duplicate: nothing has changed */
} inbox_marked_t;

/* Opens the transaction; now_us (wall clock) is when its messages are seen. */
int inbox_begin(inbox_database_t *self, int64_t now_us) __attribute__((warn_unused_result));

/* Forgets what is too old and makes all durable. On an error it is rolled back. */
int inbox_commit(inbox_database_t *self) __attribute__((warn_unused_result));

/* Fine when no transaction is open. */
void inbox_rollback(inbox_database_t *self);

/* Notes that the message was seen and what becomes of it. */
int inbox_mark(inbox_database_t *self, const inbox_message_t *message, inbox_outcome_t outcome,
               inbox_marked_t *marked) __attribute__((warn_unused_result));

/* What became of a message that was marked; one that is forgotten already stays so. */
int inbox_settle(inbox_database_t *self, text_t message_id, inbox_outcome_t outcome)
    __attribute__((warn_unused_result));

/* Counts so many. */
void inbox_tally(inbox_database_t *self, int tally, int64_t count);

/* What the last commit forgot before its retention, since there were more messages than the limit. */
int64_t inbox_cut_short(const inbox_database_t *self);

/* What follows may be undone by itself, before the release, which must come in both cases. */
int inbox_savepoint(inbox_database_t *self) __attribute__((warn_unused_result));
int inbox_undo(inbox_database_t *self) __attribute__((warn_unused_result));
int inbox_release(inbox_database_t *self) __attribute__((warn_unused_result));

/* --- sequences -------------------------------------------------------------------------------- */

/* What an event's sequence says about those before it. Reads may change places after a failure, so a gap
 * may be a delay: it is counted when it is jumped over and once more, as healed, when it is filled. Not
 * counted is what came before the first event seen of a user, since a worker may start late. */
typedef struct sequence_step {
    int64_t missing; /* sequences between the last one and this */
    bool heals;      /* it was missing */
} sequence_step_t;

/* Pure: `last` is the highest sequence seen so far, `missing` how many below it are not. */
sequence_step_t sequence_step(int64_t last, int64_t missing, int64_t sequence);

/* Moves what was committed from the log of the database into its file: when idle, or when there is much
 * of it. */
int inbox_tidy(inbox_database_t *self, bool idle) __attribute__((warn_unused_result));

/* --- the projection; in a transaction, about the message that was marked last ------------------- */

/* What a processor of the service makes of an event, for it to be done in the statement that keeps what the event
 * tells: a second one about the same row costs as much again. */
typedef enum projection_effect {
    EFFECT_NONE,
    EFFECT_REGISTER,
    EFFECT_VIEW,
    EFFECT_UPDATE,
    EFFECT_DISABLE,
} projection_effect_t;

/* Keeps what the event tells about the user, who may be unknown so far, and notes its sequence: *step tells
 * of gaps, which are counted. An event that is older than the newest one kept of the user (by sequence) changes
 * nothing known. *done: the effect was done with it; else it is to be done by its own function below. */
int projection_keep(inbox_database_t *self, const incoming_event_t *event,
                    projection_effect_t effect, sequence_step_t *step, bool *done)
    __attribute__((warn_unused_result));

/* The same in two parts, for an event that waits: its sequence is noted when it arrives, which makes the user
 * known, and the rest is kept when it runs. */
int projection_arrive(inbox_database_t *self, const incoming_event_t *event, sequence_step_t *step)
    __attribute__((warn_unused_result));
int projection_keep_arrived(inbox_database_t *self, const incoming_event_t *event)
    __attribute__((warn_unused_result));

/* For a user that was kept: */
int projection_register(inbox_database_t *self, const incoming_event_t *event);
int projection_count_view(inbox_database_t *self, const incoming_event_t *event);
int projection_count_update(inbox_database_t *self, const incoming_event_t *event);
int projection_disable(inbox_database_t *self, const incoming_event_t *event);

/* --- the report ------------------------------------------------------------------------------- */

typedef struct inbox_totals {
    int64_t users, registered, disabled, views, updates;
    int64_t waiting, waiting_users, waiting_since_us; /* since_us 0: none waits */
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
