/* SPDX-License-Identifier: Apache-2.0
 * sqlite_file.h - opening a SQLite database as this project keeps one: WAL, synchronous=FULL,
 * migrations by user_version, checkpoints by the owner instead of inside a commit.
 *
 * Opening for writing moves all of the write-ahead log into the database first. After a failed fsync the
 * page cache may hold a frame that the disk does not, which would be read as committed, and everything
 * committed behind it would be lost with the power; so nothing is ever appended behind old frames. For the
 * same reason a process that met an error that must not be retried, on whatever file, moves nothing when it closes one.
 *
 * Threads   A connection belongs to the thread that opened it.
 */
#ifndef USERBUS_STORAGE_SQLITE_FILE_H
#define USERBUS_STORAGE_SQLITE_FILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h" /* detail_t */

enum {
    CHECKPOINT_FRAMES = 4000,
    WAL_FRAMES_MAX = 32768, /* 128 MiB: where the writer itself moves what the log holds */
};

/* What a database of one kind looks like. */
typedef struct sqlite_schema {
    const char *what;              /* as an operator calls it: "users' database" */
    int32_t application_id;        /* PRAGMA application_id; tells a file of another kind */
    const char *const *migrations; /* [i] takes user_version i to i + 1, in one transaction each */
    int version;                   /* number of migrations */
    bool single_process;           /* only one process at a time may open it for writing */
} sqlite_schema_t;

/* Stays where it was opened: SQLite points back to it. */
typedef struct sqlite_file {
    sqlite3 *connection;
    int lock_fd;    /* -1: none; holds the flock of single_process */
    int wal_frames; /* pages in the write-ahead log that are not moved yet, as of the last commit */
} sqlite_file_t;

/* True when the URL is "sqlite:PATH" with a path; *path then points into it. */
bool sqlite_url_path(const char *url, const char **path);

/* Opens or creates the file of "sqlite:PATH" and migrates it. On 0 *out goes to sqlite_file_close. On
 * ERR_DATABASE_OPEN nothing stays open, a file that was not there is not left behind half made, and
 * *detail says what to do. */
int sqlite_file_open(sqlite_file_t *out, const char *url, const sqlite_schema_t *schema,
                     detail_t *detail) __attribute__((warn_unused_result));

/* For commands that only look: never creates or migrates. ERR_DATABASE_OPEN when the file is not
 * there, is of another kind or not of this version. */
int sqlite_file_open_readonly(sqlite_file_t *out, const char *url, const sqlite_schema_t *schema,
                              detail_t *detail) __attribute__((warn_unused_result));

/* Also of one whose open failed. All statements must be finalized before. */
void sqlite_file_close(sqlite_file_t *self);

/* Looks and changes nothing: 0 with *detail telling what is there (a file that can be opened, or a
 * folder in which it can be made), else ERR_DATABASE_OPEN with what to do. */
int sqlite_file_probe(const char *url, const sqlite_schema_t *schema, detail_t *detail);

/* Prepares a table of statements that are kept for the connection's life. ERR_DATABASE_OPEN when the
 * file lacks what they name; then none is prepared. */
int sqlite_file_prepare(const sqlite_file_t *self, const char *const *sql, size_t count,
                        sqlite3_stmt **out, detail_t *detail) __attribute__((warn_unused_result));

void sqlite_file_finalize(sqlite3_stmt **statements, size_t count);

/* Runs statements that give no rows. An SQLite result code. */
int sqlite_file_exec(const sqlite_file_t *self, const char *sql);

/* Moves what the log holds into the database, as far as readers allow and without waiting for them
 * (PASSIVE), outside of transactions. *moved: frames of the log that are in the database then; *stuck: not
 * all were, or it failed. An error of sqlite_error. */
int sqlite_file_checkpoint(const sqlite_file_t *self, int *moved, bool *stuck)
    __attribute__((warn_unused_result));

/* Syncs the database's own file. A checkpoint does so only when it has moved the whole log; what another
 * one moved before is then waiting for it. An error of sqlite_error. */
int sqlite_file_sync(const sqlite_file_t *self) __attribute__((warn_unused_result));

/* For whoever does the above beside the owner of the database, in the same process; no migration, no lock
 * of the process. It must be closed before the owner's. ERR_DATABASE_OPEN with *detail. */
int sqlite_file_open_beside(sqlite_file_t *out, const char *url, detail_t *detail)
    __attribute__((warn_unused_result));

/* Outside of transactions: moves what the write-ahead log holds into the database, as far as readers
 * allow and without waiting for them (PASSIVE), when there are CHECKPOINT_FRAMES of it, or any at all
 * while nothing else is to do. An error of sqlite_error. */
int sqlite_file_tidy(sqlite_file_t *self, bool idle) __attribute__((warn_unused_result));

/* ERR_STORE_UNAVAILABLE for what may pass (disk full, busy, read-only), ERR_DATABASE_FATAL for what
 * must never be retried (I/O errors, corruption), whose outcome on the disk nobody knows: from then on
 * this process closes files without touching them. `code` is an extended SQLite result code that is not
 * OK, ROW or DONE. */
int sqlite_error(int code);

/* Has an error been met that must never be retried? */
bool sqlite_has_failed(void);

#endif
