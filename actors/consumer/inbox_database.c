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
    "ALTER TABLE inbox ADD COLUMN kind INTEGER NOT NULL DEFAULT -1;"
    "ALTER TABLE inbox ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE inbox ADD COLUMN outcome INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE waiting ("
    " row INTEGER PRIMARY KEY," /* order of arrival, in which a user's events run */
    " queue TEXT NOT NULL,"
    " user_key TEXT NOT NULL,"
    " message_id TEXT NOT NULL," /* as in the inbox */
    " kind INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL,"
    " arrived_us INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL,"        /* failed runs */
    " first_failed_us INTEGER NOT NULL," /* 0: never */
    " next_try_us INTEGER NOT NULL,"     /* 0: as soon as it is its turn */
    " is_dead INTEGER NOT NULL,"         /* runs no more, waits for the confirm of its letter */
    " error TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " properties BLOB NOT NULL," /* as stored_message.h packs them */
    " body BLOB NOT NULL"
    ") STRICT;"
    "ALTER TABLE user ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;" /* highest sequence seen */
    "ALTER TABLE user ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;" /* below it, jumped over */
    "UPDATE user SET arrived = sequence",
};

const sqlite_schema_t inbox_schema = {.what = "worker's database",
                                      .application_id = 0x75626978,
                                      .migrations = migrations,
                                      .version = sizeof(migrations) / sizeof(migrations[0]),
                                      .single_process = false};

typedef enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    SAVEPOINT,
    UNDO,
    RELEASE,
    INBOX_MARK,
    INBOX_MARK_AGAIN,
    INBOX_SETTLE,
    INBOX_FIRST,
    INBOX_LAST,
    INBOX_TRIM_OLD,
    INBOX_TRIM_MANY,
    TALLY_ADD,
    TALLY_WALK,
    USER_KEEP,
    USER_KEEP_LATE,
    USER_ARRIVE,
    USER_ARRIVED,
    USER_JUMP,
    USER_REGISTER,
    USER_VIEW,
    USER_UPDATE,
    USER_DISABLE,
    USER_TOTALS,
    USER_WALK,
    WAITING_TOTALS,
    STATEMENT_COUNT
} statement_t;

/* In all that change a user ?1 is its key, ?2 the event's sequence, ?3 a time. An event without a
 * sequence is taken as the newest. */
#define IS_NEWEST(sequence) "(?2 = 0 OR ?2 >= " sequence ")"

#define USER_TOLD                                                                                  \
    " sequence = max(sequence, ?2), email = ?4,"                                                   \
    " first_name = coalesce(?5, first_name), last_name = coalesce(?6, last_name),"                 \
    " disabled_at = CASE ?7 WHEN 1 THEN NULL WHEN 0 THEN coalesce(disabled_at, ?3)"                \
    " ELSE disabled_at END, is_valid = coalesce(?7, is_valid), active = ?8"

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [SAVEPOINT] = "SAVEPOINT run",
    [UNDO] = "ROLLBACK TO run",
    [RELEASE] = "RELEASE run",
    [INBOX_MARK] = "INSERT INTO inbox (message_id, seen_us, kind, sequence, outcome)"
                   " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (message_id) DO NOTHING",
    [INBOX_MARK_AGAIN] = "UPDATE inbox SET outcome = ?2 WHERE message_id = ?1 AND outcome = 2",
    [INBOX_SETTLE] = "UPDATE inbox SET outcome = ?2 WHERE message_id = ?1",
    [INBOX_FIRST] = "SELECT row, seen_us FROM inbox ORDER BY row LIMIT 1",
    [INBOX_LAST] = "SELECT max(row) FROM inbox",
    [INBOX_TRIM_OLD] = "DELETE FROM inbox WHERE row <= ?1 AND seen_us < ?2",
    [INBOX_TRIM_MANY] = "DELETE FROM inbox WHERE row <= ?1",
    [TALLY_ADD] = "INSERT INTO tally (tally, count) VALUES (?1, ?2)"
                  " ON CONFLICT (tally) DO UPDATE SET count = count + excluded.count",
    [TALLY_WALK] = "SELECT tally, count FROM tally",
    /* One that changes nothing met an event that is not the next one. With the effect: ?9 when the user was
     * registered, ?10 views and ?11 updates more; what is the next one is the newest as well. */
    [USER_KEEP] =
        "INSERT INTO user (key, sequence, disabled_at, email, first_name, last_name, is_valid,"
        " active, arrived, registered_at, views, updates, last_update)"
        " VALUES (?1, ?2, iif(?7 = 0, ?3, NULL), ?4, coalesce(?5, ''), coalesce(?6, ''),"
        " coalesce(?7, 1), ?8, ?2, ?9, ?10, ?11, iif(?11, ?3, NULL))"
        " ON CONFLICT (key) DO UPDATE SET arrived = max(arrived, ?2)," USER_TOLD
        ", registered_at = coalesce(registered_at, ?9), views = views + ?10,"
        " updates = updates + ?11, last_update = iif(?11, ?3, last_update)"
        " WHERE ?2 = 0 OR ?2 = arrived + 1",
    [USER_KEEP_LATE] = "UPDATE user SET" USER_TOLD " WHERE key = ?1 AND " IS_NEWEST("sequence"),
    /* Nothing was done so far. */
    [USER_ARRIVE] =
        "INSERT INTO user (key, sequence, disabled_at, email, first_name, last_name, is_valid,"
        " active, arrived, views, updates) VALUES (?1, 0, iif(?7 = 0, ?3, NULL), ?4, coalesce(?5, "
        "''),"
        " coalesce(?6, ''), coalesce(?7, 1), ?8, ?2, 0, 0)"
        " ON CONFLICT (key) DO UPDATE SET arrived = ?2 WHERE ?2 = arrived + 1",
    [USER_ARRIVED] = "SELECT arrived, missing FROM user WHERE key = ?1",
    [USER_JUMP] = "UPDATE user SET arrived = max(arrived, ?2), missing = missing + ?3"
                  " WHERE key = ?1",
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
    [WAITING_TOTALS] = "SELECT count(*), count(DISTINCT user_key), coalesce(min(arrived_us), 0)"
                       " FROM waiting",
};

struct inbox_database {
    sqlite_file_t file;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    inbox_limits_t limits;
    int64_t now_us;               /* of the open transaction */
    int64_t cut_short;            /* by the last commit */
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

int inbox_savepoint(inbox_database_t *self)
{
    return run(self->statements[SAVEPOINT]);
}

int inbox_undo(inbox_database_t *self)
{
    return run(self->statements[UNDO]);
}

int inbox_release(inbox_database_t *self)
{
    return run(self->statements[RELEASE]);
}

int inbox_mark(inbox_database_t *self, const inbox_message_t *message, inbox_outcome_t outcome,
               inbox_marked_t *marked)
{
    sqlite3_stmt *statement = self->statements[INBOX_MARK];
    *marked = MARKED_KNOWN;
    sqlite_bind_text(statement, 1, message->message_id);
    sqlite_bind_int(statement, 2, self->now_us);
    sqlite_bind_int(statement, 3, message->kind);
    sqlite_bind_int(statement, 4, message->sequence);
    sqlite_bind_int(statement, 5, outcome);
    int error = run(statement);
    if (error != 0)
        return error;
    if (sqlite3_changes(self->file.connection) > 0) {
        *marked = MARKED_NEW;
        self->marked_row = sqlite3_last_insert_rowid(self->file.connection);
        return 0;
    }
    statement = self->statements[INBOX_MARK_AGAIN];
    sqlite_bind_text(statement, 1, message->message_id);
    sqlite_bind_int(statement, 2, outcome);
    error = run(statement);
    if (error == 0 && sqlite3_changes(self->file.connection) > 0)
        *marked = MARKED_AGAIN;
    return error;
}

int inbox_settle(inbox_database_t *self, text_t message_id, inbox_outcome_t outcome)
{
    sqlite3_stmt *statement = self->statements[INBOX_SETTLE];
    sqlite_bind_text(statement, 1, message_id);
    sqlite_bind_int(statement, 2, outcome);
    return run(statement);
}

void inbox_tally(inbox_database_t *self, int tally, int64_t count)
{
    must(tally >= 0 && tally < TALLY_COUNT);
    self->tallies[tally] += count;
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

/* What is too old, among the first rows; when the very first is not, they are not looked at. */
static int trim_old(inbox_database_t *self, int64_t first, int64_t first_seen_us)
{
    sqlite3_stmt *statement = self->statements[INBOX_TRIM_OLD];
    int64_t oldest_us = self->now_us - self->limits.retention_us;
    if (self->limits.retention_us == 0 || first_seen_us >= oldest_us)
        return 0;
    sqlite_bind_int(statement, 1, first + INBOX_TRIM_ROWS - 1);
    sqlite_bind_int(statement, 2, oldest_us);
    return run(statement);
}

/* What is too much, and not yet too old. */
static int trim_many(inbox_database_t *self, int64_t first, int64_t last)
{
    sqlite3_stmt *statement = self->statements[INBOX_TRIM_MANY];
    int64_t until = last - self->limits.messages_max;
    if (self->limits.messages_max == 0 || until < first)
        return 0;
    if (until > first + INBOX_TRIM_ROWS - 1)
        until = first + INBOX_TRIM_ROWS - 1;
    sqlite_bind_int(statement, 1, until);
    int error = run(statement);
    if (error != 0)
        return error;
    self->cut_short = sqlite3_changes(self->file.connection);
    inbox_tally(self, TALLY_CUT_SHORT, self->cut_short);
    return 0;
}

/* An inbox that is empty leaves the numbers as they are. */
static int read_first(inbox_database_t *self, int64_t *row, int64_t *seen_us)
{
    sqlite3_stmt *statement = self->statements[INBOX_FIRST];
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *row = sqlite3_column_int64(statement, 0);
        *seen_us = sqlite3_column_int64(statement, 1);
    }
    sqlite_end(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}

static int trim_inbox(inbox_database_t *self)
{
    int64_t first = 0, last = 0, first_seen_us = self->now_us;
    int error = read_first(self, &first, &first_seen_us);
    if (error == 0)
        error = sqlite_read_number(self->statements[INBOX_LAST], &last);
    if (error == 0)
        error = trim_old(self, first, first_seen_us);
    return error != 0 ? error : trim_many(self, first, last);
}

int inbox_commit(inbox_database_t *self)
{
    self->cut_short = 0;
    int error = trim_inbox(self);
    if (error == 0)
        error = save_tallies(self);
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

int64_t inbox_cut_short(const inbox_database_t *self)
{
    return self->cut_short;
}

/* --- sequences -------------------------------------------------------------------------------- */

sequence_step_t sequence_step(int64_t last, int64_t missing, int64_t sequence)
{
    return (sequence_step_t){.missing = last > 0 && sequence > last ? sequence - last - 1 : 0,
                             .heals = sequence < last && missing > 0};
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

static sqlite3_stmt *with_user(inbox_database_t *self, statement_t which,
                               const incoming_event_t *event)
{
    sqlite3_stmt *statement = for_user(self, which, event, event->occurred_at);
    sqlite_bind_text(statement, 4, event->email);
    bind_told(statement, 5, event->first_name);
    bind_told(statement, 6, event->last_name);
    if (event->validity != VALIDITY_UNTOLD)
        (void)sqlite3_bind_int(statement, 7, event->validity == USER_VALID);
    sqlite_bind_int(statement, 8, self->marked_row);
    return statement;
}

static int read_arrived(inbox_database_t *self, text_t user_key, int64_t *arrived, int64_t *missing)
{
    sqlite3_stmt *statement = self->statements[USER_ARRIVED];
    sqlite_bind_text(statement, 1, user_key);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *arrived = sqlite3_column_int64(statement, 0);
        *missing = sqlite3_column_int64(statement, 1);
    }
    sqlite_end(statement);
    return code == SQLITE_ROW ? 0 : sqlite_error(code);
}

/* The sequence is not the next one of a user who is known. */
static int take_step(inbox_database_t *self, const incoming_event_t *event, sequence_step_t *step)
{
    int64_t arrived = 0, missing = 0;
    if (event->sequence == 0)
        return 0;
    int error = read_arrived(self, event->user_key, &arrived, &missing);
    if (error != 0)
        return error;
    *step = sequence_step(arrived, missing, event->sequence);
    inbox_tally(self, TALLY_GAPS, step->missing);
    inbox_tally(self, TALLY_GAPS_HEALED, step->heals);
    sqlite3_stmt *statement = self->statements[USER_JUMP];
    sqlite_bind_text(statement, 1, event->user_key);
    sqlite_bind_int(statement, 2, event->sequence);
    sqlite_bind_int(statement, 3, step->missing - step->heals);
    return run(statement);
}

int projection_arrive(inbox_database_t *self, const incoming_event_t *event, sequence_step_t *step)
{
    *step = (sequence_step_t){0};
    int error = run(with_user(self, USER_ARRIVE, event));
    if (error != 0 || sqlite3_changes(self->file.connection) > 0)
        return error;
    return take_step(self, event, step);
}

/* A delete disables also when the event tells that the user is valid: what it tells goes first then. */
static bool goes_with_it(const incoming_event_t *event, projection_effect_t effect)
{
    return effect != EFFECT_NONE && !(effect == EFFECT_DISABLE && event->validity == USER_VALID);
}

static void bind_effect(sqlite3_stmt *statement, const incoming_event_t *event,
                        projection_effect_t effect)
{
    sqlite_bind_int(statement, 10, effect == EFFECT_VIEW);
    sqlite_bind_int(statement, 11, effect == EFFECT_UPDATE);
    if (effect == EFFECT_REGISTER)
        sqlite_bind_text(statement, 9, event->registered_at);
    if (effect == EFFECT_DISABLE)
        sqlite_bind_int(statement, 7, 0);
}

int projection_keep(inbox_database_t *self, const incoming_event_t *event,
                    projection_effect_t effect, sequence_step_t *step, bool *done)
{
    sqlite3_stmt *statement = with_user(self, USER_KEEP, event);
    *step = (sequence_step_t){0};
    *done = goes_with_it(event, effect);
    bind_effect(statement, event, *done ? effect : EFFECT_NONE);
    int error = run(statement);
    if (error != 0 || sqlite3_changes(self->file.connection) > 0)
        return error;
    *done = false;
    error = take_step(self, event, step);
    return error != 0 ? error : projection_keep_arrived(self, event);
}

int projection_keep_arrived(inbox_database_t *self, const incoming_event_t *event)
{
    return run(with_user(self, USER_KEEP_LATE, event));
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

static int read_waiting(inbox_database_t *self, inbox_totals_t *out)
{
    sqlite3_stmt *statement = self->statements[WAITING_TOTALS];
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        out->waiting = sqlite3_column_int64(statement, 0);
        out->waiting_users = sqlite3_column_int64(statement, 1);
        out->waiting_since_us = sqlite3_column_int64(statement, 2);
    }
    sqlite_end(statement);
    return code == SQLITE_ROW ? 0 : sqlite_error(code);
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
    int error = code == SQLITE_ROW ? read_waiting(self, out) : sqlite_error(code);
    return error != 0 ? error : read_tallies(self, out);
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
    int error = open_file(&self->file, url, &inbox_schema, detail);
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

void inbox_database_limit(inbox_database_t *self, const inbox_limits_t *limits)
{
    self->limits = *limits;
}

const sqlite_file_t *inbox_database_file(const inbox_database_t *self)
{
    return &self->file;
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
    return sqlite_file_probe(url, &inbox_schema, detail);
}
