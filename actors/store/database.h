/* SPDX-License-Identifier: Apache-2.0
 * database.h - what the store needs of a database: users, the event log and the confirmed positions,
 * within transactions. An implementation is a class of functions and a URL scheme (database.c).
 *
 * Errors    ERR_STORE_UNAVAILABLE: it may pass (disk full, busy); roll the transaction back.
 *           ERR_DATABASE_FATAL: nobody knows what reached the disk; end, never try again.
 *           After either of them the transaction can only be rolled back. All other errors leave it
 *           as it was before the call.
 * Threads   A database belongs to the thread that opened it. There is one writer.
 */
#ifndef USERBUS_ACTORS_STORE_DATABASE_H
#define USERBUS_ACTORS_STORE_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h" /* detail_t */
#include "proto/event.h"

typedef struct database_class database_class_t;

/* An implementation's own struct begins with this. */
typedef struct database {
    const database_class_t *class;
} database_t;

/* What is kept of the outbox. */
typedef struct saved_positions {
    int64_t head;                       /* position of the last event ever appended; 0: none */
    int64_t low;                        /* every event up to here is confirmed */
    int64_t confirmed[PARTITION_COUNT]; /* every event of the partition up to here is confirmed */
} saved_positions_t;

/* A user whose events are kept beside the log (parked_lanes.h). */
typedef struct lane_row {
    uint8_t user_id[ID_BYTES];
    int64_t state, tries, failures, reason; /* as parked_lanes.h has them */
    int64_t since_us, next_try_us;          /* wall clock */
    int64_t closed_at;                      /* a position */
    int64_t events, bytes;                  /* what is parked of it; read, not written */
} lane_row_t;

/* Part of the stored format: 1 and 2. */
typedef enum stray_fate { STRAY_PARKED, STRAY_AGAIN, STRAY_DISCARDED } stray_fate_t;

/* An event that left the log's order: it is parked, or was and is not any more. */
typedef struct stray_row {
    uint8_t id[ID_BYTES];
    int64_t kind, partition, created_us;
    int64_t fate;     /* stray_fate_t */
    int64_t position; /* again: where it stands last; discarded: that of the lane's closing */
} stray_row_t;

/* Called for each row; its texts live for the call. False ends the walk. */
typedef bool (*user_visit_t)(void *context, const user_t *user);
typedef bool (*event_visit_t)(void *context, const msg_event_t *event);
typedef bool (*lane_visit_t)(void *context, const lane_row_t *lane);
typedef bool (*stray_visit_t)(void *context, const stray_row_t *stray);

struct database_class {
    const char *scheme; /* "sqlite:" */

    /* Opens, or makes, and migrates. ERR_DATABASE_OPEN with *detail. */
    int (*open)(database_t **out, const char *url, detail_t *detail);
    /* For looking beside the service that owns it: never makes or migrates, and what would write
     * fails. ERR_DATABASE_OPEN with *detail. */
    int (*open_readonly)(database_t **out, const char *url, detail_t *detail);
    void (*close)(database_t *self);
    /* Looks and changes nothing; *detail in both cases. */
    int (*probe)(const char *url, detail_t *detail);

    int (*begin)(database_t *self);
    /* A transaction that only reads: what it sees is committed, and all of one moment. */
    int (*begin_reading)(database_t *self);
    /* Ends either; after an error it is rolled back. */
    int (*commit)(database_t *self);
    void (*rollback)(database_t *self);

    /* ERR_USER_NOT_FOUND */
    int (*user_by_id)(database_t *self, text_t id, user_t *out);
    int (*user_by_email)(database_t *self, text_t email_key, user_t *out);
    /* Sets user->row. ERR_EMAIL_TAKEN */
    int (*user_insert)(database_t *self, user_t *user);
    /* Writes all but row, id, created_us, view_count and sequence (its version grew) of the user with that row.
     * ERR_EMAIL_TAKEN */
    int (*user_update)(database_t *self, const user_t *user);
    /* The user has one view more. Its event follows in the same transaction, or the views may be lost. */
    int (*user_view)(database_t *self, const user_t *user);
    /* Users in order of creation, behind the one with the id `after` (empty: from the start).
     * ERR_USER_NOT_FOUND: nobody has that id. */
    int (*user_walk)(database_t *self, text_t after, user_visit_t visit, void *context);

    int (*event_append)(database_t *self, const msg_event_t *event);
    /* Events behind a position, in order. */
    int (*event_walk)(database_t *self, int64_t after, event_visit_t visit, void *context);
    /* Deletes at most `most` of the oldest events, those up to a position that are older than a
     * time. *deleted may be smaller than what is left. */
    int (*event_trim)(database_t *self, int64_t up_to, int64_t older_than_us, int most,
                      int *deleted);

    /* An event of a lane, which has no position. *is_new: false when the lane has it already. */
    int (*parked_append)(database_t *self, const msg_event_t *event, bool *is_new);
    /* The events of a user's lane in order of sequence, with position 1. */
    int (*parked_walk)(database_t *self, const uint8_t user_id[ID_BYTES], event_visit_t visit,
                       void *context);
    /* Deletes the events of a user's lane up to a sequence. */
    int (*parked_trim)(database_t *self, const uint8_t user_id[ID_BYTES], int64_t up_to);
    /* What becomes of an event that leaves its lane, for commands that count events: to the log again, at
     * event->position, or discarded. Kept as long as the log keeps events of its age. */
    int (*unparked_save)(database_t *self, const msg_event_t *event, stray_fate_t fate);
    /* All that are parked or left a lane, each once, in order of id; from one snapshot. */
    int (*stray_walk)(database_t *self, stray_visit_t visit, void *context);
    int (*lane_walk)(database_t *self, lane_visit_t visit, void *context);
    int (*lane_save)(database_t *self, const lane_row_t *lane);
    int (*lane_delete)(database_t *self, const uint8_t user_id[ID_BYTES]);

    int (*positions_load)(database_t *self, saved_positions_t *out);
    /* Saves low and the partitions of the set (bit i: partition i). */
    int (*positions_save)(database_t *self, const saved_positions_t *positions,
                          uint64_t partitions);

    /* Housekeeping outside of transactions; idle: nobody waits. *more: there is more to do at once. *asks: the checkpoint actor is to be sent
     * *request, whose answer goes to `tidied`. A NULL request: there is no such actor. */
    int (*tidy)(database_t *self, bool idle, bool *more, bool *asks,
                msg_checkpoint_request_t *request);
    void (*tidied)(database_t *self, const msg_checkpoint_done_t *done);
};

/* Opens by the URL's scheme. On 0 *out goes to database_close. */
int database_open(database_t **out, const char *url, detail_t *detail)
    __attribute__((warn_unused_result));

/* The same for commands that only look. */
int database_open_readonly(database_t **out, const char *url, detail_t *detail)
    __attribute__((warn_unused_result));

/* A NULL *self is fine. */
void database_close(database_t **self);

/* For `userbus check`: 0 or ERR_DATABASE_OPEN, with *detail in both cases; changes nothing. */
int database_probe(const char *url, detail_t *detail);

extern const database_class_t sqlite_database;

#endif
