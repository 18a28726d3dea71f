/* SPDX-License-Identifier: Apache-2.0
 * sqlite_audit.h - looks through a whole database for what is wrong with it, beside the process that uses
 * it: SQLite's own check of the file, then rules of what its rows must keep to.
 *
 * All of it is one snapshot. Meanwhile the database's log can only grow.
 */
#ifndef USERBUS_STORAGE_SQLITE_AUDIT_H
#define USERBUS_STORAGE_SQLITE_AUDIT_H

#include <sqlite3.h>
#include <stddef.h>

#include "pipeline/actor.h" /* detail_t */
#include "storage/sqlite_file.h"

typedef struct sqlite_audit {
    const sqlite_schema_t *schema; /* what the rules are for */
    const char *const *rules; /* queries, each row of which is a text that says what is wrong */
    size_t rule_count;
    void (*add_functions)(sqlite3 *connection); /* that the rules call; NULL: none */
} sqlite_audit_t;

enum { AUDIT_ROWS_MAX = 20 }; /* told of one rule */

/* Called for each finding. */
typedef void (*audit_finding_t)(void *context, const char *finding);

/* 0: it was looked through, *findings being their number. ERR_DATABASE_OPEN: it is not there or of
 * another kind or version. ERR_STORE_UNAVAILABLE: it could not be read to its end. *detail says what to do. */
int sqlite_audit(const sqlite_audit_t *self, const char *url, audit_finding_t tell, void *context,
                 int *findings, detail_t *detail) __attribute__((warn_unused_result));

/* Opens the file of "sqlite:PATH" for looking, if it is of that kind, of whatever version.
 * ERR_DATABASE_OPEN; *out is NULL then. */
int sqlite_open_to_look(sqlite3 **out, const char *url, const sqlite_schema_t *schema,
                        detail_t *detail) __attribute__((warn_unused_result));

#endif
