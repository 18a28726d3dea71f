/* SPDX-License-Identifier: Apache-2.0
 * sqlite_events.c - the event log in the SQLite database, the lanes parked beside it, and the positions.
 */
#include <string.h>

#include "actors/store/sqlite_store.h"
#include "proto/errors.h"
#include "storage/sqlite_statement.h"

enum { LOW_ROW = PARTITION_COUNT }; /* of the table position: saved_positions_t.low */

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

int sqlite_event_append(database_t *self, const msg_event_t *event)
{
    sqlite_store_t *store = store_of(self);
    sqlite3_stmt *statement = store->statements[EVENT_APPEND];
    sqlite_bind_int(statement, 1, event->position);
    bind_event(statement, event);
    store->late.head = event->position;
    return sqlite_store_run(statement);
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

int sqlite_event_walk(database_t *self, int64_t after, event_visit_t visit, void *context)
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
    int error = sqlite_store_run(statement);
    *deleted = error == 0 ? sqlite3_changes(store->file.connection) : 0;
    return error;
}

/* The oldest event; position 0: there is none. */
static int find_first(sqlite_store_t *store, int64_t *position, int64_t *created_us)
{
    sqlite3_stmt *statement = store->statements[EVENT_FIRST];
    int code = sqlite3_step(statement);
    *position = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    *created_us = code == SQLITE_ROW ? sqlite3_column_int64(statement, 1) : 0;
    sqlite_end(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_error(code);
}

/* Those whose views are not written yet must stay: they are. */
static int trim_log(sqlite_store_t *store, int64_t up_to, int64_t older_than_us, int most,
                    int *deleted)
{
    int64_t first, created_us;
    int error = find_first(store, &first, &created_us);
    if (error != 0 || first == 0 || first > up_to || created_us >= older_than_us)
        return error;
    int64_t last = first + most - 1 < up_to ? first + most - 1 : up_to;
    error = sqlite_late_release(store, last);
    if (error != 0)
        return error;
    int64_t mark = sqlite_late_counted(&store->late);
    return trim(store, store->statements[EVENT_TRIM], last < mark ? last : mark, older_than_us,
                deleted);
}

/* What is known of an event outlives its rows in the log, which would look like others otherwise. */
int sqlite_event_trim(database_t *self, int64_t up_to, int64_t older_than_us, int most,
                      int *deleted)
{
    sqlite_store_t *store = store_of(self);
    *deleted = 0;
    int error = trim_log(store, up_to, older_than_us, most, deleted);
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

/* Its views are written at once: what becomes of a parked event may leave no trace of them. */
int sqlite_parked_append(database_t *self, const msg_event_t *event, bool *is_new)
{
    sqlite_store_t *store = store_of(self);
    sqlite3_stmt *views = store->statements[VIEWS_OF_EVENT];
    bind_event(store->statements[PARKED_APPEND], event);
    int error = sqlite_store_run(store->statements[PARKED_APPEND]);
    *is_new = error == 0 && sqlite3_changes(store->file.connection) > 0;
    if (error != 0)
        return error;
    sqlite_bind_bytes(views, 1, event->user_id);
    sqlite_bind_int(views, 2, event->sequence);
    return sqlite_store_run(views);
}

int sqlite_parked_walk(database_t *self, const uint8_t user_id[ID_BYTES], event_visit_t visit,
                       void *context)
{
    sqlite3_stmt *statement = store_of(self)->statements[PARKED_WALK];
    bind_user_id(statement, user_id);
    return walk_events(statement, visit, context);
}

int sqlite_parked_trim(database_t *self, const uint8_t user_id[ID_BYTES], int64_t up_to)
{
    sqlite3_stmt *statement = store_of(self)->statements[PARKED_TRIM];
    bind_user_id(statement, user_id);
    sqlite_bind_int(statement, 2, up_to);
    return sqlite_store_run(statement);
}

int sqlite_unparked_save(database_t *self, const msg_event_t *event, stray_fate_t fate)
{
    sqlite3_stmt *statement = store_of(self)->statements[UNPARKED_SAVE];
    sqlite_bind_bytes(statement, 1, event->id);
    sqlite_bind_int(statement, 2, event->kind);
    sqlite_bind_int(statement, 3, event->partition);
    sqlite_bind_int(statement, 4, event->created_us);
    sqlite_bind_int(statement, 5, fate);
    sqlite_bind_int(statement, 6, event->position);
    return sqlite_store_run(statement);
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

int sqlite_stray_walk(database_t *self, stray_visit_t visit, void *context)
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

int sqlite_lane_walk(database_t *self, lane_visit_t visit, void *context)
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

int sqlite_lane_save(database_t *self, const lane_row_t *lane)
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
    return sqlite_store_run(statement);
}

int sqlite_lane_delete(database_t *self, const uint8_t user_id[ID_BYTES])
{
    sqlite3_stmt *statement = store_of(self)->statements[LANE_DELETE];
    bind_user_id(statement, user_id);
    return sqlite_store_run(statement);
}

/* --- positions -------------------------------------------------------------------------------- */

int sqlite_positions_load(database_t *self, saved_positions_t *out)
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
    return sqlite_store_run(statement);
}

int sqlite_positions_save(database_t *self, const saved_positions_t *positions, uint64_t partitions)
{
    sqlite_store_t *store = store_of(self);
    int error = save_position(store, LOW_ROW, positions->low);
    for (int i = 0; i < PARTITION_COUNT && error == 0; i++)
        if ((partitions >> i & 1) != 0)
            error = save_position(store, i, positions->confirmed[i]);
    return error;
}
