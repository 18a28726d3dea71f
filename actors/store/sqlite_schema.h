/* SPDX-License-Identifier: Apache-2.0
 * sqlite_schema.h - the tables of the users' database in SQLite, as they came to be: a migration each
 * time they changed.
 */
#ifndef USERBUS_ACTORS_STORE_SQLITE_SCHEMA_H
#define USERBUS_ACTORS_STORE_SQLITE_SCHEMA_H

#include "storage/sqlite_file.h"

extern const sqlite_schema_t users_schema;

#endif
