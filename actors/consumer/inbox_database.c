/* SPDX-License-Identifier: Apache-2.0
 * inbox_database.c - the worker's database in one SQLite file.
 *
 * Rows of the inbox are numbered as they are seen, so the oldest are found and deleted from the front of
 * the table without an index on their time, and the numbers tell what was seen last. They never begin again: a
 * commit that trims leaves the rows it has added.
 */
#include "actors/consumer/inbox_database.h"

#include <stdlib.h>
#include <unistd.h>

#include "proto/errors.h"
#include "storage/sqlite_file.h"
#include "storage/sqlite_statement.h"

static const char *const migrations[] = {
    "CREATE TABLE inbox ("
    " row INTEGER PRIMARY KEY,"
    " message_id TEXT NOT NULL UNIQUE,"
    " seen_us INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE user ("
    " key TEXT NOT NULL PRIMARY KEY,"
    " email TEXT NOT NULL,"
    " first_name TEXT NOT NULL,"
    " last_name TEXT NOT NULL,"
    " is_valid INTEGER NOT NULL,"
    " registered_at TEXT," /* NULL: no register event came */
    " views INTEGER NOT NULL,"
    " updates INTEGER NOT NULL,"
    " last_update TEXT,"
    " disabled_at TEXT,"
    " sequence INTEGER NOT NULL,"
    " active INTEGER NOT NULL" /* row in the inbox of the last event about the user */
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE tally ("
    " tally INTEGER PRIMARY KEY,"
    " count INTEGER NOT NULL"
    ") STRICT;",
};

static const sqlite_schema_t schema = {.what = "worker's database",
                                       .application_id = 0x75626978,
                                       .migrations = migrations,
                                       .version = sizeof(migrations) / sizeof(migrations[0]),
                                       .single_process = false};

typedef enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    INBOX_MARK,
    INBOX_FIRST,
    INBOX_LAST,
    INBOX_TRIM,
    TALLY_ADD,
    TALLY_WALK,
    USER_KEEP,
    USER_REGISTER,
    USER_VIEW,
    USER_UPDATE,
    USER_DISABLE,
    USER_TOTALS,
    USER_WALK,
    STATEMENT_COUNT
} statement_t;

/* In all that change a user ?1 is its key, ?2 the event's sequence, ?3 a time. An event without a
 * sequence is taken as the newest. */
#define IS_NEWEST(sequence) "(?2 = 0 OR ?2 >= " sequence ")"

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INBOX_MARK] = "INSERT INTO inbox (message_id, seen_us) VALUES (?1, ?2)"
                   " ON CONFLICT (message_id) DO NOTHING",
    [INBOX_FIRST] = "SELECT min(row) FROM inbox",
    [INBOX_LAST] = "SELECT max(row) FROM inbox",
    [INBOX_TRIM] = "DELETE FROM inbox WHERE row <= ?1 AND (seen_us < ?2 OR row <= ?3)",
    [TALLY_ADD] = "INSERT INTO tally (tally, count) VALUES (?1, ?2)"
                  " ON CONFLICT (tally) DO UPDATE SET count = count + excluded.count",
    [TALLY_WALK] = "SELECT tally, count FROM tally",
    [USER_KEEP] = "INSERT INTO user (key, sequence, disabled_at, email, first_name, last_name,"
                  " is_valid, active, views, updates)"
                  " VALUES (?1, ?2, iif(?7 = 0, ?3, NULL), ?4, coalesce(?5, ''), coalesce(?6, ''),"
                  " coalesce(?7, 1), ?8, 0, 0)"
                  " ON CONFLICT (key) DO UPDATE SET"
                  " sequence = max(sequence, ?2), email = ?4,"
                  " first_name = coalesce(?5, first_name), last_name = coalesce(?6, last_name),"
                  " disabled_at = CASE ?7 WHEN 1 THEN NULL WHEN 0 THEN coalesce(disabled_at, ?3)"
                  " ELSE disabled_at END,"
                  " is_valid = coalesce(?7, is_valid), active = ?8"
                  " WHERE " IS_NEWEST("sequence"),
    [USER_REGISTER] = "UPDATE user SET registered_at = coalesce(registered_at, ?3) WHERE key = ?1",
    [USER_VIEW] = "UPDATE user SET views = views + 1 WHERE key = ?1",
    [USER_UPDATE] = "UPDATE user SET updates = updates + 1,"
                    " last_update = iif(" IS_NEWEST("sequence") ", ?3, last_update) WHERE key = ?1",
    [USER_DISABLE] = "UPDATE user SET is_valid = 0, disabled_at = coalesce(disabled_at, ?3)"
                     " WHERE key = ?1 AND " IS_NEWEST("sequence"),
    [USER_TOTALS] = "SELECT count(*), count(registered_at), count(*) - coalesce(sum(is_valid), 0),"
                    " coalesce(sum(views), 0), coalesce(sum(updates), 0) FROM user",
    [USER_WALK] = "SELECT key, email, first_name, last_name, registered_at, last_update,"
                  " disabled_at, is_valid, views, updates, sequence"
                  " FROM user ORDER BY active DESC, key LIMIT ?1",
};

struct inbox_database {
    sqlite_file_t file;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    int64_t now_us;               /* of the open transaction */
    int64_t marked_row;           /* in the inbox, of the message at hand */
    int64_t tallies[TALLY_COUNT]; /* of the open transaction, written at its end */
};

/* --- running statements ----------------------------------------------------------------------- */

/* Leaves the parameter NULL when the event did not tell. */
static void bind_told(sqlite3_stmt *statement, int index, text_t text)
{
    if (text.size > 0)
        sqlite_bind_text(statement, index, text);
}

/* Runs a statement that gives no rows. */
static int run(sqlite3_stmt *statement)
{
    int code = sqlite_run(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

/* --- the batch -------------------------------------------------------------------------------- */

int inbox_begin(inbox_database_t *self, int64_t now_us)
{
    self->now_us = now_us;
    return run(self->statements[BEGIN]);
}

void inbox_rollback(inbox_database_t *self)
{
    for (int i = 0; i < TALLY_COUNT; i++)
        self->tallies[i] = 0;
    /* Some errors have rolled it back already. */
    if (sqlite3_get_autocommit(self->file.connection) == 0)
        (void)run(self->statements[ROLLBACK]);
}

int inbox_mark(inbox_database_t *self, text_t message_id, bool *is_new)
{
    sqlite3_stmt *statement = self->statements[INBOX_MARK];
    sqlite_bind_text(statement, 1, message_id);
    sqlite_bind_int(statement, 2, self->now_us);
    int error = run(statement);
    *is_new = error == 0 && sqlite3_changes(self->file.connection) > 0;
    self->marked_row = sqlite3_last_insert_rowid(self->file.connection);
    return error;
}

void inbox_tally(inbox_database_t *self, int tally)
{
    must(tally >= 0 && tally < TALLY_COUNT);
    self->tallies[tally]++;
}

static int save_tallies(inbox_database_t *self)
{
    sqlite3_stmt *statement = self->statements[TALLY_ADD];
    int error = 0;
    for (int i = 0; i < TALLY_COUNT && error == 0; i++) {
        if (self->tallies[i] == 0)
            continue;
        sqlite_bind_int(statement, 1, i);
        sqlite_bind_int(statement, 2, self->tallies[i]);
        error = run(statement);
        self->tallies[i] = 0;
    }
    return error;
}

static int trim_inbox(inbox_database_t *self)
{
    sqlite3_stmt *statement = self->statements[INBOX_TRIM];
    int64_t first = 0, last = 0;
    int error = sqlite_read_number(self->statements[INBOX_FIRST], &first);
    if (error == 0)
        error = sqlite_read_number(self->statements[INBOX_LAST], &last);
    if (error != 0)
        return error;
    sqlite_bind_int(statement, 1, first + INBOX_TRIM_ROWS - 1);
    sqlite_bind_int(statement, 2, self->now_us - INBOX_KEEP_US);
    sqlite_bind_int(statement, 3, last - INBOX_ROWS_MAX);
    return run(statement);
}

int inbox_commit(inbox_database_t *self)
{
    int error = save_tallies(self);
    if (error == 0)
        error = trim_inbox(self);
    if (error == 0)
        error = run(self->statements[COMMIT]);
    if (error != 0)
        inbox_rollback(self);
    return error;
}

int inbox_tidy(inbox_database_t *self, bool idle)
{
    return sqlite_file_tidy(&self->file, idle);
}

/* --- the projection --------------------------------------------------------------------------- */

static sqlite3_stmt *for_user(inbox_database_t *self, statement_t which,
                              const incoming_event_t *event, text_t time)
{
    sqlite3_stmt *statement = self->statements[which];
    sqlite_bind_text(statement, 1, event->user_key);
    sqlite_bind_int(statement, 2, event->sequence);
    sqlite_bind_text(statement, 3, time);
    return statement;
}

int projection_keep_user(inbox_database_t *self, const incoming_event_t *event)
{
    sqlite3_stmt *statement = for_user(self, USER_KEEP, event, event->occurred_at);
    sqlite_bind_text(statement, 4, event->email);
    bind_told(statement, 5, event->first_name);
    bind_told(statement, 6, event->last_name);
    if (event->validity != VALIDITY_UNTOLD)
        (void)sqlite3_bind_int(statement, 7, event->validity == USER_VALID);
    sqlite_bind_int(statement, 8, self->marked_row);
    return run(statement);
}

int projection_register(inbox_database_t *self, const incoming_event_t *event)
{
    return run(for_user(self, USER_REGISTER, event, event->registered_at));
}

int projection_count_view(inbox_database_t *self, const incoming_event_t *event)
{
    sqlite3_stmt *statement = self->statements[USER_VIEW];
    sqlite_bind_text(statement, 1, event->user_key);
    return run(statement);
}

int projection_count_update(inbox_database_t *self, const incoming_event_t *event)
{
    return run(for_user(self, USER_UPDATE, event, event->occurred_at));
}

int projection_disable(inbox_database_t *self, const incoming_event_t *event)
{
    return run(for_user(self, USER_DISABLE, event, event->occurred_at));
}

/* --- the report ------------------------------------------------------------------------------- */

static int read_tallies(inbox_database_t *self, inbox_totals_t *out)
{
    sqlite3_stmt *statement = self->statements[TALLY_WALK];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t tally = sqlite3_column_int64(statement, 0);
        if (tally >= 0 && tally < TALLY_COUNT)
            out->tallies[tally] = sqlite3_column_int64(statement, 1);
    }
    sqlite_end(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

int inbox_totals_read(inbox_database_t *self, inbox_totals_t *out)
{
    sqlite3_stmt *statement = self->statements[USER_TOTALS];
    *out = (inbox_totals_t){0};
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        out->users = sqlite3_column_int64(statement, 0);
        out->registered = sqlite3_column_int64(statement, 1);
        out->disabled = sqlite3_column_int64(statement, 2);
        out->views = sqlite3_column_int64(statement, 3);
        out->updates = sqlite3_column_int64(statement, 4);
    }
    sqlite_end(statement);
    return code == SQLITE_ROW ? read_tallies(self, out) : sqlite_error(code);
}

static projected_user_t read_user(sqlite3_stmt *statement)
{
    return (projected_user_t){
        .key = sqlite_column(statement, 0),
        .email = sqlite_column(statement, 1),
        .first_name = sqlite_column(statement, 2),
        .last_name = sqlite_column(statement, 3),
        .is_registered = sqlite3_column_type(statement, 4) != SQLITE_NULL,
        .registered_at = sqlite_column(statement, 4),
        .last_update = sqlite_column(statement, 5),
        .disabled_at = sqlite_column(statement, 6),
        .is_valid = sqlite3_column_int64(statement, 7) != 0,
        .views = sqlite3_column_int64(statement, 8),
        .updates = sqlite3_column_int64(statement, 9),
        .sequence = sqlite3_column_int64(statement, 10),
    };
}

int inbox_walk_users(inbox_database_t *self, int limit, projected_user_visit_t visit, void *context)
{
    sqlite3_stmt *statement = self->statements[USER_WALK];
    (void)sqlite3_bind_int(statement, 1, limit);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const projected_user_t user = read_user(statement);
        visit(context, &user);
    }
    sqlite_end(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

/* --- life ------------------------------------------------------------------------------------- */

typedef int (*open_file_t)(sqlite_file_t *out, const char *url, const sqlite_schema_t *schema,
                           detail_t *detail);

static int open_by(open_file_t open_file, inbox_database_t **out, const char *url, detail_t *detail)
{
    inbox_database_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    *out = NULL;
    int error = open_file(&self->file, url, &schema, detail);
    if (error == 0)
        error =
            sqlite_file_prepare(&self->file, statements, STATEMENT_COUNT, self->statements, detail);
    if (error != 0) {
        inbox_database_close(&self);
        return error;
    }
    *out = self;
    return 0;
}

int inbox_database_open(inbox_database_t **out, const char *url, detail_t *detail)
{
    return open_by(sqlite_file_open, out, url, detail);
}

int inbox_database_open_readonly(inbox_database_t **out, const char *url, detail_t *detail)
{
    const char *path;
    *out = NULL;
    if (sqlite_url_path(url, &path) && access(path, F_OK) != 0)
        return detail_set(detail, ERR_DATABASE_OPEN,
                          "the worker's database '%.200s' does not exist yet; start the worker "
                          "first (userbus broker start user), or set CONSUMER_DATABASE_URL to its",
                          path);
    return open_by(sqlite_file_open_readonly, out, url, detail);
}

void inbox_database_close(inbox_database_t **self)
{
    inbox_database_t *database = *self;
    if (database == NULL)
        return;
    *self = NULL;
    sqlite_file_finalize(database->statements, STATEMENT_COUNT);
    sqlite_file_close(&database->file);
    free(database);
}

int inbox_database_probe(const char *url, detail_t *detail)
{
    return sqlite_file_probe(url, &schema, detail);
}
