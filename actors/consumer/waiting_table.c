/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/waiting_table.h"

#include <stdlib.h>

#include "proto/errors.h"
#include "storage/sqlite_statement.h"

typedef enum statement { ADD, FAILED, SETTLE, REMOVE, READ, WALK, STATEMENT_COUNT } statement_t;

static const char *const statements[STATEMENT_COUNT] = {
    [ADD] =
        "INSERT INTO waiting (queue, user_key, message_id, kind, sequence, arrived_us, attempts,"
        " first_failed_us, next_try_us, is_dead, error, reason, properties, body)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [FAILED] = "UPDATE waiting SET attempts = ?2, first_failed_us = ?3, next_try_us = ?4,"
               " is_dead = ?5, error = ?6, reason = ?7 WHERE row = ?1",
    [SETTLE] = "UPDATE inbox SET outcome = ?2"
               " WHERE message_id = (SELECT message_id FROM waiting WHERE row = ?1)",
    [REMOVE] = "DELETE FROM waiting WHERE row = ?1",
    [READ] = "SELECT row, kind, sequence, arrived_us, attempts, first_failed_us, next_try_us,"
             " is_dead, user_key, message_id, error, reason, properties, body"
             " FROM waiting WHERE row = ?1",
    [WALK] = "SELECT row, kind, sequence, arrived_us, attempts, first_failed_us, next_try_us,"
             " is_dead, user_key FROM waiting WHERE queue = ?1 ORDER BY row",
};

enum { TEXTS_AT = 8, TEXT_COUNT = 6 }; /* columns of READ */

struct waiting_table {
    const sqlite_file_t *file;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    text_t queue;
    text_buffer_t read; /* the texts of the row that was read last */
};

static int run(sqlite3_stmt *statement)
{
    int code = sqlite_run(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

int waiting_table_add(waiting_table_t *self, const waiting_event_t *event, int64_t *row)
{
    sqlite3_stmt *statement = self->statements[ADD];
    sqlite_bind_text(statement, 1, self->queue);
    sqlite_bind_text(statement, 2, event->user_key);
    sqlite_bind_text(statement, 3, event->message_id);
    sqlite_bind_int(statement, 4, event->kind);
    sqlite_bind_int(statement, 5, event->sequence);
    sqlite_bind_int(statement, 6, event->arrived_us);
    sqlite_bind_int(statement, 7, event->attempts);
    sqlite_bind_int(statement, 8, event->first_failed_us);
    sqlite_bind_int(statement, 9, event->next_try_us);
    sqlite_bind_int(statement, 10, event->is_dead);
    sqlite_bind_text(statement, 11, event->error);
    sqlite_bind_text(statement, 12, event->reason);
    sqlite_bind_bytes(statement, 13, event->properties);
    sqlite_bind_bytes(statement, 14, event->body);
    int error = run(statement);
    *row = sqlite3_last_insert_rowid(self->file->connection);
    return error;
}

int waiting_table_failed(waiting_table_t *self, const waiting_event_t *event)
{
    sqlite3_stmt *statement = self->statements[FAILED];
    sqlite_bind_int(statement, 1, event->row);
    sqlite_bind_int(statement, 2, event->attempts);
    sqlite_bind_int(statement, 3, event->first_failed_us);
    sqlite_bind_int(statement, 4, event->next_try_us);
    sqlite_bind_int(statement, 5, event->is_dead);
    sqlite_bind_text(statement, 6, event->error);
    sqlite_bind_text(statement, 7, event->reason);
    return run(statement);
}

int waiting_table_remove(waiting_table_t *self, int64_t row, inbox_outcome_t outcome)
{
    sqlite_bind_int(self->statements[SETTLE], 1, row);
    sqlite_bind_int(self->statements[SETTLE], 2, outcome);
    int error = run(self->statements[SETTLE]);
    if (error != 0)
        return error;
    sqlite_bind_int(self->statements[REMOVE], 1, row);
    return run(self->statements[REMOVE]);
}

static waiting_event_t read_numbers(sqlite3_stmt *statement)
{
    return (waiting_event_t){
        .row = sqlite3_column_int64(statement, 0),
        .kind = sqlite3_column_int(statement, 1),
        .sequence = sqlite3_column_int64(statement, 2),
        .arrived_us = sqlite3_column_int64(statement, 3),
        .attempts = sqlite3_column_int64(statement, 4),
        .first_failed_us = sqlite3_column_int64(statement, 5),
        .next_try_us = sqlite3_column_int64(statement, 6),
        .is_dead = sqlite3_column_int64(statement, 7) != 0,
    };
}

/* Copied, so that no statement stays open. */
static void read_texts(waiting_table_t *self, sqlite3_stmt *statement, waiting_event_t *out)
{
    text_t *const texts[TEXT_COUNT] = {&out->user_key, &out->message_id, &out->error,
                                       &out->reason,   &out->properties, &out->body};
    text_buffer_clear(&self->read);
    for (int i = 0; i < TEXT_COUNT; i++) {
        *texts[i] = sqlite_column(statement, TEXTS_AT + i);
        text_add(&self->read, *texts[i]);
    }
    const char *at = self->read.data;
    for (int i = 0; i < TEXT_COUNT; i++) {
        texts[i]->data = at;
        at += texts[i]->size;
    }
}

int waiting_table_read(waiting_table_t *self, int64_t row, waiting_event_t *out)
{
    sqlite3_stmt *statement = self->statements[READ];
    sqlite_bind_int(statement, 1, row);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *out = read_numbers(statement);
        read_texts(self, statement, out);
    }
    sqlite_end(statement);
    if (code == SQLITE_DONE)
        return ERR_INTERNAL;
    return code == SQLITE_ROW ? 0 : sqlite_error(code);
}

int waiting_table_walk(waiting_table_t *self, waiting_visit_t visit, void *context)
{
    sqlite3_stmt *statement = self->statements[WALK];
    sqlite_bind_text(statement, 1, self->queue);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        waiting_event_t event = read_numbers(statement);
        event.user_key = sqlite_column(statement, TEXTS_AT);
        visit(context, &event);
    }
    sqlite_end(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

int waiting_table_open(waiting_table_t **out, inbox_database_t *database, const char *queue,
                       detail_t *detail)
{
    waiting_table_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->file = inbox_database_file(database);
    self->queue = text_of(queue);
    int error =
        sqlite_file_prepare(self->file, statements, STATEMENT_COUNT, self->statements, detail);
    if (error != 0)
        waiting_table_close(&self);
    *out = self;
    return error;
}

void waiting_table_close(waiting_table_t **self)
{
    waiting_table_t *table = *self;
    if (table == NULL)
        return;
    *self = NULL;
    sqlite_file_finalize(table->statements, STATEMENT_COUNT);
    text_buffer_fini(&table->read);
    free(table);
}
