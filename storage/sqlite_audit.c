/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_audit.h"

#include "proto/errors.h"

enum { LOOK_BUSY_TIMEOUT_MS = 5000 };

static int read_pragma(sqlite3 *connection, const char *sql, int *value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    *value = code == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

int sqlite_open_to_look(sqlite3 **out, const char *url, const sqlite_schema_t *schema,
                        detail_t *detail)
{
    const char *path, *why = NULL;
    int id = 0;
    *out = NULL;
    if (!sqlite_url_path(url, &path))
        return detail_set(detail, ERR_DATABASE_OPEN,
                          "the URL of the %s must be sqlite:PATH, such as sqlite:userbus.db",
                          schema->what);
    int code = sqlite3_open_v2(path, out, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(*out, LOOK_BUSY_TIMEOUT_MS);
        code = read_pragma(*out, "PRAGMA application_id", &id);
    }
    if (code != SQLITE_OK)
        why = sqlite3_errmsg(*out);
    else if (id != schema->application_id)
        why = "it holds something else";
    if (why == NULL)
        return 0;
    detail_set(detail, ERR_DATABASE_OPEN, "the %s '%.200s' cannot be read: %s", schema->what, path,
               why);
    sqlite3_close(*out);
    *out = NULL;
    return ERR_DATABASE_OPEN;
}

/* Runs one query whose rows are findings, but for the text "ok". An SQLite result code. */
static int run_rule(sqlite3 *connection, const char *sql, audit_finding_t tell, void *context,
                    int *findings)
{
    sqlite3_stmt *statement = NULL;
    int told = 0;
    int code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    while (code == SQLITE_OK && told < AUDIT_ROWS_MAX &&
           (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        code = SQLITE_OK;
        if (text != NULL && sqlite3_stricmp(text, "ok") == 0)
            continue;
        tell(context, text != NULL ? text : "a row that cannot be shown");
        told++;
    }
    *findings += told;
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* A damaged file ends a query with an error, which is a finding too. */
static int is_damage(int code)
{
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB ||
           (code & 0xff) == SQLITE_ERROR;
}

/* The rules speak of the tables of one version. */
static int check_version(const sqlite_schema_t *schema, sqlite3 *connection, detail_t *detail)
{
    int version;
    int code = read_pragma(connection, "PRAGMA user_version", &version);
    if (code == SQLITE_OK && version == schema->version)
        return 0;
    if (code != SQLITE_OK)
        return detail_set(detail, ERR_DATABASE_OPEN, "the %s cannot be read: %s", schema->what,
                          sqlite3_errmsg(connection));
    return detail_set(detail, ERR_DATABASE_OPEN,
                      "the %s has version %d, and this userbus looks through version %d: %s",
                      schema->what, version, schema->version,
                      version < schema->version ? "start it once, which brings the file up to date"
                                                : "use the one that made it");
}

static int run_all(const sqlite_audit_t *self, sqlite3 *connection, audit_finding_t tell,
                   void *context, int *findings)
{
    int code = sqlite3_exec(connection, "BEGIN", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = run_rule(connection, "PRAGMA integrity_check(20)", tell, context, findings);
    for (size_t i = 0; i < self->rule_count && code == SQLITE_OK; i++)
        code = run_rule(connection, self->rules[i], tell, context, findings);
    if (!is_damage(code))
        return code;
    tell(context, sqlite3_errmsg(connection));
    ++*findings;
    return SQLITE_OK;
}

int sqlite_audit(const sqlite_audit_t *self, const char *url, audit_finding_t tell, void *context,
                 int *findings, detail_t *detail)
{
    sqlite3 *connection = NULL;
    *findings = 0;
    int error = sqlite_open_to_look(&connection, url, self->schema, detail);
    if (error != 0)
        return error;
    error = check_version(self->schema, connection, detail);
    if (error != 0) {
        sqlite3_close(connection);
        return error;
    }
    if (self->add_functions != NULL)
        self->add_functions(connection);
    int code = run_all(self, connection, tell, context, findings);
    if (code != SQLITE_OK)
        error = detail_set(detail, ERR_STORE_UNAVAILABLE,
                           "the %s could not be read to its end (%s): check the disk, try again",
                           self->schema->what, sqlite3_errmsg(connection));
    sqlite3_close(connection);
    return error;
}
