/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/errors.h"

enum { STEP_PAGES = 1000, VERSIONS_AT = 18 };

static int cannot(const char *to, const char *why, detail_t *detail)
{
    return detail_set(detail, ERR_STORE_UNAVAILABLE, "the backup '%.200s' cannot be made: %s", to,
                      why);
}

/* --- copying ---------------------------------------------------------------------------------- */

static int copy_pages(sqlite3 *from, sqlite3 *copy, backup_progress_t progress)
{
    /* An open snapshot keeps what others write from starting the copy again. */
    int code = sqlite3_exec(from, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", from, "main");
    code = backup != NULL ? SQLITE_OK : sqlite3_errcode(copy);
    while (code == SQLITE_OK) {
        code = sqlite3_backup_step(backup, STEP_PAGES);
        int all = sqlite3_backup_pagecount(backup);
        progress(all - sqlite3_backup_remaining(backup), all);
    }
    (void)sqlite3_backup_finish(backup);
    (void)sqlite3_exec(from, "ROLLBACK", NULL, NULL, NULL);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int copy(sqlite3 *from, const char *partial, backup_progress_t progress, detail_t *detail)
{
    sqlite3 *to = NULL;
    int code = sqlite3_open_v2(partial, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    /* Nobody reads it before it is whole and synced. */
    if (code == SQLITE_OK)
        code = sqlite3_exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL,
                            NULL);
    if (code == SQLITE_OK)
        code = copy_pages(from, to, progress);
    sqlite3_close(to);
    return code == SQLITE_OK ? 0 : cannot(partial, sqlite3_errstr(code), detail);
}

/* --- finishing -------------------------------------------------------------------------------- */

/* Takes the mark of a write-ahead log out of the file's head (bytes 18 and 19, "file format versions") and
 * syncs it. */
static int seal(const char *partial, detail_t *detail)
{
    static const char legacy[2] = {1, 1};
    int fd = open(partial, O_RDWR | O_CLOEXEC);
    bool done = fd >= 0 && pwrite(fd, legacy, sizeof(legacy), VERSIONS_AT) == sizeof(legacy) &&
                fsync(fd) == 0;
    int failure = errno;
    if (fd >= 0)
        close(fd);
    return done ? 0 : cannot(partial, strerror(failure), detail);
}

static int check(const char *partial, detail_t *detail)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_open_v2(partial, &connection, SQLITE_OPEN_READONLY, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(connection, "PRAGMA quick_check(1)", -1, &statement, NULL);
    bool well = code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
                sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return well ? 0
                : cannot(partial,
                         "the copy is damaged; userbus check --database tells whether the "
                         "database is",
                         detail);
}

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    must(folder != NULL);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    free(folder);
    return failed;
}

/* A link never replaces what is there. */
static int name_it(const char *partial, const char *to, detail_t *detail)
{
    if (link(partial, to) != 0)
        return cannot(to, strerror(errno), detail);
    unlink(partial);
    return sync_folder(to) == 0 ? 0 : cannot(to, strerror(errno), detail);
}

int sqlite_backup(sqlite3 *from, const char *to, backup_progress_t progress, detail_t *detail)
{
    char *partial = NULL;
    if (access(to, F_OK) == 0)
        return detail_set(detail, ERR_USAGE,
                          "'%.200s' is there already, and a backup overwrites nothing", to);
    must(asprintf(&partial, "%s.partial", to) > 0);
    int fd = open(partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        int error = errno == EEXIST ? detail_set(detail, ERR_USAGE,
                                                 "'%.200s' is there: another backup is at work, or "
                                                 "was broken off; then delete it",
                                                 partial)
                                    : cannot(to, strerror(errno), detail);
        free(partial);
        return error;
    }
    close(fd);
    int error = copy(from, partial, progress, detail);
    if (error == 0)
        error = seal(partial, detail);
    if (error == 0)
        error = check(partial, detail);
    if (error == 0)
        error = name_it(partial, to, detail);
    if (error != 0)
        unlink(partial);
    free(partial);
    return error;
}
