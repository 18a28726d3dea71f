/* SPDX-License-Identifier: Apache-2.0
 * sqlite_users.c - users in the SQLite database. An email is found by its hash, in memory and in the index, and then
 * compared, so emails whose hashes meet and entries that are stale do no harm.
 */
#include <string.h>

#include "actors/store/sqlite_store.h"
#include "proto/errors.h"
#include "storage/sqlite_statement.h"

enum { VIEWS_COLUMN = 10 };

static void copy_text(char *to, size_t size, text_t from)
{
    size_t length = from.size < size ? from.size : size - 1;
    if (length > 0)
        memcpy(to, from.data, length);
    to[length] = '\0';
}

/* Views that are not in the table yet count. */
static void read_user(const sqlite_store_t *store, sqlite3_stmt *statement, user_t *out)
{
    text_t id = sqlite_column(statement, 1);
    out->row = sqlite3_column_int64(statement, 0);
    memset(out->id, 0, ID_BYTES);
    if (id.size == ID_BYTES)
        memcpy(out->id, id.data, ID_BYTES);
    copy_text(out->email, sizeof(out->email), sqlite_column(statement, 2));
    copy_text(out->email_key, sizeof(out->email_key), sqlite_column(statement, 3));
    copy_text(out->first_name, sizeof(out->first_name), sqlite_column(statement, 4));
    copy_text(out->last_name, sizeof(out->last_name), sqlite_column(statement, 5));
    out->is_valid = sqlite3_column_int64(statement, 6) != 0;
    out->version = sqlite3_column_int64(statement, 7);
    out->created_us = sqlite3_column_int64(statement, 8);
    out->updated_us = sqlite3_column_int64(statement, 9);
    out->view_count = sqlite3_column_int64(statement, VIEWS_COLUMN);
    if (store->late.on)
        (void)late_table_get(&store->late.views, out->row, &out->view_count);
    out->sequence = out->version + out->view_count;
}

static void bind_user(sqlite3_stmt *statement, const user_t *user)
{
    sqlite_bind_int(statement, 1, user->row);
    sqlite_bind_bytes(statement, 2, (text_t){(const char *)user->id, ID_BYTES});
    sqlite_bind_text(statement, 3, text_of(user->email));
    sqlite_bind_text(statement, 4, text_of(user->email_key));
    sqlite_bind_text(statement, 5, text_of(user->first_name));
    sqlite_bind_text(statement, 6, text_of(user->last_name));
    sqlite_bind_int(statement, 7, user->is_valid);
    sqlite_bind_int(statement, 8, user->version);
    sqlite_bind_int(statement, 9, user->created_us);
    sqlite_bind_int(statement, 10, user->updated_us);
}

/* Reads the first user of a bound statement, or with a key the one who has it; ends the statement.
 * ERR_USER_NOT_FOUND */
static int find_user(const sqlite_store_t *store, sqlite3_stmt *statement, const text_t *key,
                     user_t *out)
{
    int code;
    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW && key != NULL && !text_equal(sqlite_column(statement, 3), *key));
    if (code == SQLITE_ROW)
        read_user(store, statement, out);
    sqlite_end(statement);
    if (code == SQLITE_ROW)
        return 0;
    return code == SQLITE_DONE ? ERR_USER_NOT_FOUND : sqlite_error(code);
}

int sqlite_user_by_id(database_t *self, text_t id, user_t *out)
{
    sqlite_store_t *store = store_of(self);
    sqlite3_stmt *statement = store->statements[USER_BY_ID];
    sqlite_bind_bytes(statement, 1, id);
    return find_user(store, statement, NULL, out);
}

/* Among those whose emails are not in the index yet. */
static int find_recent(const sqlite_store_t *store, int64_t hash, text_t email_key, user_t *out)
{
    late_cursor_t cursor = {0};
    int64_t row;
    int error = ERR_USER_NOT_FOUND;
    while (error == ERR_USER_NOT_FOUND &&
           late_table_next_of(&store->late.emails, hash, &cursor, &row)) {
        sqlite_bind_int(store->statements[USER_BY_ROW], 1, row);
        error = find_user(store, store->statements[USER_BY_ROW], &email_key, out);
    }
    return error;
}

int sqlite_user_by_email(database_t *self, text_t email_key, user_t *out)
{
    sqlite_store_t *store = store_of(self);
    int64_t hash = email_hash(store->late.hash_key, email_key);
    int error = store->late.on ? find_recent(store, hash, email_key, out) : ERR_USER_NOT_FOUND;
    if (error != ERR_USER_NOT_FOUND)
        return error;
    sqlite_bind_int(store->statements[USER_BY_HASH], 1, hash);
    error = find_user(store, store->statements[USER_BY_HASH], &email_key, out);
    if (error != ERR_USER_NOT_FOUND || store->late.on)
        return error;
    sqlite_bind_int(store->statements[USER_UNINDEXED], 1, store->late.emails_mark);
    sqlite_bind_text(store->statements[USER_UNINDEXED], 2, email_key);
    return find_user(store, store->statements[USER_UNINDEXED], NULL, out);
}

/* --- whose is an email? ----------------------------------------------------------------------- */

/* Does a bound statement lead to somebody but `row` with this email? Ends it. */
static int look_for_owner(sqlite3_stmt *statement, text_t email_key, int64_t row, bool *found)
{
    int code;
    *found = false;
    while (!*found && (code = sqlite3_step(statement)) == SQLITE_ROW)
        *found = sqlite3_column_int64(statement, 0) != row &&
                 text_equal(sqlite_column(statement, 1), email_key);
    sqlite_end(statement);
    return *found || code == SQLITE_DONE ? 0 : sqlite_error(code);
}

/* ERR_EMAIL_TAKEN: somebody but the user of that row has it. */
static int check_email(const sqlite_store_t *store, int64_t hash, text_t email_key, int64_t row)
{
    late_cursor_t cursor = {0};
    int64_t owner;
    bool taken = false;
    int error = 0;
    while (error == 0 && !taken && late_table_next_of(&store->late.emails, hash, &cursor, &owner)) {
        sqlite_bind_int(store->statements[EMAIL_OF_ROW], 1, owner);
        error = look_for_owner(store->statements[EMAIL_OF_ROW], email_key, row, &taken);
    }
    if (error == 0 && !taken) {
        sqlite_bind_int(store->statements[EMAIL_OF_HASH], 1, hash);
        error = look_for_owner(store->statements[EMAIL_OF_HASH], email_key, row, &taken);
    }
    return error == 0 && taken ? ERR_EMAIL_TAKEN : error;
}

int sqlite_user_insert(database_t *self, user_t *user)
{
    sqlite_store_t *store = store_of(self);
    text_t email_key = text_of(user->email_key);
    int64_t hash = email_hash(store->late.hash_key, email_key);
    int error = check_email(store, hash, email_key, 0);
    if (error != 0)
        return error;
    bind_user(store->statements[USER_INSERT], user);
    error = sqlite_store_run(store->statements[USER_INSERT]);
    if (error != 0)
        return error;
    user->row = sqlite3_last_insert_rowid(store->file.connection);
    store->late.rows = user->row;
    return sqlite_late_add_email(store, hash, user->row);
}

/* *hash: of the email that the user of that row has. */
static int old_hash(const sqlite_store_t *store, int64_t row, int64_t *hash)
{
    sqlite3_stmt *statement = store->statements[EMAIL_OF_ROW];
    sqlite_bind_int(statement, 1, row);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *hash = email_hash(store->late.hash_key, sqlite_column(statement, 1));
    sqlite_end(statement);
    return code == SQLITE_ROW ? 0 : sqlite_error(code);
}

static int run_on_email(sqlite3_stmt *statement, int64_t hash, int64_t row)
{
    sqlite_bind_int(statement, 1, hash);
    sqlite_bind_int(statement, 2, row);
    return sqlite_store_run(statement);
}

/* Written at once: it is rare. An entry that waits in memory for the old email stays, stale. */
static int move_email(sqlite_store_t *store, int64_t from, int64_t to, int64_t row)
{
    int error = run_on_email(store->statements[EMAIL_DELETE], from, row);
    return error != 0 ? error : run_on_email(store->statements[EMAIL_ADD], to, row);
}

int sqlite_user_update(database_t *self, const user_t *user)
{
    sqlite_store_t *store = store_of(self);
    text_t email_key = text_of(user->email_key);
    int64_t hash = email_hash(store->late.hash_key, email_key), before = hash;
    int error = old_hash(store, user->row, &before);
    if (error == 0 && before != hash)
        error = check_email(store, hash, email_key, user->row);
    if (error != 0)
        return error;
    bind_user(store->statements[USER_UPDATE], user);
    error = sqlite_store_run(store->statements[USER_UPDATE]);
    return error != 0 || before == hash ? error : move_email(store, before, hash, user->row);
}

int sqlite_user_view(database_t *self, const user_t *user)
{
    return sqlite_late_put_views(store_of(self), user->row, user->view_count);
}

int sqlite_user_walk(database_t *self, text_t after, user_visit_t visit, void *context)
{
    sqlite_store_t *store = store_of(self);
    sqlite3_stmt *statement = store->statements[USER_WALK];
    user_t user = {0};
    int error = after.size > 0 ? sqlite_user_by_id(self, after, &user) : 0;
    if (error != 0)
        return error;
    sqlite_bind_int(statement, 1, user.row);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        read_user(store, statement, &user);
        if (!visit(context, &user))
            break;
    }
    sqlite_end(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}
