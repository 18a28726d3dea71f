/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/errors.h"

enum {
    BUSY_TIMEOUT_MS = 5000,
    OWNER_BUSY_TIMEOUT_MS = 1000, /* of a file's only writer: whoever waits for it waits as long */
    SQL_MAX_BYTES = 128,
    INDEX_REGION_BYTES = 32768, /* of the -shm file; it tells where 4096 frames of the log are */
    INDEX_REGIONS = WAL_FRAMES_MAX / 4096 + 2,
};

static const char scheme[] = "sqlite:";

/* An error that must not be retried was met, on whatever connection: what used it ends. */
static atomic_bool has_failed;

bool sqlite_url_path(const char *url, const char **path)
{
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0 || url[sizeof(scheme) - 1] == '\0')
        return false;
    *path = url + sizeof(scheme) - 1;
    return true;
}

static int bad_url(const sqlite_schema_t *schema, detail_t *detail)
{
    return detail_set(detail, ERR_DATABASE_OPEN,
                      "the URL of the %s must be sqlite:PATH, such as sqlite:userbus.db",
                      schema->what);
}

static int no_database(const char *path, const sqlite_schema_t *schema, const char *why,
                       detail_t *detail)
{
    return detail_set(detail, ERR_DATABASE_OPEN, "the %s '%.200s' cannot be opened: %s",
                      schema->what, path, why);
}

/* --- the lock of the process ------------------------------------------------------------------ */

/* An flock does not meet the fcntl locks of SQLite. The descriptor must stay open until SQLite has
 * closed its own, since closing any descriptor of a file drops the process's fcntl locks. */
static int lock_process(sqlite_file_t *self, const char *path, const sqlite_schema_t *schema,
                        detail_t *detail)
{
    self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0)
        return no_database(path, schema, strerror(errno), detail);
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return no_database(path, schema,
                           "another userbus process uses it; stop that one or give this one a "
                           "database of its own",
                           detail);
    return 0;
}

/* --- quotas ----------------------------------------------------------------------------------- */

/* Which SQLite would take for a failing disk: it knows a full one by ENOSPC alone. */
static ssize_t write_within_quota(int fd, const void *data, size_t size, off64_t at)
{
    ssize_t written = pwrite64(fd, data, size, at);
    if (written < 0 && errno == EDQUOT)
        errno = ENOSPC;
    return written;
}

static void mind_quotas(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    for (const char *const *name = (const char *const[]){"pwrite", "pwrite64", NULL}; *name; name++)
        (void)vfs->xSetSystemCall(vfs, *name, (sqlite3_syscall_ptr)write_within_quota);
}

/* --- version and kind ------------------------------------------------------------------------- */

/* A pragma's number. An SQLite result code. */
static int read_pragma(sqlite3 *connection, const char *name, int64_t *value)
{
    char sql[SQL_MAX_BYTES];
    sqlite3_stmt *statement = NULL;
    snprintf(sql, sizeof(sql), "PRAGMA %s", name);
    int code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* Gives the file's version; a file that holds nothing yet has version 0 and is of every kind. */
static int read_version(sqlite3 *connection, const char *path, const sqlite_schema_t *schema,
                        int64_t *version, detail_t *detail)
{
    int64_t kind = 0, objects = 0;
    sqlite3_stmt *statement = NULL;
    int code = read_pragma(connection, "user_version", version);
    if (code == SQLITE_OK)
        code = read_pragma(connection, "application_id", &kind);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(connection, "SELECT count(*) FROM sqlite_schema", -1, &statement,
                                  NULL);
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        objects = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    if (code != SQLITE_OK)
        return no_database(path, schema, sqlite3_errmsg(connection), detail);
    if (kind != schema->application_id && (objects > 0 || kind != 0))
        return no_database(path, schema,
                           "it holds something else; give this database a file of its own", detail);
    if (*version > schema->version)
        return no_database(path, schema, "a newer userbus made it; use that version", detail);
    return 0;
}

static int migrate(sqlite_file_t *self, const char *path, const sqlite_schema_t *schema,
                   detail_t *detail)
{
    int64_t version = 0;
    int code = sqlite_file_exec(self, "BEGIN IMMEDIATE");
    int error = code == SQLITE_OK
                    ? read_version(self->connection, path, schema, &version, detail)
                    : no_database(path, schema, sqlite3_errmsg(self->connection), detail);
    for (; error == 0 && code == SQLITE_OK && version < schema->version; version++)
        code = sqlite_file_exec(self, schema->migrations[version]);
    if (error == 0 && code == SQLITE_OK) {
        char sql[SQL_MAX_BYTES];
        snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                 (int)schema->application_id, schema->version);
        code = sqlite_file_exec(self, sql);
    }
    if (error == 0 && code != SQLITE_OK)
        error = no_database(path, schema, sqlite3_errmsg(self->connection), detail);
    if (error != 0 && sqlite3_get_autocommit(self->connection) == 0)
        sqlite_file_exec(self, "ROLLBACK");
    return error;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_connection(sqlite_file_t *self, const char *path, int flags,
                           const sqlite_schema_t *schema, detail_t *detail)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, mind_quotas) == 0);
    int code = sqlite3_open_v2(path, &self->connection, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return no_database(path, schema,
                           self->connection != NULL ? sqlite3_errmsg(self->connection)
                                                    : sqlite3_errstr(code),
                           detail);
    sqlite3_extended_result_codes(self->connection, 1);
    sqlite3_busy_timeout(self->connection, BUSY_TIMEOUT_MS);
    return 0;
}

#define SYNCED "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"

static int count_frames(void *argument, sqlite3 *connection, const char *name, int frames)
{
    sqlite_file_t *self = argument;
    (void)connection;
    (void)name;
    self->wal_frames = frames;
    return SQLITE_OK;
}

/* Moves and syncs all that the log holds and empties it; the file's head says why. With a full disk, or
 * beside a long reader, it goes on as it is: nothing failed that was reported as done. */
static int empty_log(sqlite_file_t *self, const char *path, const sqlite_schema_t *schema,
                     detail_t *detail)
{
    int code =
        sqlite3_wal_checkpoint_v2(self->connection, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (code == SQLITE_OK || sqlite_error(code) == ERR_STORE_UNAVAILABLE)
        return 0;
    return no_database(path, schema, sqlite3_errmsg(self->connection), detail);
}

/* The index of the log grows with it, and when it cannot (the disk is full) that shows in a commit
 * whose frames are already written: undone, and yet back if the process dies before the next one. So
 * it gets its size now. Without room there is no harm in trying. */
static void reserve_index(const sqlite_file_t *self)
{
    sqlite3_file *file = NULL;
    void volatile *region;
    int code = sqlite3_file_control(self->connection, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    for (int i = 0; code == SQLITE_OK && i < INDEX_REGIONS; i++)
        code = file->pMethods->xShmMap(file, i, INDEX_REGION_BYTES, 1, &region);
}

static int open_for_writing(sqlite_file_t *self, const char *path, const sqlite_schema_t *schema,
                            detail_t *detail)
{
    int error = schema->single_process ? lock_process(self, path, schema, detail) : 0;
    if (error == 0)
        error =
            open_connection(self, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, schema, detail);
    if (error != 0)
        return error;
    int64_t version = 0;
    error = read_version(self->connection, path, schema, &version, detail);
    if (error == 0 &&
        sqlite_file_exec(self, "PRAGMA journal_mode = WAL;" SYNCED "PRAGMA foreign_keys = ON;"
                               "PRAGMA journal_size_limit = 134217728;"
                               "PRAGMA cache_size = -16384") != SQLITE_OK)
        error = no_database(path, schema, sqlite3_errmsg(self->connection), detail);
    (void)sqlite3_wal_hook(self->connection, count_frames, self);
    if (error == 0)
        error = empty_log(self, path, schema, detail);
    /* What is up to date is not written, so that a full disk can be started on. */
    if (error == 0 && version < schema->version)
        error = migrate(self, path, schema, detail);
    if (error == 0)
        reserve_index(self);
    if (schema->single_process)
        sqlite3_busy_timeout(self->connection, OWNER_BUSY_TIMEOUT_MS);
    return error;
}

int sqlite_file_open(sqlite_file_t *out, const char *url, const sqlite_schema_t *schema,
                     detail_t *detail)
{
    const char *path;
    *out = (sqlite_file_t){.lock_fd = -1};
    if (!sqlite_url_path(url, &path))
        return bad_url(schema, detail);
    bool was_there = access(path, F_OK) == 0;
    int error = open_for_writing(out, path, schema, detail);
    if (error != 0) {
        sqlite_file_close(out);
        if (!was_there)
            unlink(path);
    }
    return error;
}

int sqlite_file_open_readonly(sqlite_file_t *out, const char *url, const sqlite_schema_t *schema,
                              detail_t *detail)
{
    const char *path;
    int64_t version = 0;
    *out = (sqlite_file_t){.lock_fd = -1};
    if (!sqlite_url_path(url, &path))
        return bad_url(schema, detail);
    int error = open_connection(out, path, SQLITE_OPEN_READONLY, schema, detail);
    if (error == 0)
        error = read_version(out->connection, path, schema, &version, detail);
    if (error == 0 && version != schema->version)
        error =
            no_database(path, schema, "it is not of this version yet; start userbus once", detail);
    if (error != 0)
        sqlite_file_close(out);
    return error;
}

int sqlite_file_open_beside(sqlite_file_t *out, const char *url, detail_t *detail)
{
    static const sqlite_schema_t any = {.what = "database"};
    const char *path;
    *out = (sqlite_file_t){.lock_fd = -1};
    if (!sqlite_url_path(url, &path))
        return bad_url(&any, detail);
    int error = open_connection(out, path, SQLITE_OPEN_READWRITE, &any, detail);
    if (error == 0 && sqlite_file_exec(out, SYNCED) != SQLITE_OK)
        error = no_database(path, &any, sqlite3_errmsg(out->connection), detail);
    if (error != 0)
        sqlite_file_close(out);
    return error;
}

/* The last connection that closes may fail to checkpoint: what is committed stays in the WAL. */
void sqlite_file_close(sqlite_file_t *self)
{
    if (atomic_load(&has_failed) && self->connection != NULL)
        (void)sqlite3_db_config(self->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    must(sqlite3_close(self->connection) == SQLITE_OK);
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    *self = (sqlite_file_t){.lock_fd = -1};
}

static int probe_folder(const char *path, const sqlite_schema_t *schema, detail_t *detail)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    must(folder != NULL);
    bool writable = access(folder, W_OK | X_OK) == 0;
    free(folder);
    if (!writable)
        return no_database(path, schema, "it does not exist and its folder cannot be written",
                           detail);
    return detail_set(detail, 0, "'%.200s' does not exist yet and will be created", path);
}

int sqlite_file_probe(const char *url, const sqlite_schema_t *schema, detail_t *detail)
{
    const char *path;
    int64_t version = 0;
    sqlite_file_t file = {.lock_fd = -1};
    if (!sqlite_url_path(url, &path))
        return bad_url(schema, detail);
    if (access(path, F_OK) != 0)
        return probe_folder(path, schema, detail);
    if (access(path, R_OK | W_OK) != 0)
        return no_database(path, schema, "it cannot be read and written by this user", detail);
    int error = open_connection(&file, path, SQLITE_OPEN_READONLY, schema, detail);
    if (error == 0)
        error = read_version(file.connection, path, schema, &version, detail);
    sqlite_file_close(&file);
    if (error != 0)
        return error;
    return detail_set(detail, 0, "'%.200s' can be opened, version %d of %d", path, (int)version,
                      schema->version);
}

/* --- in use ----------------------------------------------------------------------------------- */

int sqlite_file_prepare(const sqlite_file_t *self, const char *const *sql, size_t count,
                        sqlite3_stmt **out, detail_t *detail)
{
    for (size_t i = 0; i < count; i++)
        out[i] = NULL;
    for (size_t i = 0; i < count; i++) {
        if (sqlite3_prepare_v3(self->connection, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i],
                               NULL) == SQLITE_OK)
            continue;
        detail_set(detail, 0, "the database '%.200s' is damaged: %s",
                   sqlite3_db_filename(self->connection, "main"), sqlite3_errmsg(self->connection));
        sqlite_file_finalize(out, count);
        return ERR_DATABASE_OPEN;
    }
    return 0;
}

void sqlite_file_finalize(sqlite3_stmt **statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

int sqlite_file_exec(const sqlite_file_t *self, const char *sql)
{
    int code = sqlite3_exec(self->connection, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? code : sqlite3_extended_errcode(self->connection);
}

int sqlite_file_checkpoint(const sqlite_file_t *self, int *moved, bool *stuck)
{
    int in_log = 0;
    int code = sqlite3_wal_checkpoint_v2(self->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log,
                                         moved);
    *stuck = code != SQLITE_OK || *moved < in_log;
    *moved = *moved > 0 ? *moved : 0; /* -1 when it is not known */
    return code == SQLITE_OK || code == SQLITE_BUSY ? 0 : sqlite_error(code);
}

int sqlite_file_sync(const sqlite_file_t *self)
{
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(self->connection, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (code == SQLITE_OK)
        code = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    return code == SQLITE_OK ? 0 : sqlite_error(code);
}

int sqlite_file_tidy(sqlite_file_t *self, bool idle)
{
    int moved = 0;
    bool stuck = false;
    if (self->wal_frames == 0 || (!idle && self->wal_frames < CHECKPOINT_FRAMES))
        return 0;
    int error = sqlite_file_checkpoint(self, &moved, &stuck);
    if (!stuck)
        self->wal_frames = 0;
    return error;
}

/* What passes by itself, or with an operator's help, and leaves the file as it was committed. */
static const int passing[] = {
    SQLITE_FULL,          /* a short write, ENOSPC or EDQUOT, of the log or in a checkpoint */
    SQLITE_IOERR_SHMSIZE, /* the log's index cannot grow: the disk is full */
    SQLITE_IOERR_SHMMAP,  /* nor be mapped: memory */
    SQLITE_IOERR_NOMEM,   SQLITE_NOMEM,     SQLITE_BUSY,   SQLITE_LOCKED,
    SQLITE_PROTOCOL,      SQLITE_INTERRUPT, SQLITE_SCHEMA, SQLITE_PERM,
    SQLITE_READONLY,      SQLITE_CANTOPEN, /* no descriptor left for it */
};

int sqlite_error(int code)
{
    bool passes = false;
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        passes = passes || code == passing[i] || (code & 0xff) == passing[i];
    /* The file is no longer where it was: what is written goes nowhere. */
    passes = passes && code != SQLITE_READONLY_DBMOVED;
    if (!passes)
        atomic_store(&has_failed, true);
    return passes ? ERR_STORE_UNAVAILABLE : ERR_DATABASE_FATAL;
}

bool sqlite_has_failed(void)
{
    return atomic_load(&has_failed);
}
