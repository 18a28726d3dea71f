/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/inbox_lookup.h"

#include <stdlib.h>

#include "proto/errors.h"
#include "proto/uuid7.h"
#include "storage/sqlite_statement.h"

struct inbox_lookup {
    inbox_database_t *database;
    sqlite3_stmt *statement;
};

int inbox_lookup_open(inbox_lookup_t **out, const char *url, detail_t *detail)
{
    static const char *const sql[] = {"SELECT outcome FROM inbox WHERE message_id = ?1"};
    inbox_lookup_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    int error = inbox_database_open_readonly(&self->database, url, detail);
    if (error == 0)
        error = sqlite_file_prepare(inbox_database_file(self->database), sql, 1, &self->statement,
                                    detail);
    if (error != 0)
        inbox_lookup_close(&self);
    *out = self;
    return error;
}

void inbox_lookup_close(inbox_lookup_t **self)
{
    inbox_lookup_t *lookup = *self;
    if (lookup == NULL)
        return;
    *self = NULL;
    sqlite_file_finalize(&lookup->statement, 1);
    inbox_database_close(&lookup->database);
    free(lookup);
}

int inbox_lookup(inbox_lookup_t *self, const uint8_t id[ID_BYTES], int *outcome)
{
    char text[UUID_TEXT_SIZE];
    uuid_text(text, id);
    sqlite_bind_text(self->statement, 1, text_of(text));
    int code = sqlite3_step(self->statement);
    *outcome = code == SQLITE_ROW ? sqlite3_column_int(self->statement, 0) : -1;
    sqlite_end(self->statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}
