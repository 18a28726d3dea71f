/* SPDX-License-Identifier: Apache-2.0
 * sqlite_schema.h - all the SQL of the users' database: its migrations and its statements.
 */
#ifndef USERBUS_ACTORS_STORE_SQLITE_SCHEMA_H
#define USERBUS_ACTORS_STORE_SQLITE_SCHEMA_H

#include "storage/sqlite_file.h"

extern const sqlite_schema_t users_schema;

/* Each is prepared once and kept. */
typedef enum statement {
    BEGIN,
    BEGIN_READING,
    COMMIT,
    ROLLBACK,
    USER_BY_ID,
    USER_BY_HASH,
    USER_BY_ROW,
    USER_UNINDEXED,
    USER_INSERT,
    USER_UPDATE,
    USER_WALK,
    USER_LAST,
    EMAIL_OF_HASH,
    EMAIL_OF_ROW,
    EMAIL_ADD,
    EMAIL_DELETE,
    EMAIL_WALK,
    EMAIL_BUILD,
    VIEWS_SAVE,
    VIEWS_FIND,
    VIEWS_OF_EVENT,
    KEPT_LOAD,
    KEPT_SAVE,
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

extern const char *const users_statements[STATEMENT_COUNT];

#endif
