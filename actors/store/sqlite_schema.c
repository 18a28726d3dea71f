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
    /* What a user is and how often it was viewed part, and the index of emails is written later in the order of its
     * keys (sqlite_late.c). `user` is the whole of a user: views behind the mark are told by the log alone. */
    "CREATE TABLE account ("
    " row INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE,"
    " email TEXT NOT NULL,"
    " email_key TEXT NOT NULL," /* unique by the index below */
    " first_name TEXT NOT NULL,"
    " last_name TEXT NOT NULL,"
    " is_valid INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL,"
    " updated_us INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE email (" /* of accounts up to the mark; an entry that is none of its account's is stale */
    " hash INTEGER NOT NULL," /* of email_key */
    " row INTEGER NOT NULL,"  /* of account */
    " PRIMARY KEY (hash, row)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE viewed ("
    " row INTEGER PRIMARY KEY," /* of account */
    " count INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE kept ("
    " name TEXT PRIMARY KEY,"
    " value ANY NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO account SELECT row, id, email, email_key, first_name, last_name, is_valid, "
    "version,"
    " created_us, updated_us FROM user ORDER BY row;"
    "INSERT INTO viewed SELECT row, view_count FROM user WHERE view_count > 0 ORDER BY row;"
    "INSERT INTO kept VALUES ('hash key', randomblob(16)), ('emails', 0),"
    " ('views', (SELECT coalesce(max(position), 0) FROM event));"
    "DROP TABLE user;"
    "CREATE VIEW user AS SELECT account.row AS row, id, email, email_key, first_name, last_name,"
    " max(coalesce(viewed.count, 0), coalesce(late.sequence, 0) - version) AS view_count, is_valid,"
    " version, max(version + coalesce(viewed.count, 0), coalesce(late.sequence, 0)) AS sequence,"
    " created_us, updated_us"
    " FROM account LEFT JOIN viewed ON viewed.row = account.row"
    " LEFT JOIN (SELECT user_id, max(sequence) AS sequence FROM event"
    "  WHERE position > (SELECT value FROM kept WHERE name = 'views') GROUP BY user_id) AS late"
    " ON late.user_id = account.id;",
};

const sqlite_schema_t users_schema = {.what = "users' database",
                                      .application_id = 0x75627573,
                                      .migrations = migrations,
                                      .version = sizeof(migrations) / sizeof(migrations[0]),
                                      .single_process = true};

#define ACCOUNT_COLUMNS                                                                            \
    "row, id, email, email_key, first_name, last_name, is_valid, version, created_us, updated_us"
#define USER_COLUMNS                                                                               \
    "a.row, a.id, a.email, a.email_key, a.first_name, a.last_name, a.is_valid, a.version,"         \
    " a.created_us, a.updated_us, v.count"
#define WITH_VIEWS    " LEFT JOIN viewed v ON v.row = a.row"
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

const char *const users_statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [BEGIN_READING] = "BEGIN",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [USER_BY_ID] = "SELECT " USER_COLUMNS " FROM account a" WITH_VIEWS " WHERE a.id = ?1",
    [USER_BY_HASH] =
        "SELECT " USER_COLUMNS " FROM email e CROSS JOIN account a ON a.row = e.row" WITH_VIEWS
        " WHERE e.hash = ?1",
    [USER_BY_ROW] = "SELECT " USER_COLUMNS " FROM account a" WITH_VIEWS " WHERE a.row = ?1",
    [USER_UNINDEXED] = "SELECT " USER_COLUMNS " FROM account a" WITH_VIEWS
                       " WHERE a.row > ?1 AND a.email_key = ?2",
    [USER_INSERT] = "INSERT INTO account (" ACCOUNT_COLUMNS ")"
                    " VALUES (NULL, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [USER_UPDATE] =
        "UPDATE account SET email = ?3, email_key = ?4, first_name = ?5, last_name = ?6,"
        " is_valid = ?7, version = ?8, updated_us = ?10 WHERE row = ?1",
    [USER_WALK] =
        "SELECT " USER_COLUMNS " FROM account a" WITH_VIEWS " WHERE a.row > ?1 ORDER BY a.row",
    [USER_LAST] = "SELECT max(row) FROM account",
    [EMAIL_OF_HASH] = "SELECT a.row, a.email_key FROM email e CROSS JOIN account a ON a.row = e.row"
                      " WHERE e.hash = ?1",
    [EMAIL_OF_ROW] = "SELECT row, email_key FROM account WHERE row = ?1",
    [EMAIL_ADD] = "INSERT OR IGNORE INTO email (hash, row) VALUES (?1, ?2)",
    [EMAIL_DELETE] = "DELETE FROM email WHERE hash = ?1 AND row = ?2",
    [EMAIL_WALK] = "SELECT row, email_key FROM account WHERE row > ?1 ORDER BY row",
    [EMAIL_BUILD] = "INSERT OR IGNORE INTO email (hash, row) SELECT email_hash("
                    " (SELECT value FROM kept WHERE name = 'hash key'), email_key), row"
                    " FROM account WHERE row > ?1 ORDER BY 1, 2",
    /* What is written later may be older than what was written at once, and no count goes back. */
    [VIEWS_SAVE] = "INSERT INTO viewed (row, count) VALUES (?1, ?2)"
                   " ON CONFLICT (row) DO UPDATE SET count = max(count, excluded.count)",
    [VIEWS_FIND] = "SELECT a.row, max(e.sequence) - a.version FROM event e"
                   " CROSS JOIN account a ON a.id = e.user_id" WITH_VIEWS
                   " WHERE e.position > ?1 GROUP BY a.row"
                   " HAVING max(e.sequence) - a.version > max(coalesce(v.count, 0))",
    [VIEWS_OF_EVENT] = "INSERT INTO viewed (row, count) SELECT row, ?2 - version FROM account"
                       " WHERE id = ?1 AND ?2 > version"
                       " ON CONFLICT (row) DO UPDATE SET count = max(count, excluded.count)",
    [KEPT_LOAD] = "SELECT name, value FROM kept",
    [KEPT_SAVE] = "UPDATE kept SET value = ?2 WHERE name = ?1",
    [EVENT_APPEND] = "INSERT INTO event (" EVENT_COLUMNS ")"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [EVENT_WALK] = "SELECT " EVENT_COLUMNS " FROM event WHERE position > ?1 ORDER BY position",
    [EVENT_TRIM] = "DELETE FROM event WHERE position <= ?1 AND created_us < ?2",
    [EVENT_FIRST] = "SELECT position, created_us FROM event ORDER BY position LIMIT 1",
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
