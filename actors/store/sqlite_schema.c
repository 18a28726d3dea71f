/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/sqlite_schema.h"

static const char *const migrations[] = {
    "CREATE TABLE user ("
    " row INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE,"
    " email TEXT NOT NULL,"
    " email_key TEXT NOT NULL UNIQUE,"
    " first_name TEXT NOT NULL,"
    " last_name TEXT NOT NULL,"
    " view_count INTEGER NOT NULL,"
    " is_valid INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL,"
    " updated_us INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE event ("
    " position INTEGER PRIMARY KEY,"
    " partition INTEGER NOT NULL,"
    " kind INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL,"
    " user_id BLOB NOT NULL,"
    " id BLOB NOT NULL,"
    " created_us INTEGER NOT NULL,"
    " request_id TEXT NOT NULL,"
    " traceparent TEXT NOT NULL,"
    " tracestate TEXT NOT NULL,"
    " body BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE position ("
    " partition INTEGER PRIMARY KEY," /* 64: every event up to here is confirmed */
    " confirmed INTEGER NOT NULL"
    ") STRICT;",
    "CREATE TABLE parked_lane ("
    " user_id BLOB PRIMARY KEY,"
    " state INTEGER NOT NULL," /* parked_state_t: 0 waits, 1 is in quarantine, 2 is opening */
    " tries INTEGER NOT NULL,"
    " failures INTEGER NOT NULL,"
    " reason INTEGER NOT NULL,"
    " since_us INTEGER NOT NULL,"
    " next_try_us INTEGER NOT NULL,"
    " closed_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE parked ("
    " row INTEGER PRIMARY KEY,"
    " partition INTEGER NOT NULL,"
    " kind INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL,"
    " user_id BLOB NOT NULL,"
    " id BLOB NOT NULL,"
    " created_us INTEGER NOT NULL,"
    " request_id TEXT NOT NULL,"
    " traceparent TEXT NOT NULL,"
    " tracestate TEXT NOT NULL,"
    " body BLOB NOT NULL,"
    " UNIQUE (user_id, sequence)"
    ") STRICT;",
    "CREATE TABLE unparked ("
    " id BLOB PRIMARY KEY,"
    " kind INTEGER NOT NULL,"
    " partition INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL,"
    " fate INTEGER NOT NULL," /* stray_fate_t: 1 appended to the log again, 2 discarded */
    " position INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX unparked_age ON unparked (created_us);",
};

const sqlite_schema_t users_schema = {.what = "users' database",
                                      .application_id = 0x75627573,
                                      .migrations = migrations,
                                      .version = sizeof(migrations) / sizeof(migrations[0]),
                                      .single_process = true};
