/* rooms: storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/sqlite_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/errors.h"

static const char *const migrations[] = {
    "CREATE TABLE a (x INTEGER) STRICT",
    "CREATE TABLE b (y INTEGER) STRICT; INSERT INTO b VALUES (2)",
    "CREATE TABLE broken (",
};
static const sqlite_schema_t first = {"test database", 77, migrations, 1, true};
static const sqlite_schema_t second = {"test database", 77, migrations, 2, true};
static const sqlite_schema_t broken = {"test database", 77, migrations, 3, true};
static const sqlite_schema_t other = {"other database", 78, migrations, 1, false};

static char folder[64], path[128], url[160];
static detail_t detail;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/userbus-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/test.db", folder);
    snprintf(url, sizeof(url), "sqlite:%s", path);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void open_and_close(const sqlite_schema_t *schema)
{
    sqlite_file_t file;
    if (sqlite_file_open(&file, url, schema, &detail) != 0)
        fail_msg("%s", detail.text);
    sqlite_file_close(&file);
}

static void expect_refused(const char *where, const sqlite_schema_t *schema, const char *reason)
{
    sqlite_file_t file;
    assert_int_equal(sqlite_file_open(&file, where, schema, &detail), ERR_DATABASE_OPEN);
    if (strstr(detail.text, reason) == NULL)
        fail_msg("'%s' does not say '%s'", detail.text, reason);
}

static void a_file_is_made_and_migrated(void **state)
{
    sqlite_file_t file;
    const char *const sql[] = {"SELECT y FROM b"};
    sqlite3_stmt *statement[1];
    (void)state;
    open_and_close(&first);
    assert_int_equal(sqlite_file_open(&file, url, &second, &detail), 0);
    assert_int_equal(sqlite_file_prepare(&file, sql, 1, statement, &detail), 0);
    assert_int_equal(sqlite3_step(statement[0]), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement[0], 0), 2);
    sqlite_file_finalize(statement, 1);
    sqlite_file_close(&file);
    open_and_close(&second); /* which does not migrate twice */
}

static void the_journal_is_a_wal_that_is_synced(void **state)
{
    sqlite_file_t file;
    const char *const sql[] = {"PRAGMA journal_mode", "PRAGMA synchronous"};
    sqlite3_stmt *statements[2];
    (void)state;
    assert_int_equal(sqlite_file_open(&file, url, &first, &detail), 0);
    assert_int_equal(sqlite_file_prepare(&file, sql, 2, statements, &detail), 0);
    assert_int_equal(sqlite3_step(statements[0]), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(statements[0], 0), "wal");
    assert_int_equal(sqlite3_step(statements[1]), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statements[1], 0), 2);
    sqlite_file_finalize(statements, 2);
    sqlite_file_close(&file);
}

static void a_failed_migration_leaves_what_was_there(void **state)
{
    (void)state;
    open_and_close(&first);
    expect_refused(url, &broken, "incomplete input");
    open_and_close(&first); /* not half way to version 2 */
}

static void a_failed_start_leaves_no_file(void **state)
{
    (void)state;
    expect_refused(url, &broken, "incomplete input");
    assert_int_equal(access(path, F_OK), -1);
}

static void files_of_others_are_refused(void **state)
{
    (void)state;
    open_and_close(&second);
    expect_refused(url, &other, "a file of its own");
    expect_refused(url, &first, "newer userbus");
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "this is no database, whatever its name says it might be\n", 56),
                     56);
    close(fd);
    expect_refused(url, &first, "not a database");
    sqlite_file_t file;
    assert_int_equal(sqlite_file_open_readonly(&file, url, &first, &detail), ERR_DATABASE_OPEN);
    assert_int_equal(sqlite_file_probe(url, &first, &detail), ERR_DATABASE_OPEN);
}

static void only_one_process_at_a_time(void **state)
{
    sqlite_file_t file, reader;
    (void)state;
    assert_int_equal(sqlite_file_open(&file, url, &first, &detail), 0);
    expect_refused(url, &first, "another userbus process");
    assert_int_equal(sqlite_file_open_readonly(&reader, url, &first, &detail), 0);
    sqlite_file_close(&reader);
    sqlite_file_close(&file);
    open_and_close(&first);
}

static void urls_and_paths_are_checked(void **state)
{
    char elsewhere[160];
    (void)state;
    expect_refused("test.db", &first, "sqlite:PATH");
    expect_refused("sqlite:", &first, "sqlite:PATH");
    snprintf(elsewhere, sizeof(elsewhere), "sqlite:%s/none/test.db", folder);
    expect_refused(elsewhere, &first, "No such file");
    assert_int_equal(sqlite_file_probe(elsewhere, &first, &detail), ERR_DATABASE_OPEN);
}

static void a_probe_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(sqlite_file_probe(url, &first, &detail), 0);
    assert_non_null(strstr(detail.text, "will be created"));
    assert_int_equal(access(path, F_OK), -1);
    open_and_close(&first);
    assert_int_equal(sqlite_file_probe(url, &second, &detail), 0);
    assert_non_null(strstr(detail.text, "version 1 of 2"));
    sqlite_file_t file;
    assert_int_equal(sqlite_file_open_readonly(&file, url, &second, &detail), ERR_DATABASE_OPEN);
}

static void errors_are_sorted_by_what_may_be_done(void **state)
{
    static const int pass[] = {SQLITE_FULL,          SQLITE_BUSY,          SQLITE_BUSY_SNAPSHOT,
                               SQLITE_BUSY_RECOVERY, SQLITE_LOCKED,        SQLITE_IOERR_SHMSIZE,
                               SQLITE_IOERR_SHMMAP,  SQLITE_IOERR_NOMEM,   SQLITE_NOMEM,
                               SQLITE_INTERRUPT,     SQLITE_PROTOCOL,      SQLITE_READONLY,
                               SQLITE_CANTOPEN,      SQLITE_CANTOPEN_ISDIR};
    static const int end[] = {
        SQLITE_IOERR,      SQLITE_IOERR_WRITE,      SQLITE_IOERR_FSYNC,    SQLITE_IOERR_DIR_FSYNC,
        SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_LOCK,
        SQLITE_CORRUPT,    SQLITE_CORRUPT_INDEX,    SQLITE_NOTADB,         SQLITE_ERROR,
        SQLITE_INTERNAL,   SQLITE_READONLY_DBMOVED};
    (void)state;
    for (size_t i = 0; i < sizeof(pass) / sizeof(pass[0]); i++)
        if (sqlite_error(pass[i]) != ERR_STORE_UNAVAILABLE)
            fail_msg("code %d ends the process", pass[i]);
    for (size_t i = 0; i < sizeof(end) / sizeof(end[0]); i++)
        if (sqlite_error(end[i]) != ERR_DATABASE_FATAL)
            fail_msg("code %d passes", end[i]);
}

static off_t size_of(const char *suffix)
{
    char name[160];
    struct stat status;
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &status) == 0 ? status.st_size : -1;
}

/* A full disk must not find the index of the log too small. */
static void the_index_of_the_log_has_its_size_at_once(void **state)
{
    sqlite_file_t file;
    (void)state;
    assert_int_equal(sqlite_file_open(&file, url, &first, &detail), 0);
    assert_true(size_of("-shm") >= (off_t)(WAL_FRAMES_MAX / 4096 + 1) * 32768);
    sqlite_file_close(&file);
    assert_int_equal(size_of("-wal"), -1);
}

static void *fail_and_close(void *argument)
{
    sqlite_file_t file;
    assert_int_equal(sqlite_file_open(&file, url, &first, &detail), 0);
    assert_int_equal(sqlite_file_exec(&file, "INSERT INTO a VALUES (1)"), SQLITE_OK);
    assert_int_equal(sqlite_error(SQLITE_IOERR_FSYNC), ERR_DATABASE_FATAL);
    sqlite_file_close(&file);
    return argument;
}

/* After a failure nothing is moved, and the next start moves and syncs it all before it adds to it. */
static void a_failed_file_is_closed_untouched_and_emptied_at_the_next_start(void **state)
{
    pthread_t thread;
    sqlite_file_t file;
    const char *const sql[] = {"SELECT x FROM a"};
    sqlite3_stmt *statement[1];
    (void)state;
    open_and_close(&first);
    assert_int_equal(pthread_create(&thread, NULL, fail_and_close, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(size_of("-wal") > 0);
    assert_int_equal(sqlite_file_open(&file, url, &first, &detail), 0);
    assert_int_equal(size_of("-wal"), 0);
    assert_int_equal(sqlite_file_prepare(&file, sql, 1, statement, &detail), 0);
    assert_int_equal(sqlite3_step(statement[0]), SQLITE_ROW);
    sqlite_file_finalize(statement, 1);
    sqlite_file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_made_and_migrated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_journal_is_a_wal_that_is_synced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_migration_leaves_what_was_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failed_start_leaves_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_of_others_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_one_process_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(urls_and_paths_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_probe_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_index_of_the_log_has_its_size_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_failed_file_is_closed_untouched_and_emptied_at_the_next_start, set_up, tear_down),
        /* last, since this process then counts as failed */
        cmocka_unit_test(errors_are_sorted_by_what_may_be_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
