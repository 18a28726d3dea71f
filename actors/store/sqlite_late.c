/* SPDX-License-Identifier: Apache-2.0
 * sqlite_late.c - the index of emails and the counts of views are written behind, in the order of their keys
 * (late_table.h), so that a new email or a view dirties no page of its own.
 *
 * Nothing is lost with what is in memory, since each batch commits what tells it again: an email stands in its
 * account, and a view in its event, whose sequence is the user's version and views together. The marks say from
 * which account and which position on; a start reads on from there. So the log is not deleted beyond the mark of
 * views, and an event that is parked beside the log has its views written at once.
 */
#include <string.h>

#include "actors/store/sqlite_store.h"
#include "proto/errors.h"
#include "storage/sqlite_statement.h"

enum {
#ifdef USERBUS_FAILPOINTS
    EMAILS_MAX = 8, /* so that a fault test meets generations at every turn */
    VIEWS_MAX = 8,
    IDLE_MIN = 4,
#else
    EMAILS_MAX = 131072,
    VIEWS_MAX = 65536,
    IDLE_MIN = 1024, /* fewer are not worth a commit of their own: a start reads them in no time */
#endif
    LAG_MAX =
        2 *
        VIEWS_MAX, /* positions behind which the mark of views stays at most, before it moves on */
    STEP_MIN = 16, /* entries written with a transaction at least */
    STEPS_PER_CHANGE =
        2, /* and for each that came in it: an old generation is gone before the young is full */
    STEP_ALONE = 512,    /* in a transaction of their own, while somebody may come */
    STEP_CLOSING = 8192, /* and when nobody will: a sync for each is what takes the time */
    RELEASE_MAX = 4096,  /* for the log's sake */
};

/* --- opening ---------------------------------------------------------------------------------- */

static int load_marks(sqlite_store_t *self)
{
    sqlite3_stmt *statement = self->statements[KEPT_LOAD];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        text_t name = sqlite_column(statement, 0);
        if (text_equal(name, TEXT("emails")))
            self->late.emails_mark = sqlite3_column_int64(statement, 1);
        else if (text_equal(name, TEXT("views")))
            self->late.views_mark = sqlite3_column_int64(statement, 1);
        else if (text_equal(name, TEXT("hash key")) &&
                 sqlite_column(statement, 1).size == EMAIL_HASH_KEY_BYTES)
            memcpy(self->late.hash_key, sqlite_column(statement, 1).data, EMAIL_HASH_KEY_BYTES);
    }
    sqlite_end(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

static int save_mark(sqlite_store_t *self, text_t name, int64_t value)
{
    sqlite3_stmt *statement = self->statements[KEPT_SAVE];
    sqlite_bind_text(statement, 1, name);
    sqlite_bind_int(statement, 2, value);
    return sqlite_store_run(statement);
}

/* Many emails, as of a database that was migrated or filled by others: sorted by SQLite. */
static int build_index(sqlite_store_t *self)
{
    sqlite_bind_int(self->statements[EMAIL_BUILD], 1, self->late.emails_mark);
    int error = sqlite_store_run(self->statements[EMAIL_BUILD]);
    if (error == 0)
        error = save_mark(self, TEXT("emails"), self->late.rows);
    self->late.emails_mark = self->late.rows;
    return error;
}

static int load_emails(sqlite_store_t *self)
{
    sqlite3_stmt *statement = self->statements[EMAIL_WALK];
    sqlite_bind_int(statement, 1, self->late.emails_mark);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        must(late_table_add(&self->late.emails,
                            email_hash(self->late.hash_key, sqlite_column(statement, 1)),
                            sqlite3_column_int64(statement, 0)));
    sqlite_end(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

static int load_views(sqlite_store_t *self)
{
    sqlite3_stmt *statement = self->statements[VIEWS_FIND];
    sqlite_bind_int(statement, 1, self->late.views_mark);
    int code, error = 0;
    while (error == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
        error = sqlite_late_put_views(self, sqlite3_column_int64(statement, 0),
                                      sqlite3_column_int64(statement, 1));
    sqlite_end(statement);
    return error != 0 || code == SQLITE_DONE ? error : sqlite_error(code);
}

static int take_up(sqlite_store_t *self)
{
    sqlite_late_t *late = &self->late;
    int error = sqlite_read_number(self->statements[USER_LAST], &late->rows);
    if (error == 0)
        error = sqlite_read_number(self->statements[EVENT_LAST], &late->head);
    /* The log may be trimmed to nothing. */
    late->head = late->head > late->views_mark ? late->head : late->views_mark;
    late->rows_before = late->rows;
    late->head_before = late->head;
    if (error == 0)
        error = late->rows - late->emails_mark > EMAILS_MAX ? build_index(self) : load_emails(self);
    return error != 0 ? error : load_views(self);
}

int sqlite_late_open(sqlite_store_t *self)
{
    sqlite_late_t *late = &self->late;
    int error = load_marks(self);
    if (error != 0 || !late->on)
        return error;
    late_table_init(&late->emails, EMAILS_MAX);
    late_table_init(&late->views, VIEWS_MAX);
    /* Mostly it writes nothing, so that a full disk can be started on. */
    int code = sqlite_run(self->statements[BEGIN]);
    if (code != SQLITE_DONE)
        return sqlite_error(code);
    error = take_up(self);
    if (error == 0)
        error = sqlite_store_run(self->statements[COMMIT]);
    if (error != 0)
        (void)sqlite_run(self->statements[ROLLBACK]);
    sqlite_late_end(late, error == 0);
    return error;
}

void sqlite_late_close(sqlite_late_t *self)
{
    late_table_fini(&self->emails);
    late_table_fini(&self->views);
}

/* --- what comes ------------------------------------------------------------------------------- */

static int add_to_index(sqlite_store_t *self, int64_t hash, int64_t row)
{
    sqlite_bind_int(self->statements[EMAIL_ADD], 1, hash);
    sqlite_bind_int(self->statements[EMAIL_ADD], 2, row);
    return sqlite_store_run(self->statements[EMAIL_ADD]);
}

int sqlite_late_add_email(sqlite_store_t *self, int64_t hash, int64_t row)
{
    return late_table_add(&self->late.emails, hash, row) ? 0 : add_to_index(self, hash, row);
}

static int save_views(sqlite_store_t *self, int64_t row, int64_t count)
{
    sqlite_bind_int(self->statements[VIEWS_SAVE], 1, row);
    sqlite_bind_int(self->statements[VIEWS_SAVE], 2, count);
    return sqlite_store_run(self->statements[VIEWS_SAVE]);
}

int sqlite_late_put_views(sqlite_store_t *self, int64_t row, int64_t count)
{
    return late_table_put(&self->late.views, row, count) ? 0 : save_views(self, row, count);
}

/* --- what is written -------------------------------------------------------------------------- */

static void freeze_emails(sqlite_late_t *self)
{
    late_table_freeze(&self->emails);
    self->emails_frozen = self->rows;
}

static void freeze_views(sqlite_late_t *self)
{
    late_table_freeze(&self->views);
    self->views_frozen = self->head;
}

void sqlite_late_begin(sqlite_late_t *self)
{
    if (!self->emails.frozen && late_table_is_full(&self->emails))
        freeze_emails(self);
    if (!self->views.frozen &&
        (late_table_is_full(&self->views) || self->head - self->views_mark >= LAG_MAX))
        freeze_views(self);
}

static int write_emails(sqlite_store_t *self, size_t most)
{
    sqlite_late_t *late = &self->late;
    late_entry_t entry;
    int error = 0;
    if (!late->emails.frozen || late->emails_done)
        return 0;
    for (size_t i = 0; i < most && error == 0 && late_table_take(&late->emails, &entry); i++)
        error = add_to_index(self, entry.key, entry.value);
    late->emails_done = error == 0 && late_table_is_written(&late->emails);
    return late->emails_done ? save_mark(self, TEXT("emails"), late->emails_frozen) : error;
}

static int write_views(sqlite_store_t *self, size_t most)
{
    sqlite_late_t *late = &self->late;
    late_entry_t entry;
    int error = 0;
    if (!late->views.frozen || late->views_done)
        return 0;
    for (size_t i = 0; i < most && error == 0 && late_table_take(&late->views, &entry); i++)
        error = save_views(self, entry.key, entry.value);
    late->views_done = error == 0 && late_table_is_written(&late->views);
    return late->views_done ? save_mark(self, TEXT("views"), late->views_frozen) : error;
}

static size_t share(const late_table_t *table)
{
    return STEP_MIN + STEPS_PER_CHANGE * table->change_count;
}

int sqlite_late_write(sqlite_store_t *self)
{
    int error = write_emails(self, share(&self->late.emails));
    return error != 0 ? error : write_views(self, share(&self->late.views));
}

void sqlite_late_end(sqlite_late_t *self, bool committed)
{
    if (committed) {
        late_table_commit(&self->emails);
        late_table_commit(&self->views);
        self->emails_mark = self->emails_done ? self->emails_frozen : self->emails_mark;
        self->views_mark = self->views_done ? self->views_frozen : self->views_mark;
        self->rows_before = self->rows;
        self->head_before = self->head;
    } else {
        late_table_roll_back(&self->emails);
        late_table_roll_back(&self->views);
        self->rows = self->rows_before;
        self->head = self->head_before;
    }
    self->emails_done = self->views_done = false;
}

int sqlite_late_release(sqlite_store_t *self, int64_t position)
{
    sqlite_late_t *late = &self->late;
    if (position <= late->views_mark)
        return 0;
    if (!late->views.frozen)
        freeze_views(late);
    return write_views(self, RELEASE_MAX);
}

int64_t sqlite_late_counted(const sqlite_late_t *self)
{
    return self->views_done ? self->views_frozen : self->views_mark;
}

/* --- with nothing else to do ------------------------------------------------------------------ */

static bool is_worth_it(const late_table_t *table, bool all)
{
    return late_table_size(table) >= (all ? 1 : IDLE_MIN) || table->frozen;
}

int sqlite_late_tidy(sqlite_store_t *self, bool all, bool *more)
{
    sqlite_late_t *late = &self->late;
    bool emails = is_worth_it(&late->emails, all);
    bool views = is_worth_it(&late->views, all) || (all && late->head > late->views_mark);
    *more = emails || views;
    if (!*more)
        return 0;
    int error = self->super.class->begin(&self->super);
    if (error != 0)
        return error;
    if (emails && !late->emails.frozen)
        freeze_emails(late);
    if (views && !late->views.frozen)
        freeze_views(late);
    const size_t step = all ? STEP_CLOSING : STEP_ALONE;
    error = write_emails(self, step);
    if (error == 0)
        error = write_views(self, step);
    if (error == 0)
        return self->super.class->commit(&self->super);
    self->super.class->rollback(&self->super);
    return error;
}
