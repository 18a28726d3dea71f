/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/waiting_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/errors.h"

static char folder[64], url[128];
static inbox_database_t *database;
static waiting_table_t *table;
static detail_t detail;

static const waiting_event_t first = {
    .user_key = {"u-1", 3},
    .message_id = {"m-1", 3},
    .kind = EVENT_USER_UPDATE,
    .sequence = 7,
    .arrived_us = 1000,
    .attempts = 1,
    .first_failed_us = 900,
    .next_try_us = 2000,
    .error = {"slow", 4},
    .reason = {"too slow", 8},
    .properties = {"\x01\0\xff", 3},
    .body = {"{\"a\": 1}", 8},
};

static void well(int error)
{
    if (error != 0)
        fail_msg("error %d: %s", error, detail.text);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/waiting-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof(url), "sqlite:%s/worker.db", folder);
    well(inbox_database_open(&database, url, &detail));
    well(waiting_table_open(&table, database, "user", &detail));
    return 0;
}

static int tear_down(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    (void)state;
    waiting_table_close(&table);
    inbox_database_close(&database);
    for (int i = 0; i < 3; i++) {
        char file[160];
        snprintf(file, sizeof(file), "%s%s", url + strlen("sqlite:"), suffixes[i]);
        unlink(file);
    }
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static int64_t add(waiting_table_t *to, const char *user, const char *message_id)
{
    const inbox_message_t message = {text_of(message_id), EVENT_USER_UPDATE, 7};
    waiting_event_t event = first;
    inbox_marked_t marked;
    int64_t row = 0;
    event.user_key = text_of(user);
    event.message_id = text_of(message_id);
    well(inbox_begin(database, 1));
    well(inbox_mark(database, &message, INBOX_WAITING, &marked));
    well(waiting_table_add(to, &event, &row));
    well(inbox_commit(database));
    return row;
}

static void expect_text(text_t got, text_t expected)
{
    if (!text_equal(got, expected))
        fail_msg("'%.*s' instead of '%.*s'", (int)got.size, got.data, (int)expected.size,
                 expected.data);
}

static void an_event_comes_back_whole(void **state)
{
    waiting_event_t event;
    (void)state;
    int64_t row = add(table, "u-1", "m-1");
    well(waiting_table_read(table, row, &event));
    assert_int_equal(event.row, row);
    expect_text(event.user_key, first.user_key);
    expect_text(event.message_id, first.message_id);
    expect_text(event.error, first.error);
    expect_text(event.reason, first.reason);
    expect_text(event.properties, first.properties);
    expect_text(event.body, first.body);
    assert_int_equal(event.kind, first.kind);
    assert_int_equal(event.sequence, first.sequence);
    assert_int_equal(event.arrived_us, first.arrived_us);
    assert_int_equal(event.attempts, first.attempts);
    assert_int_equal(event.first_failed_us, first.first_failed_us);
    assert_int_equal(event.next_try_us, first.next_try_us);
    assert_false(event.is_dead);
    assert_int_equal(waiting_table_read(table, row + 1, &event), ERR_INTERNAL);
}

static void a_failure_is_written_over_the_one_before(void **state)
{
    waiting_event_t event;
    (void)state;
    int64_t row = add(table, "u-1", "m-1");
    well(waiting_table_read(table, row, &event));
    event.attempts = 2;
    event.is_dead = true;
    event.next_try_us = 0;
    event.error = TEXT("broken");
    event.reason = TEXT("");
    well(inbox_begin(database, 1));
    well(waiting_table_failed(table, &event));
    well(inbox_commit(database));
    well(waiting_table_read(table, row, &event));
    assert_int_equal(event.attempts, 2);
    assert_int_equal(event.first_failed_us, first.first_failed_us);
    assert_int_equal(event.next_try_us, 0);
    assert_true(event.is_dead);
    expect_text(event.error, TEXT("broken"));
    expect_text(event.reason, TEXT(""));
    expect_text(event.body, first.body);
}

static inbox_marked_t mark(const char *message_id)
{
    const inbox_message_t message = {text_of(message_id), EVENT_USER_UPDATE, 7};
    inbox_marked_t marked;
    well(inbox_mark(database, &message, INBOX_PROCESSED, &marked));
    return marked;
}

static void a_row_that_goes_settles_its_message(void **state)
{
    waiting_event_t event;
    (void)state;
    int64_t done = add(table, "u-1", "m-1"), dead = add(table, "u-1", "m-2");
    add(table, "u-1", "m-3");
    well(inbox_begin(database, 1));
    well(waiting_table_remove(table, done, INBOX_PROCESSED));
    well(waiting_table_remove(table, dead, INBOX_DEAD));
    well(inbox_commit(database));
    assert_int_equal(waiting_table_read(table, done, &event), ERR_INTERNAL);
    assert_int_equal(waiting_table_read(table, dead, &event), ERR_INTERNAL);
    well(inbox_begin(database, 1));
    assert_int_equal(mark("m-1"), MARKED_KNOWN);
    assert_int_equal(mark("m-2"), MARKED_AGAIN);
    assert_int_equal(mark("m-3"), MARKED_KNOWN); /* it waits */
    inbox_rollback(database);
}

static void gather(void *context, const waiting_event_t *event)
{
    char *users = context;
    size_t size = strlen(users);
    snprintf(users + size, 64 - size, "%.*s:%lld ", (int)event->user_key.size, event->user_key.data,
             (long long)event->row);
}

static void a_walk_meets_those_of_the_queue_in_order(void **state)
{
    waiting_table_t *other = NULL;
    inbox_totals_t totals;
    char users[64] = "";
    (void)state;
    well(waiting_table_open(&other, database, "other", &detail));
    add(table, "zoe", "m-1");
    add(other, "eve", "m-2");
    add(table, "ada", "m-3");
    add(table, "zoe", "m-4");
    well(waiting_table_walk(table, gather, users));
    assert_string_equal(users, "zoe:1 ada:3 zoe:4 ");
    waiting_table_close(&other);
    well(inbox_totals_read(database, &totals));
    assert_int_equal(totals.waiting, 4);
    assert_int_equal(totals.waiting_users, 3);
    assert_int_equal(totals.waiting_since_us, first.arrived_us);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_comes_back_whole),
        TEST(a_failure_is_written_over_the_one_before),
        TEST(a_row_that_goes_settles_its_message),
        TEST(a_walk_meets_those_of_the_queue_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
