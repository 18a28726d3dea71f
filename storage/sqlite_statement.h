/* SPDX-License-Identifier: Apache-2.0
 * sqlite_statement.h - binding, running and reading prepared statements. A statement is reset as soon as
 * it has run: one that is left open would keep a commit from ending.
 */
#ifndef USERBUS_STORAGE_SQLITE_STATEMENT_H
#define USERBUS_STORAGE_SQLITE_STATEMENT_H

#include <sqlite3.h>
#include <stdint.h>

#include "proto/message.h" /* text_t */

/* Parameters count from 1. Texts and bytes are borrowed until the statement has ended; an empty one is
 * bound as such, not as NULL. */
void sqlite_bind_text(sqlite3_stmt *statement, int parameter, text_t text);
void sqlite_bind_bytes(sqlite3_stmt *statement, int parameter, text_t bytes);
void sqlite_bind_int(sqlite3_stmt *statement, int parameter, int64_t value);

/* A column of the row at hand, counted from 0; it lives until the next step or the end. NULL is empty. */
text_t sqlite_column(sqlite3_stmt *statement, int column);

/* Resets the statement and forgets what was bound. */
void sqlite_end(sqlite3_stmt *statement);

/* Runs a statement that gives no rows, and ends it: an SQLite result code, SQLITE_DONE when well. */
int sqlite_run(sqlite3_stmt *statement);

/* Runs a statement that gives one row with one number (NULL is 0), and ends it. 0 or an error of
 * sqlite_error. */
int sqlite_read_number(sqlite3_stmt *statement, int64_t *out) __attribute__((warn_unused_result));

#endif
