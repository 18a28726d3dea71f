/* SPDX-License-Identifier: Apache-2.0
 * sqlite_store.h - what the files of the SQLite database share: sqlite_database.c (transactions, life),
 * sqlite_users.c, sqlite_events.c (the log, parked lanes, positions), sqlite_late.c (what is written
 * later), sqlite_schema.c (all the SQL). Nobody else includes it, but tests.
 */
#ifndef USERBUS_ACTORS_STORE_SQLITE_STORE_H
#define USERBUS_ACTORS_STORE_SQLITE_STORE_H

#include "actors/store/database.h"
#include "actors/store/email_hash.h"
#include "actors/store/late_table.h"
#include "actors/store/sqlite_schema.h"
#include "storage/sqlite_file.h"
#include "storage/wal_keeper.h"

/* Written later: the index of emails, and how often users were viewed. Each has a mark in the table `kept`;
 * what a crash takes from memory is behind it, in tables that were written in time. */
typedef struct sqlite_late {
    bool on; /* false: the database is only looked at */
    uint8_t hash_key[EMAIL_HASH_KEY_BYTES];
    late_table_t emails;   /* hash of an email to the row of its user */
    late_table_t views;    /* row of a user to the count of views */
    int64_t emails_mark;   /* users up to this row have their emails in the index */
    int64_t views_mark;    /* views up to this position of the log are counted in the table */
    int64_t emails_frozen; /* the marks once the old generations are written */
    int64_t views_frozen;
    bool emails_done, views_done; /* in this transaction they were, and the marks with them */
    int64_t rows, rows_before;    /* the last user's row; and before this transaction */
    int64_t head, head_before;    /* the same of the log's last position */
} sqlite_late_t;

typedef struct sqlite_store {
    database_t super;
    sqlite_file_t file;
    wal_keeper_t log;
    bool writes; /* the transaction at hand may */
    sqlite_late_t late;
    int64_t late_retry_ms; /* monotonic: they could not be written while nothing else was to do */
    sqlite3_stmt *statements[STATEMENT_COUNT];
} sqlite_store_t;

static inline sqlite_store_t *store_of(database_t *self)
{
    return (sqlite_store_t *)self;
}

/* Runs a statement that gives no rows. 0 or an error of sqlite_error. */
int sqlite_store_run(sqlite3_stmt *statement) __attribute__((warn_unused_result));

/* --- sqlite_late.c ---------------------------------------------------------------------------- */

/* Takes up what is behind the marks, or writes it when it is much. An error of sqlite_error. */
int sqlite_late_open(sqlite_store_t *self) __attribute__((warn_unused_result));
void sqlite_late_close(sqlite_late_t *self);

/* A transaction begins; before it ends: a share of what is to be written; it has ended. */
void sqlite_late_begin(sqlite_late_t *self);
int sqlite_late_write(sqlite_store_t *self) __attribute__((warn_unused_result));
void sqlite_late_end(sqlite_late_t *self, bool committed);

/* Within a transaction: the user's email comes into the index; the user's views are so many. */
int sqlite_late_add_email(sqlite_store_t *self, int64_t hash, int64_t row)
    __attribute__((warn_unused_result));
int sqlite_late_put_views(sqlite_store_t *self, int64_t row, int64_t count)
    __attribute__((warn_unused_result));

/* Within a transaction that only deletes from the log: moves the mark of views on towards a position, so that
 * the log may be deleted up to it. */
int sqlite_late_release(sqlite_store_t *self, int64_t position) __attribute__((warn_unused_result));

/* Up to this position the views are in the table, once this transaction is committed. */
int64_t sqlite_late_counted(const sqlite_late_t *self);

/* Outside of transactions, when nothing else is to do: writes a little; *more is left. all: even of few
 * entries nothing stays. An error of sqlite_error. */
int sqlite_late_tidy(sqlite_store_t *self, bool all, bool *more)
    __attribute__((warn_unused_result));

/* --- what the class has of each file; database.h tells --------------------------------------------- */

int sqlite_user_by_id(database_t *self, text_t id, user_t *out);
int sqlite_user_by_email(database_t *self, text_t email_key, user_t *out);
int sqlite_user_insert(database_t *self, user_t *user);
int sqlite_user_update(database_t *self, const user_t *user);
int sqlite_user_view(database_t *self, const user_t *user);
int sqlite_user_walk(database_t *self, text_t after, user_visit_t visit, void *context);

int sqlite_event_append(database_t *self, const msg_event_t *event);
int sqlite_event_walk(database_t *self, int64_t after, event_visit_t visit, void *context);
int sqlite_event_trim(database_t *self, int64_t up_to, int64_t older_than_us, int most,
                      int *deleted);
int sqlite_parked_append(database_t *self, const msg_event_t *event, bool *is_new);
int sqlite_parked_walk(database_t *self, const uint8_t user_id[ID_BYTES], event_visit_t visit,
                       void *context);
int sqlite_parked_trim(database_t *self, const uint8_t user_id[ID_BYTES], int64_t up_to);
int sqlite_unparked_save(database_t *self, const msg_event_t *event, stray_fate_t fate);
int sqlite_stray_walk(database_t *self, stray_visit_t visit, void *context);
int sqlite_lane_walk(database_t *self, lane_visit_t visit, void *context);
int sqlite_lane_save(database_t *self, const lane_row_t *lane);
int sqlite_lane_delete(database_t *self, const uint8_t user_id[ID_BYTES]);
int sqlite_positions_load(database_t *self, saved_positions_t *out);
int sqlite_positions_save(database_t *self, const saved_positions_t *positions,
                          uint64_t partitions);

#endif
