/* SPDX-License-Identifier: Apache-2.0
 * sqlite_database.c - the store's database in one SQLite file: transactions, its log, its life.
 */
#include <stdlib.h>
#include <unistd.h>

#include "actors/store/sqlite_store.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "storage/sqlite_statement.h"

enum { LATE_RETRY_MS = 1000 };

int sqlite_store_run(sqlite3_stmt *statement)
{
    int code = sqlite_run(statement);
    return code == SQLITE_DONE ? 0 : sqlite_error(code);
}

/* --- transactions ----------------------------------------------------------------------------- */

static int begin(database_t *self)
{
    sqlite_store_t *store = store_of(self);
    int error = sqlite_store_run(store->statements[BEGIN]);
    store->writes = error == 0;
    if (error == 0)
        sqlite_late_begin(&store->late);
    return error;
}

static int begin_reading(database_t *self)
{
    return sqlite_store_run(store_of(self)->statements[BEGIN_READING]);
}

static void rollback(database_t *self)
{
    sqlite_store_t *store = store_of(self);
    /* Some errors have rolled it back already. */
    if (sqlite3_get_autocommit(store->file.connection) == 0)
        (void)sqlite_run(store->statements[ROLLBACK]);
    if (store->writes)
        sqlite_late_end(&store->late, false);
    store->writes = false;
}

static int commit(database_t *self)
{
    sqlite_store_t *store = store_of(self);
    int error = store->writes ? sqlite_late_write(store) : 0;
    if (error == 0)
        error = sqlite_store_run(store->statements[COMMIT]);
    if (error != 0)
        rollback(self);
    else if (store->writes)
        sqlite_late_end(&store->late, true);
    store->writes = false;
    return error;
}

/* --- the log ---------------------------------------------------------------------------------- */

static int move_log(sqlite_store_t *store, int64_t now_ms)
{
    int moved = 0;
    bool stuck = false;
    int error = sqlite_file_checkpoint(&store->file, &moved, &stuck);
    wal_keeper_moved(&store->log, store->log.round, moved, stuck, now_ms);
    return error;
}

/* What may pass waits a second before it is tried again: nobody waits for it. */
static int write_late(sqlite_store_t *store, int64_t now_ms, bool *more)
{
    if (now_ms < store->late_retry_ms)
        return 0;
    int error = sqlite_late_tidy(store, false, more);
    if (error == 0)
        return 0;
    store->late_retry_ms = now_ms + LATE_RETRY_MS;
    *more = false;
    return error;
}

static int tidy(database_t *self, bool idle, bool *more, bool *asks,
                msg_checkpoint_request_t *request)
{
    sqlite_store_t *store = store_of(self);
    int64_t now_ms = clock_mono_ms();
    *asks = *more = false;
    int error = idle ? write_late(store, now_ms, more) : 0;
    if (error != 0)
        return error;
    wal_keeper_committed(&store->log, store->file.wal_frames);
    if (wal_keeper_alarm(&store->log))
        log_event(LOG_WARN, "store", "log_is_large", LOG_INT("frames", store->log.frames),
                  LOG_INT("moved", store->log.moved),
                  LOG_STR("detail", "a long reader of the database or a slow disk: its -wal file "
                                    "grows until that passes"));
    wal_action_t action = wal_keeper_next(&store->log, request == NULL, idle, now_ms);
    *asks = action == WAL_ASK && request != NULL;
    if (*asks)
        request->round = store->log.round;
    return action == WAL_MOVE ? move_log(store, now_ms) : 0;
}

static void tidied(database_t *self, const msg_checkpoint_done_t *done)
{
    wal_keeper_moved(&store_of(self)->log, done->round, (int)done->moved, done->stuck != 0,
                     clock_mono_ms());
}

/* --- life ------------------------------------------------------------------------------------- */

/* So that the next start has nothing to take up; what cannot be written now is taken up then. */
static void write_all(sqlite_store_t *store)
{
    bool more = store->late.on && !sqlite_has_failed();
    while (more)
        if (sqlite_late_tidy(store, true, &more) != 0)
            return;
}

static void free_store(sqlite_store_t *store)
{
    sqlite_file_finalize(store->statements, STATEMENT_COUNT);
    sqlite_file_close(&store->file);
    sqlite_late_close(&store->late);
    free(store);
}

static void close_store(database_t *self)
{
    write_all(store_of(self));
    free_store(store_of(self));
}

typedef int (*open_file_t)(sqlite_file_t *out, const char *url, const sqlite_schema_t *schema,
                           detail_t *detail);

static int open_by(open_file_t open_file, bool writes, database_t **out, const char *url,
                   detail_t *detail)
{
    sqlite_store_t *store = calloc(1, sizeof(*store));
    must(store != NULL);
    store->super.class = &sqlite_database;
    store->late.on = writes;
    int error = open_file(&store->file, url, &users_schema, detail);
    if (error == 0)
        must(email_hash_add(store->file.connection) == SQLITE_OK);
    if (error == 0)
        error = sqlite_file_prepare(&store->file, users_statements, STATEMENT_COUNT,
                                    store->statements, detail);
    if (error == 0 && sqlite_late_open(store) != 0)
        error =
            detail_set(detail, ERR_DATABASE_OPEN,
                       "the users' database cannot be read and its index brought up to date: %s",
                       sqlite3_errmsg(store->file.connection));
    if (error != 0) {
        free_store(store);
        return error;
    }
    *out = &store->super;
    return 0;
}

static int open_store(database_t **out, const char *url, detail_t *detail)
{
    return open_by(sqlite_file_open, true, out, url, detail);
}

static int open_store_readonly(database_t **out, const char *url, detail_t *detail)
{
    const char *path;
    if (sqlite_url_path(url, &path) && access(path, F_OK) != 0)
        return detail_set(detail, ERR_DATABASE_OPEN,
                          "the users' database '%.200s' does not exist; start the service first "
                          "(userbus runserver), or set DATABASE_URL to its",
                          path);
    return open_by(sqlite_file_open_readonly, false, out, url, detail);
}

static int probe_store(const char *url, detail_t *detail)
{
    return sqlite_file_probe(url, &users_schema, detail);
}

const database_class_t sqlite_database = {
    .scheme = "sqlite:",
    .open = open_store,
    .open_readonly = open_store_readonly,
    .close = close_store,
    .probe = probe_store,
    .begin = begin,
    .begin_reading = begin_reading,
    .commit = commit,
    .rollback = rollback,
    .user_by_id = sqlite_user_by_id,
    .user_by_email = sqlite_user_by_email,
    .user_insert = sqlite_user_insert,
    .user_update = sqlite_user_update,
    .user_view = sqlite_user_view,
    .user_walk = sqlite_user_walk,
    .event_append = sqlite_event_append,
    .event_walk = sqlite_event_walk,
    .event_trim = sqlite_event_trim,
    .parked_append = sqlite_parked_append,
    .parked_walk = sqlite_parked_walk,
    .parked_trim = sqlite_parked_trim,
    .unparked_save = sqlite_unparked_save,
    .stray_walk = sqlite_stray_walk,
    .lane_walk = sqlite_lane_walk,
    .lane_save = sqlite_lane_save,
    .lane_delete = sqlite_lane_delete,
    .positions_load = sqlite_positions_load,
    .positions_save = sqlite_positions_save,
    .tidy = tidy,
    .tidied = tidied,
};
