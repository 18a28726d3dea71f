/* SPDX-License-Identifier: Apache-2.0
 * sqlite_database.c - the store's database in one SQLite file.
 *
 * Every statement is prepared once, and each is one row of a table; what a call binds and reads is
 * beside it. Ids of users grow with time (UUIDv7), so their index is appended to like the tables.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/store/database.h"
#include "actors/store/sqlite_schema.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "storage/sqlite_file.h"
#include "storage/sqlite_statement.h"
#include "storage/wal_keeper.h"

enum { LOW_ROW = PARTITION_COUNT }; /* of the table position: saved_positions_t.low */

#define USER_COLUMNS                                                                               \
    "row, id, email, email_key, first_name, last_name, view_count, is_valid, version, sequence, "  \
    "created_us, updated_us"
#define EVENT_COLUMNS "position, " PARKED_COLUMNS
#define PARKED_COLUMNS                                                                             \
    "partition, kind, sequence, user_id, id, created_us, request_id, traceparent, tracestate, "    \
    "body"
#define STRAY_COLUMNS "id, kind, partition, created_us"
#define LANE_COLUMNS  "user_id, state, tries, failures, reason, since_us, next_try_us, closed_at"
/* As event_bytes counts them. */
#define PARKED_BYTES                                                                               \
    "length(body) + length(CAST(request_id AS BLOB)) + length(CAST(traceparent AS BLOB))"          \
    " + length(CAST(tracestate AS BLOB))"

typedef enum statement {
    BEGIN,
    BEGIN_READING,
    COMMIT,
    ROLLBACK,
    USER_BY_ID,
    USER_BY_EMAIL,
    USER_INSERT,
    USER_UPDATE,
    USER_WALK,
    EVENT_APPEND,
    EVENT_WALK,
    EVENT_TRIM,
    EVENT_FIRST,
    EVENT_LAST,
    PARKED_APPEND,
    PARKED_WALK,
    PARKED_TRIM,
    UNPARKED_SAVE,
    UNPARKED_TRIM,
    STRAY_WALK,
    LANE_WALK,
    LANE_SAVE,
    LANE_DELETE,
    POSITION_WALK,
    POSITION_SAVE,
    STATEMENT_COUNT
} statement_t;

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [BEGIN_READING] = "BEGIN",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [USER_BY_ID] = "SELECT " USER_COLUMNS " FROM user WHERE id = ?1",
    [USER_BY_EMAIL] = "SELECT " USER_COLUMNS " FROM user WHERE email_key = ?1",
    [USER_INSERT] = "INSERT INTO user (" USER_COLUMNS ")"
                    " VALUES (NULL, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [USER_UPDATE] = "UPDATE user SET email = ?3, email_key = ?4, first_name = ?5, last_name = ?6,"
                    " view_count = ?7, is_valid = ?8, version = ?9, sequence = ?10,"
                    " updated_us = ?12 WHERE row = ?1",
    [USER_WALK] = "SELECT " USER_COLUMNS " FROM user WHERE row > ?1 ORDER BY row",
    [EVENT_APPEND] = "INSERT INTO event (" EVENT_COLUMNS ")"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [EVENT_WALK] = "SELECT " EVENT_COLUMNS " FROM event WHERE position > ?1 ORDER BY position",
    [EVENT_TRIM] = "DELETE FROM event WHERE position <= ?1 AND created_us < ?2",
    [EVENT_FIRST] = "SELECT min(position) FROM event",
    [EVENT_LAST] = "SELECT max(position) FROM event",
    [PARKED_APPEND] = "INSERT OR IGNORE INTO parked (" PARKED_COLUMNS ")"
                      " VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [PARKED_WALK] = "SELECT 1, " PARKED_COLUMNS " FROM parked WHERE user_id = ?1 ORDER BY sequence",
    [PARKED_TRIM] = "DELETE FROM parked WHERE user_id = ?1 AND sequence <= ?2",
    [UNPARKED_SAVE] = "INSERT OR REPLACE INTO unparked (" STRAY_COLUMNS ", fate, position)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [UNPARKED_TRIM] = "DELETE FROM unparked WHERE id IN (SELECT id FROM unparked"
                      " WHERE created_us < ?2 AND position <= ?1 LIMIT ?3)",
    [STRAY_WALK] = "SELECT " STRAY_COLUMNS ", 0, 0 FROM parked UNION ALL"
                   " SELECT " STRAY_COLUMNS ", fate, position FROM unparked"
                   " WHERE id NOT IN (SELECT id FROM parked) ORDER BY 1",
    [LANE_WALK] = "SELECT " LANE_COLUMNS ","
                  " (SELECT count(*) FROM parked WHERE parked.user_id = parked_lane.user_id),"
                  " (SELECT sum(" PARKED_BYTES ") FROM parked"
                  "  WHERE parked.user_id = parked_lane.user_id)"
                  " FROM parked_lane",
    [LANE_SAVE] = "INSERT OR REPLACE INTO parked_lane (" LANE_COLUMNS ")"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [LANE_DELETE] = "DELETE FROM parked_lane WHERE user_id = ?1",
    [POSITION_WALK] = "SELECT partition, confirmed FROM position",
    [POSITION_SAVE] = "INSERT OR REPLACE INTO position (partition, confirmed) VALUES (?1, ?2)",
};

typedef struct sqlite_store {
    database_t super;
    sqlite_file_t file;
    wal_keeper_t log;
    sqlite3_stmt *statements[STATEMENT_COUNT];
} sqlite_store_t;

static sqlite_store_t *store_of(database_t *self)
{
    return (sqlite_store_t *)self;
}

/* --- running statements ----------------------------------------------------------------------- */

/* Runs a statement that gives no rows. */
static int run(sqlite3_stmt *statement)
{
    int code = sqlite_run(statement);
    if (code == SQLITE_DONE)
        return 0;
    return code == SQLITE_CONSTRAINT_UNIQUE ? ERR_EMAIL_TAKEN : sqlite_error(code);
}

static void copy_text(char *to, size_t size, text_t from)
{
    size_t length = from.size < size ? from.size : size - 1;
    if (length > 0)
        memcpy(to, from.data, length);
    to[length] = '\0';
}

/* --- users ------------------------------------------------------------------------------------ */

static void read_user(sqlite3_stmt *statement, user_t *out)
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
    out->view_count = sqlite3_column_int64(statement, 6);
    out->is_valid = sqlite3_column_int64(statement, 7) != 0;
    out->version = sqlite3_column_int64(statement, 8);
    out->sequence = sqlite3_column_int64(statement, 9);
    out->created_us = sqlite3_column_int64(statement, 10);
    out->updated_us = sqlite3_column_int64(statement, 11);
}

static void bind_user(sqlite3_stmt *statement, const user_t *user)
{
    sqlite_bind_int(statement, 1, user->row);
    sqlite_bind_bytes(statement, 2, (text_t){(const char *)user->id, ID_BYTES});
    sqlite_bind_text(statement, 3, text_of(user->email));
    sqlite_bind_text(statement, 4, text_of(user->email_key));
    sqlite_bind_text(statement, 5, text_of(user->first_name));
    sqlite_bind_text(statement, 6, text_of(user->last_name));
    sqlite_bind_int(statement, 7, user->view_count);
    sqlite_bind_int(statement, 8, user->is_valid);
    sqlite_bind_int(statement, 9, user->version);
    sqlite_bind_int(statement, 10, user->sequence);
    sqlite_bind_int(statement, 11, user->created_us);
    sqlite_bind_int(statement, 12, user->updated_us);
}

static int find_user(sqlite3_stmt *statement, user_t *out)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        read_user(statement, out);
    sqlite_end(statement);
    if (code == SQLITE_ROW)
        return 0;
    return code == SQLITE_DONE ? ERR_USER_NOT_FOUND : sqlite_error(code);
}

static int user_by_id(database_t *self, text_t id, user_t *out)
{
    sqlite3_stmt *statement = store_of(self)->statements[USER_BY_ID];
    sqlite_bind_bytes(statement, 1, id);
    return find_user(statement, out);
}

static int user_by_email(database_t *self, text_t email_key, user_t *out)
{
    sqlite3_stmt *statement = store_of(self)->statements[USER_BY_EMAIL];
    sqlite_bind_text(statement, 1, email_key);
    return find_user(statement, out);
}

static int user_insert(database_t *self, user_t *user)
{
    sqlite_store_t *store = store_of(self);
    bind_user(store->statements[USER_INSERT], user);
    int error = run(store->statements[USER_INSERT]);
    if (error == 0)
        user->row = sqlite3_last_insert_rowid(store->file.connection);
    return error;
}

static int user_update(database_t *self, const user_t *user)
{
    sqlite3_stmt *statement = store_of(self)->statements[USER_UPDATE];
    bind_user(statement, user);
    return run(statement);
}

static int user_walk(database_t *self, text_t after, user_visit_t visit, void *context)
{
    sqlite3_stmt *statement = store_of(self)->statements[USER_WALK];
    user_t user = {0};
    int error = after.size > 0 ? user_by_id(self, after, &user) : 0;
    if (error != 0)
        return error;
    sqlite_bind_int(statement, 1, user.row);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        read_user(statement, &user);
        if (!visit(context, &user))
            break;
    }
    sqlite_end(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}

/* --- events ----------------------------------------------------------------------------------- */

/* All but the position, which is the first. */
static void bind_event(sqlite3_stmt *statement, const msg_event_t *event)
{
    sqlite_bind_int(statement, 2, event->partition);
    sqlite_bind_int(statement, 3, event->kind);
    sqlite_bind_int(statement, 4, event->sequence);
    sqlite_bind_bytes(statement, 5, event->user_id);
    sqlite_bind_bytes(statement, 6, event->id);
    sqlite_bind_int(statement, 7, event->created_us);
    sqlite_bind_text(statement, 8, event->request_id);
    sqlite_bind_text(statement, 9, event->traceparent);
    sqlite_bind_text(statement, 10, event->tracestate);
    sqlite_bind_bytes(statement, 11, event->body);
}

static int event_append(database_t *self, const msg_event_t *event)
{
    sqlite3_stmt *statement = store_of(self)->statements[EVENT_APPEND];
    sqlite_bind_int(statement, 1, event->position);
    bind_event(statement, event);
    return run(statement);
}

static msg_event_t read_event(sqlite3_stmt *statement)
{
    return (msg_event_t){.position = sqlite3_column_int64(statement, 0),
                         .partition = sqlite3_column_int64(statement, 1),
                         .kind = sqlite3_column_int64(statement, 2),
                         .sequence = sqlite3_column_int64(statement, 3),
                         .user_id = sqlite_column(statement, 4),
                         .id = sqlite_column(statement, 5),
                         .created_us = sqlite3_column_int64(statement, 6),
                         .request_id = sqlite_column(statement, 7),
                         .traceparent = sqlite_column(statement, 8),
                         .tracestate = sqlite_column(statement, 9),
                         .body = sqlite_column(statement, 10)};
}

/* What stands in the file may have been written by anybody. */
static bool event_is_well(const msg_event_t *event)
{
    const message_info_t *info = &message_infos[MSG_event];
    for (size_t i = 0; i < info->field_count; i++) {
        const field_info_t *field = &info->fields[i];
        const char *at = (const char *)event + field->offset;
        int64_t value = field->type == FIELD_INT
                            ? *(const int64_t *)(const void *)at
                            : (int64_t)((const text_t *)(const void *)at)->size;
        if (value < field->lo || value > field->hi)
            return false;
    }
    return true;
}

/* The statement's parameters are bound. */
static int walk_events(sqlite3_stmt *statement, event_visit_t visit, void *context)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const msg_event_t event = read_event(statement);
        if (!event_is_well(&event)) {
            code = SQLITE_CORRUPT;
            break;
        }
        if (!visit(context, &event))
            break;
    }
    sqlite_end(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}

static int event_walk(database_t *self, int64_t after, event_visit_t visit, void *context)
{
    sqlite3_stmt *statement = store_of(self)->statements[EVENT_WALK];
    sqlite_bind_int(statement, 1, after);
    return walk_events(statement, visit, context);
}

static int trim(sqlite_store_t *store, sqlite3_stmt *statement, int64_t up_to,
                int64_t older_than_us, int *deleted)
{
    sqlite_bind_int(statement, 1, up_to);
    sqlite_bind_int(statement, 2, older_than_us);
    int error = run(statement);
    *deleted = error == 0 ? sqlite3_changes(store->file.connection) : 0;
    return error;
}

/* What is known of an event outlives its rows in the log, which would look like others otherwise. */
static int event_trim(database_t *self, int64_t up_to, int64_t older_than_us, int most,
                      int *deleted)
{
    sqlite_store_t *store = store_of(self);
    int64_t first = 0;
    *deleted = 0;
    int error = sqlite_read_number(store->statements[EVENT_FIRST], &first);
    if (error == 0 && first != 0 && first <= up_to) {
        int64_t last = first + most - 1 < up_to ? first + most - 1 : up_to;
        error = trim(store, store->statements[EVENT_TRIM], last, older_than_us, deleted);
    }
    if (error != 0 || *deleted > 0)
        return error;
    sqlite_bind_int(store->statements[UNPARKED_TRIM], 3, most);
    return trim(store, store->statements[UNPARKED_TRIM], up_to, older_than_us, deleted);
}

/* --- parked lanes ----------------------------------------------------------------------------- */

static void bind_user_id(sqlite3_stmt *statement, const uint8_t user_id[ID_BYTES])
{
    sqlite_bind_bytes(statement, 1, (text_t){(const char *)user_id, ID_BYTES});
}

static int parked_append(database_t *self, const msg_event_t *event, bool *is_new)
{
    sqlite_store_t *store = store_of(self);
    bind_event(store->statements[PARKED_APPEND], event);
    int error = run(store->statements[PARKED_APPEND]);
    *is_new = error == 0 && sqlite3_changes(store->file.connection) > 0;
    return error;
}

static int parked_walk(database_t *self, const uint8_t user_id[ID_BYTES], event_visit_t visit,
                       void *context)
{
    sqlite3_stmt *statement = store_of(self)->statements[PARKED_WALK];
    bind_user_id(statement, user_id);
    return walk_events(statement, visit, context);
}

static int parked_trim(database_t *self, const uint8_t user_id[ID_BYTES], int64_t up_to)
{
    sqlite3_stmt *statement = store_of(self)->statements[PARKED_TRIM];
    bind_user_id(statement, user_id);
    sqlite_bind_int(statement, 2, up_to);
    return run(statement);
}

static int unparked_save(database_t *self, const msg_event_t *event, stray_fate_t fate)
{
    sqlite3_stmt *statement = store_of(self)->statements[UNPARKED_SAVE];
    sqlite_bind_bytes(statement, 1, event->id);
    sqlite_bind_int(statement, 2, event->kind);
    sqlite_bind_int(statement, 3, event->partition);
    sqlite_bind_int(statement, 4, event->created_us);
    sqlite_bind_int(statement, 5, fate);
    sqlite_bind_int(statement, 6, event->position);
    return run(statement);
}

/* False: somebody else wrote it. */
static bool read_stray(sqlite3_stmt *statement, stray_row_t *out)
{
    text_t id = sqlite_column(statement, 0);
    out->kind = sqlite3_column_int64(statement, 1);
    out->partition = sqlite3_column_int64(statement, 2);
    out->created_us = sqlite3_column_int64(statement, 3);
    out->fate = sqlite3_column_int64(statement, 4);
    out->position = sqlite3_column_int64(statement, 5);
    if (id.size != ID_BYTES || out->kind < 0 || out->kind >= EVENT_KIND_COUNT ||
        out->partition < 0 || out->partition >= PARTITION_COUNT || out->created_us < 0 ||
        out->fate < STRAY_PARKED || out->fate > STRAY_DISCARDED)
        return false;
    memcpy(out->id, id.data, ID_BYTES);
    return true;
}

static int stray_walk(database_t *self, stray_visit_t visit, void *context)
{
    sqlite3_stmt *statement = store_of(self)->statements[STRAY_WALK];
    stray_row_t stray;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!read_stray(statement, &stray)) {
            code = SQLITE_CORRUPT;
            break;
        }
        if (!visit(context, &stray))
            break;
    }
    sqlite_end(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}

/* False: somebody else wrote it. */
static bool read_lane(sqlite3_stmt *statement, lane_row_t *out)
{
    text_t user_id = sqlite_column(statement, 0);
    if (user_id.size != ID_BYTES)
        return false;
    memcpy(out->user_id, user_id.data, ID_BYTES);
    out->state = sqlite3_column_int64(statement, 1);
    out->tries = sqlite3_column_int64(statement, 2);
    out->failures = sqlite3_column_int64(statement, 3);
    out->reason = sqlite3_column_int64(statement, 4);
    out->since_us = sqlite3_column_int64(statement, 5);
    out->next_try_us = sqlite3_column_int64(statement, 6);
    out->closed_at = sqlite3_column_int64(statement, 7);
    out->events = sqlite3_column_int64(statement, 8);
    out->bytes = sqlite3_column_int64(statement, 9);
    return true;
}

static int lane_walk(database_t *self, lane_visit_t visit, void *context)
{
    sqlite3_stmt *statement = store_of(self)->statements[LANE_WALK];
    lane_row_t lane;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!read_lane(statement, &lane)) {
            code = SQLITE_CORRUPT;
            break;
        }
        if (!visit(context, &lane))
            break;
    }
    sqlite_end(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}

static int lane_save(database_t *self, const lane_row_t *lane)
{
    sqlite3_stmt *statement = store_of(self)->statements[LANE_SAVE];
    bind_user_id(statement, lane->user_id);
    sqlite_bind_int(statement, 2, lane->state);
    sqlite_bind_int(statement, 3, lane->tries);
    sqlite_bind_int(statement, 4, lane->failures);
    sqlite_bind_int(statement, 5, lane->reason);
    sqlite_bind_int(statement, 6, lane->since_us);
    sqlite_bind_int(statement, 7, lane->next_try_us);
    sqlite_bind_int(statement, 8, lane->closed_at);
    return run(statement);
}

static int lane_delete(database_t *self, const uint8_t user_id[ID_BYTES])
{
    sqlite3_stmt *statement = store_of(self)->statements[LANE_DELETE];
    bind_user_id(statement, user_id);
    return run(statement);
}

/* --- positions -------------------------------------------------------------------------------- */

static int positions_load(database_t *self, saved_positions_t *out)
{
    sqlite_store_t *store = store_of(self);
    sqlite3_stmt *statement = store->statements[POSITION_WALK];
    *out = (saved_positions_t){0};
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t partition = sqlite3_column_int64(statement, 0);
        int64_t confirmed = sqlite3_column_int64(statement, 1);
        if (partition == LOW_ROW)
            out->low = confirmed;
        else if (partition >= 0 && partition < PARTITION_COUNT)
            out->confirmed[partition] = confirmed;
        /* The log may have been trimmed to nothing, which must not make positions begin again. */
        out->head = confirmed > out->head ? confirmed : out->head;
    }
    sqlite_end(statement);
    if (code != SQLITE_DONE)
        return sqlite_error(code);
    int64_t last = 0;
    int error = sqlite_read_number(store->statements[EVENT_LAST], &last);
    out->head = last > out->head ? last : out->head;
    return error;
}

static int save_position(sqlite_store_t *store, int row, int64_t confirmed)
{
    sqlite3_stmt *statement = store->statements[POSITION_SAVE];
    sqlite_bind_int(statement, 1, row);
    sqlite_bind_int(statement, 2, confirmed);
    return run(statement);
}

static int positions_save(database_t *self, const saved_positions_t *positions, uint64_t partitions)
{
    sqlite_store_t *store = store_of(self);
    int error = save_position(store, LOW_ROW, positions->low);
    for (int i = 0; i < PARTITION_COUNT && error == 0; i++)
        if ((partitions >> i & 1) != 0)
            error = save_position(store, i, positions->confirmed[i]);
    return error;
}

/* --- transactions ----------------------------------------------------------------------------- */

static int begin(database_t *self)
{
    return run(store_of(self)->statements[BEGIN]);
}

static int begin_reading(database_t *self)
{
    return run(store_of(self)->statements[BEGIN_READING]);
}

static void rollback(database_t *self)
{
    sqlite_store_t *store = store_of(self);
    /* Some errors have rolled it back already. */
    if (sqlite3_get_autocommit(store->file.connection) == 0)
        (void)run(store->statements[ROLLBACK]);
}

static int commit(database_t *self)
{
    int error = run(store_of(self)->statements[COMMIT]);
    if (error != 0)
        rollback(self);
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

static int tidy(database_t *self, bool idle, bool *asks, msg_checkpoint_request_t *request)
{
    sqlite_store_t *store = store_of(self);
    int64_t now_ms = clock_mono_ms();
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

static void close_store(database_t *self)
{
    sqlite_store_t *store = store_of(self);
    sqlite_file_finalize(store->statements, STATEMENT_COUNT);
    sqlite_file_close(&store->file);
    free(store);
}

typedef int (*open_file_t)(sqlite_file_t *out, const char *url, const sqlite_schema_t *schema,
                           detail_t *detail);

static int open_by(open_file_t open_file, database_t **out, const char *url, detail_t *detail)
{
    sqlite_store_t *store = calloc(1, sizeof(*store));
    must(store != NULL);
    store->super.class = &sqlite_database;
    int error = open_file(&store->file, url, &users_schema, detail);
    if (error == 0)
        error = sqlite_file_prepare(&store->file, statements, STATEMENT_COUNT, store->statements,
                                    detail);
    if (error != 0) {
        close_store(&store->super);
        return error;
    }
    *out = &store->super;
    return 0;
}

static int open_store(database_t **out, const char *url, detail_t *detail)
{
    return open_by(sqlite_file_open, out, url, detail);
}

static int open_store_readonly(database_t **out, const char *url, detail_t *detail)
{
    const char *path;
    if (sqlite_url_path(url, &path) && access(path, F_OK) != 0)
        return detail_set(detail, ERR_DATABASE_OPEN,
                          "the users' database '%.200s' does not exist; start the service first "
                          "(userbus runserver), or set DATABASE_URL to its",
                          path);
    return open_by(sqlite_file_open_readonly, out, url, detail);
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
    .user_by_id = user_by_id,
    .user_by_email = user_by_email,
    .user_insert = user_insert,
    .user_update = user_update,
    .user_walk = user_walk,
    .event_append = event_append,
    .event_walk = event_walk,
    .event_trim = event_trim,
    .parked_append = parked_append,
    .parked_walk = parked_walk,
    .parked_trim = parked_trim,
    .unparked_save = unparked_save,
    .stray_walk = stray_walk,
    .lane_walk = lane_walk,
    .lane_save = lane_save,
    .lane_delete = lane_delete,
    .positions_load = positions_load,
    .positions_save = positions_save,
    .tidy = tidy,
    .tidied = tidied,
};
