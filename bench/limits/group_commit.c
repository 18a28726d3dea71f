/* SPDX-License-Identifier: Apache-2.0
 * group_commit.c - what a user and its event cost in SQLite alone, 64 of them per commit, synchronous=FULL, with nothing
 * before or behind it.
 *
 *   bench_group_commit FILE COUNT
 *
 * The tables are the plain form of the service's: a new file, emails all over the alphabet, one index.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

#include "bench/limits/limit.h"

enum { PER_COMMIT = 64, BODY_BYTES = 300, ID_BYTES = 16 };

static const char tables[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 8192;"
    "CREATE TABLE user (row INTEGER PRIMARY KEY, id BLOB NOT NULL, email TEXT NOT NULL UNIQUE,"
    " first_name TEXT NOT NULL, last_name TEXT NOT NULL, sequence INTEGER NOT NULL) STRICT;"
    "CREATE TABLE event (position INTEGER PRIMARY KEY, user_id BLOB NOT NULL, body BLOB NOT NULL)"
    " STRICT;";

static sqlite3_stmt *prepare(sqlite3 *connection, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    need(sqlite3_prepare_v3(connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) ==
         SQLITE_OK);
    return statement;
}

static void run(sqlite3_stmt *statement)
{
    need(sqlite3_step(statement) == SQLITE_DONE);
    sqlite3_reset(statement);
}

static void insert(sqlite3_stmt *user, sqlite3_stmt *event, long number)
{
    char email[64], body[BODY_BYTES];
    uint8_t id[ID_BYTES] = {0};
    memcpy(id, &number, sizeof(number));
    memset(body, 'x', sizeof(body));
    int size = snprintf(email, sizeof(email), "%08x-%ld@example.org",
                        (unsigned)number * 2654435761u, number);
    sqlite3_bind_blob(user, 1, id, sizeof(id), SQLITE_STATIC);
    sqlite3_bind_text(user, 2, email, size, SQLITE_STATIC);
    run(user);
    sqlite3_bind_blob(event, 1, id, sizeof(id), SQLITE_STATIC);
    sqlite3_bind_blob(event, 2, body, sizeof(body), SQLITE_STATIC);
    run(event);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    long count = count_argument(argv[2]) / PER_COMMIT * PER_COMMIT;
    sqlite3 *connection = NULL;
    need(sqlite3_open(argv[1], &connection) == SQLITE_OK);
    need(sqlite3_exec(connection, tables, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_stmt *begin = prepare(connection, "BEGIN IMMEDIATE");
    sqlite3_stmt *commit = prepare(connection, "COMMIT");
    sqlite3_stmt *user =
        prepare(connection, "INSERT INTO user VALUES (NULL, ?1, ?2, 'Ada', 'Lovelace', 1)");
    sqlite3_stmt *event = prepare(connection, "INSERT INTO event VALUES (NULL, ?1, ?2)");
    double began = wall_us(), cpu = cpu_us();
    for (long i = 0; i < count; i++) {
        if (i % PER_COMMIT == 0)
            run(begin);
        insert(user, event, i);
        if (i % PER_COMMIT == PER_COMMIT - 1)
            run(commit);
    }
    tell("commit_us", (wall_us() - began) / (double)count);
    tell("commit_cpu_us", (cpu_us() - cpu) / (double)count);
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    sqlite3_finalize(user);
    sqlite3_finalize(event);
    sqlite3_close(connection);
    return 0;
}
