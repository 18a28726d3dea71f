/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_statement.h"

#include "storage/sqlite_file.h"

void sqlite_bind_text(sqlite3_stmt *statement, int parameter, text_t text)
{
    (void)sqlite3_bind_text(statement, parameter, text.size > 0 ? text.data : "", (int)text.size,
                            SQLITE_STATIC);
}

void sqlite_bind_bytes(sqlite3_stmt *statement, int parameter, text_t bytes)
{
    (void)sqlite3_bind_blob(statement, parameter, bytes.size > 0 ? bytes.data : "", (int)bytes.size,
                            SQLITE_STATIC);
}

void sqlite_bind_int(sqlite3_stmt *statement, int parameter, int64_t value)
{
    (void)sqlite3_bind_int64(statement, parameter, value);
}

text_t sqlite_column(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    return (text_t){data, (size_t)sqlite3_column_bytes(statement, column)};
}

void sqlite_end(sqlite3_stmt *statement)
{
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
}

int sqlite_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite_end(statement);
    return code;
}

int sqlite_read_number(sqlite3_stmt *statement, int64_t *out)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite_end(statement);
    return code == SQLITE_ROW ? 0 : sqlite_error(code);
}
