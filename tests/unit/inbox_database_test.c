/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/inbox_database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "actors/consumer/processors.h"
#include "pipeline/clock.h"
#include "proto/errors.h"

#define KEEP_US ((int64_t)30 * 24 * 3600 * 1000000)

static const inbox_limits_t limits = {KEEP_US, 100000000};
static char folder[64], path[128], url[160];
static inbox_database_t *database;
static detail_t detail;
static int64_t now_us;

static void well(int error)
{
    if (error != 0)
        fail_msg("error %d: %s", error, detail.text);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/inbox-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/worker.db", folder);
    snprintf(url, sizeof(url), "sqlite:%s", path);
    now_us = clock_wall_us();
    well(inbox_database_open(&database, url, &detail));
    inbox_database_limit(database, &limits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    inbox_database_close(&database);
    for (int i = 0; i < 3; i++) {
        char file[160];
        snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        unlink(file);
    }
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static void reopen(void)
{
    inbox_database_close(&database);
    assert_null(database);
    well(inbox_database_open(&database, url, &detail));
}

static bool mark(const char *message_id)
{
    const inbox_message_t message = {text_of(message_id), EVENT_USER_READ, 1};
    inbox_marked_t marked;
    well(inbox_mark(database, &message, INBOX_PROCESSED, &marked));
    assert_int_not_equal(marked, MARKED_AGAIN);
    return marked == MARKED_NEW;
}

static inbox_totals_t totals(void)
{
    inbox_totals_t out;
    well(inbox_totals_read(database, &out));
    return out;
}

/* --- events and what becomes of them ---------------------------------------------------------- */

static incoming_event_t about(const char *key, int64_t sequence, const char *time)
{
    return (incoming_event_t){.user_key = text_of(key),
                              .email = TEXT("ada@example.org"),
                              .first_name = TEXT("Ada"),
                              .last_name = TEXT("Lovelace"),
                              .validity = USER_VALID,
                              .registered_at = TEXT("registered"),
                              .occurred_at = text_of(time),
                              .sequence = sequence};
}

static bool apart; /* what the processor does is done by itself */

static void apply(const char *name, const incoming_event_t *event)
{
    const processor_t *processor = processor_find(name);
    sequence_step_t step;
    rejection_t why;
    bool done;
    well(projection_keep(database, event, apart ? EFFECT_NONE : processor->effect, &step, &done));
    assert_false(done && apart);
    if (!done)
        well(processor_run(processor, database, event, &why));
}

static void process(const char *processor, const incoming_event_t *event)
{
    static int number;
    char id[24];
    snprintf(id, sizeof(id), "event-%d", ++number);
    well(inbox_begin(database, now_us));
    assert_true(mark(id));
    apply(processor, event);
    well(inbox_commit(database));
}

/* A copy of a visited user, as texts. */
typedef struct seen {
    int count;
    char keys[128]; /* of all, in the order of the visits */
    char last[256]; /* of the last one */
} seen_t;

static void look(void *context, const projected_user_t *user)
{
    seen_t *seen = context;
    size_t size = strlen(seen->keys);
    snprintf(seen->keys + size, sizeof(seen->keys) - size, "%.*s ", (int)user->key.size,
             user->key.data);
    seen->count++;
    snprintf(seen->last, sizeof(seen->last),
             "%.*s|%.*s %.*s|%s at '%.*s'|%d views|%d updates, last '%.*s'|%s, disabled '%.*s'",
             (int)user->email.size, user->email.data, (int)user->first_name.size,
             user->first_name.data, (int)user->last_name.size, user->last_name.data,
             user->is_registered ? "registered" : "unregistered", (int)user->registered_at.size,
             user->registered_at.data, (int)user->views, (int)user->updates,
             (int)user->last_update.size, user->last_update.data,
             user->is_valid ? "valid" : "invalid", (int)user->disabled_at.size,
             user->disabled_at.data);
}

static seen_t users(int limit)
{
    seen_t seen = {0};
    well(inbox_walk_users(database, limit, look, &seen));
    return seen;
}

static void expect_user(const char *expected)
{
    assert_string_equal(users(1).last, expected);
}

static void the_life_of_a_user_is_projected(void **state)
{
    incoming_event_t event = about("u-1", 1, "t1");
    (void)state;
    process("register_processor", &event);
    expect_user("ada@example.org|Ada Lovelace|registered at 'registered'|0 views|"
                "0 updates, last ''|valid, disabled ''");
    event = about("u-1", 2, "t2");
    process("count_user_viewing_processor", &event);
    event = about("u-1", 3, "t3");
    event.first_name = TEXT("Augusta");
    process("notify_user_update", &event);
    event = about("u-1", 4, "t4");
    event.first_name = TEXT("Augusta");
    event.validity = USER_DISABLED;
    process("disable_user_processor", &event);
    expect_user("ada@example.org|Augusta Lovelace|registered at 'registered'|1 views|"
                "1 updates, last 't3'|invalid, disabled 't4'");
    event = about("u-1", 5, "t5");
    process("notify_user_update", &event); /* makes it valid again */
    expect_user("ada@example.org|Ada Lovelace|registered at 'registered'|1 views|"
                "2 updates, last 't5'|valid, disabled ''");
    const inbox_totals_t now = totals();
    assert_int_equal(now.users, 1);
    assert_int_equal(now.registered, 1);
    assert_int_equal(now.disabled, 0);
    assert_int_equal(now.views, 1);
    assert_int_equal(now.updates, 2);
}

static void a_view_before_the_registration_is_not_lost(void **state)
{
    incoming_event_t event = about("u-1", 2, "t2");
    (void)state;
    process("count_user_viewing_processor", &event);
    assert_int_equal(totals().registered, 0);
    assert_int_equal(totals().views, 1);
    event = about("u-1", 1, "t1");
    process("register_processor", &event);
    assert_int_equal(totals().registered, 1);
    assert_int_equal(totals().views, 1);
}

static void a_late_event_counts_but_changes_nothing_known(void **state)
{
    incoming_event_t event = about("u-1", 5, "t5");
    (void)state;
    process("notify_user_update", &event);
    event = about("u-1", 4, "t4");
    event.first_name = TEXT("Old");
    event.validity = USER_DISABLED;
    process("notify_user_update", &event);
    process("disable_user_processor", &event);
    process("count_user_viewing_processor", &event);
    expect_user("ada@example.org|Ada Lovelace|unregistered at ''|1 views|"
                "2 updates, last 't5'|valid, disabled ''");
    /* The control: the next one does, and so does one that has no sequence. */
    event.sequence = 6;
    event.occurred_at = TEXT("t6");
    process("disable_user_processor", &event);
    expect_user("ada@example.org|Old Lovelace|unregistered at ''|1 views|"
                "2 updates, last 't5'|invalid, disabled 't6'");
    event = about("u-1", 0, "t0");
    process("notify_user_update", &event);
    expect_user("ada@example.org|Ada Lovelace|unregistered at ''|1 views|"
                "3 updates, last 't0'|valid, disabled ''");
}

/* Whatever events come in whatever order. */
static void with_or_apart_the_processors_do_the_same(void **state)
{
    static const char *const names[] = {"register_processor", "count_user_viewing_processor",
                                        "notify_user_update", "disable_user_processor"};
    static const char *const keys[] = {"u-1", "u-2"}, *const copies[] = {"v-1", "v-2"};
    static const char *const times[] = {"", "t1", "t2", "t3"};
    (void)state;
    int64_t next[2] = {1, 1};
    srand(11);
    for (int round = 0; round < 600; round++) {
        int user = rand() % 2, choice = rand() % 10;
        int64_t sequence = choice < 6   ? next[user]++
                           : choice < 8 ? 1 + rand() % next[user]
                           : choice < 9 ? 0
                                        : next[user] + rand() % 3;
        const char *name = names[rand() % 4];
        incoming_event_t event = about(keys[user], sequence, times[rand() % 4]);
        event.validity = (validity_t)(rand() % 3);
        event.registered_at = text_of(times[rand() % 4]);
        event.first_name = text_of(times[rand() % 4]);
        apart = false;
        process(name, &event);
        event.user_key = text_of(copies[user]);
        apart = true;
        process(name, &event);
        apart = false;
        const int copy_first = 2; /* the copy was active last */
        seen_t both = users(copy_first), copy = users(1);
        assert_string_equal(both.last, copy.last);
    }
    assert_int_equal(users(4).count, 4);
}

static void what_an_event_does_not_tell_stays(void **state)
{
    incoming_event_t event = about("u-1", 0, "t1");
    (void)state;
    event.validity = USER_DISABLED;
    process("disable_user_processor", &event);
    event = (incoming_event_t){.user_key = TEXT("u-1"), .email = TEXT("new@example.org")};
    process("count_user_viewing_processor", &event);
    expect_user("new@example.org|Ada Lovelace|unregistered at ''|1 views|"
                "0 updates, last ''|invalid, disabled 't1'");
    event.user_key = TEXT("u-2");
    process("register_processor", &event);
    expect_user("new@example.org| |registered at ''|0 views|0 updates, last ''|"
                "valid, disabled ''");
}

static void a_delete_disables_even_when_the_user_is_told_valid(void **state)
{
    incoming_event_t event = about("u-1", 0, "t1");
    (void)state;
    process("disable_user_processor", &event);
    assert_int_equal(totals().disabled, 1);
    event.occurred_at = TEXT("t2");
    event.validity = USER_DISABLED;
    process("disable_user_processor", &event); /* again: the first time stays */
    expect_user("ada@example.org|Ada Lovelace|unregistered at ''|0 views|"
                "0 updates, last ''|invalid, disabled 't1'");
}

static void those_active_last_come_first(void **state)
{
    incoming_event_t events[] = {about("a", 0, ""), about("b", 0, ""), about("c", 0, "")};
    (void)state;
    assert_int_equal(users(10).count, 0);
    for (int i = 0; i < 3; i++)
        process("register_processor", &events[i]);
    process("count_user_viewing_processor", &events[0]);
    assert_string_equal(users(10).keys, "a c b ");
    assert_string_equal(users(2).keys, "a c ");
}

/* --- the inbox -------------------------------------------------------------------------------- */

static void a_message_is_new_once(void **state)
{
    (void)state;
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    assert_false(mark("m-1"));
    assert_true(mark("m-2"));
    well(inbox_commit(database));
    reopen();
    well(inbox_begin(database, now_us));
    assert_false(mark("m-1"));
    assert_true(mark("M-1"));
    well(inbox_commit(database));
}

static void a_rollback_takes_all_back(void **state)
{
    const incoming_event_t event = about("u-1", 1, "t1");
    (void)state;
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    apply("register_processor", &event);
    inbox_tally(database, EVENT_USER_CREATE, 1);
    inbox_rollback(database);
    inbox_rollback(database); /* fine without a transaction */
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    well(inbox_commit(database));
    assert_int_equal(totals().users, 0);
    assert_int_equal(totals().tallies[EVENT_USER_CREATE], 0);
}

static void closing_is_a_rollback(void **state)
{
    (void)state;
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    reopen();
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    well(inbox_commit(database));
}

static void messages_are_counted(void **state)
{
    (void)state;
    for (int batch = 0; batch < 2; batch++) {
        well(inbox_begin(database, now_us));
        for (int tally = 0; tally < TALLY_COUNT; tally++)
            for (int i = 0; i <= tally; i++)
                inbox_tally(database, tally, 1);
        well(inbox_commit(database));
    }
    for (int tally = 0; tally < TALLY_COUNT; tally++)
        assert_int_equal(totals().tallies[tally], 2 * (tally + 1));
}

static void the_inbox_forgets_what_is_too_old(void **state)
{
    (void)state;
    well(inbox_begin(database, now_us));
    assert_true(mark("old"));
    well(inbox_commit(database));
    well(inbox_begin(database, now_us + 1));
    assert_true(mark("younger"));
    well(inbox_commit(database));
    /* As old as allowed: both are still known. */
    well(inbox_begin(database, now_us + KEEP_US));
    well(inbox_commit(database));
    well(inbox_begin(database, now_us));
    assert_false(mark("old"));
    inbox_rollback(database);
    /* A microsecond later the older one is not. */
    well(inbox_begin(database, now_us + KEEP_US + 1));
    well(inbox_commit(database));
    well(inbox_begin(database, now_us));
    assert_true(mark("old"));
    assert_false(mark("younger"));
    inbox_rollback(database);
}

/* A backlog of old rows goes a range at a time, faster than batches add to it. */
static void old_rows_go_in_ranges(void **state)
{
    enum { ROWS = 3 * INBOX_TRIM_ROWS };
    (void)state;
    well(inbox_begin(database, now_us));
    for (int i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m-%d", i);
        assert_true(mark(id));
    }
    well(inbox_commit(database));
    for (int commits = 1; commits <= 2; commits++) {
        well(inbox_begin(database, now_us + 2 * KEEP_US));
        well(inbox_commit(database));
    }
    well(inbox_begin(database, now_us));
    assert_true(mark("m-0"));
    char last_gone[16], first_kept[16];
    snprintf(last_gone, sizeof(last_gone), "m-%d", 2 * INBOX_TRIM_ROWS - 1);
    snprintf(first_kept, sizeof(first_kept), "m-%d", 2 * INBOX_TRIM_ROWS);
    assert_true(mark(last_gone));
    assert_false(mark(first_kept));
    inbox_rollback(database);
}

/* More than the limit allows: the oldest go, counted, though they are not too old. */
static void too_many_messages_are_forgotten_early_and_told(void **state)
{
    const inbox_limits_t few = {KEEP_US, 10};
    (void)state;
    inbox_database_limit(database, &few);
    well(inbox_begin(database, now_us));
    for (int i = 0; i < 15; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m-%d", i);
        assert_true(mark(id));
    }
    well(inbox_commit(database));
    assert_int_equal(inbox_cut_short(database), 5);
    assert_int_equal(totals().tallies[TALLY_CUT_SHORT], 5);
    well(inbox_begin(database, now_us));
    assert_false(mark("m-5"));
    assert_true(mark("m-4"));
    inbox_rollback(database);
    well(inbox_begin(database, now_us));
    well(inbox_commit(database));
    assert_int_equal(inbox_cut_short(database), 0);
}

static void without_a_retention_nothing_is_too_old(void **state)
{
    const inbox_limits_t for_ever = {0, 100};
    (void)state;
    inbox_database_limit(database, &for_ever);
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    well(inbox_commit(database));
    well(inbox_begin(database, now_us + 100 * KEEP_US));
    well(inbox_commit(database));
    well(inbox_begin(database, now_us + 100 * KEEP_US));
    assert_false(mark("m-1"));
    inbox_rollback(database);
}

/* --- what became of a message ------------------------------------------------------------------ */

static inbox_marked_t mark_as(const char *message_id, inbox_outcome_t outcome)
{
    const inbox_message_t message = {text_of(message_id), EVENT_USER_UPDATE, 7};
    inbox_marked_t marked;
    well(inbox_mark(database, &message, outcome, &marked));
    return marked;
}

static void only_the_dead_may_come_again(void **state)
{
    (void)state;
    well(inbox_begin(database, now_us));
    assert_int_equal(mark_as("m-1", INBOX_DEAD), MARKED_NEW);
    assert_int_equal(mark_as("m-1", INBOX_WAITING), MARKED_AGAIN);
    assert_int_equal(mark_as("m-1", INBOX_PROCESSED), MARKED_KNOWN); /* it waits */
    well(inbox_settle(database, TEXT("m-1"), INBOX_DEAD));
    assert_int_equal(mark_as("m-1", INBOX_PROCESSED), MARKED_AGAIN);
    assert_int_equal(mark_as("m-1", INBOX_PROCESSED), MARKED_KNOWN);
    assert_int_equal(mark_as("m-1", INBOX_DEAD), MARKED_KNOWN); /* done is done */
    assert_int_equal(mark_as("m-1", INBOX_PROCESSED), MARKED_KNOWN);
    well(inbox_commit(database));
}

static void what_a_run_did_can_be_undone_alone(void **state)
{
    (void)state;
    const incoming_event_t event = about("u-1", 1, "t1");
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    well(inbox_savepoint(database));
    apply("register_processor", &event);
    well(inbox_undo(database));
    well(inbox_release(database));
    well(inbox_savepoint(database));
    well(inbox_release(database));
    well(inbox_commit(database));
    assert_int_equal(totals().users, 0);
    well(inbox_begin(database, now_us));
    assert_false(mark("m-1"));
    inbox_rollback(database);
}

/* --- sequences -------------------------------------------------------------------------------- */

static void expect_step(int64_t last, int64_t missing, int64_t sequence, int64_t jumped, bool heals)
{
    const sequence_step_t step = sequence_step(last, missing, sequence);
    assert_int_equal(step.missing, jumped);
    assert_int_equal(step.heals, heals);
}

static void a_step_tells_what_is_missing(void **state)
{
    (void)state;
    expect_step(3, 0, 4, 0, false);
    expect_step(3, 0, 5, 1, false);
    expect_step(3, 2, 9, 5, false);
    expect_step(9, 1, 8, 0, true);
    expect_step(9, 0, 8, 0, false); /* nothing is missing, so it is one that comes again */
    expect_step(9, 1, 9, 0, false);
    expect_step(0, 0, 9, 0, false); /* what came before the first one is not ours */
}

static void note(const char *user_key, int64_t sequence)
{
    const incoming_event_t event = about(user_key, sequence, "t");
    process("count_user_viewing_processor", &event);
}

/* One that is to run later. */
static void arrive(const char *user_key, int64_t sequence)
{
    const incoming_event_t event = about(user_key, sequence, "t");
    sequence_step_t step;
    well(inbox_begin(database, now_us));
    well(projection_arrive(database, &event, &step));
    well(inbox_commit(database));
}

static void expect_gaps(int64_t gaps, int64_t healed)
{
    const inbox_totals_t seen = totals();
    assert_int_equal(seen.tallies[TALLY_GAPS], gaps);
    assert_int_equal(seen.tallies[TALLY_GAPS_HEALED], healed);
}

static void gaps_are_counted_per_user_and_may_heal(void **state)
{
    (void)state;
    note("u-1", 5); /* what came before is not ours */
    note("u-2", 1);
    note("u-1", 6);
    note("u-1", 0); /* untold */
    note("u-2", 2);
    expect_gaps(0, 0);
    note("u-1", 9);
    expect_gaps(2, 0);
    note("u-1", 8);
    expect_gaps(2, 1);
    note("u-2", 1); /* old, but nothing of this user is missing */
    note("u-1", 10);
    expect_gaps(2, 1);
    note("u-1", 7);
    note("u-1", 7);
    expect_gaps(2, 2);
    reopen();
    inbox_database_limit(database, &limits);
    note("u-1", 12);
    expect_gaps(3, 2);
}

/* Its sequence counts when it arrives, and what it tells when it runs, which changes no count again. */
static void an_event_that_waits_is_noted_once(void **state)
{
    incoming_event_t third = about("u-1", 3, "t3");
    rejection_t why;
    (void)state;
    arrive("u-1", 2); /* of a user whom nobody knows yet */
    arrive("u-1", 0);
    arrive("u-1", 3);
    arrive("u-1", 6);
    expect_gaps(2, 0);
    arrive("u-1", 4);
    expect_gaps(2, 1);
    assert_int_equal(totals().users, 1);
    third.email = TEXT("new@example.org");
    well(inbox_begin(database, now_us));
    well(projection_keep_arrived(database, &third));
    well(processor_run(processor_find("notify_user_update"), database, &third, &why));
    well(inbox_commit(database));
    expect_gaps(2, 1);
    expect_user("new@example.org|Ada Lovelace|unregistered at ''|0 views|1 updates, last "
                "'t3'|valid, disabled ''");
    note("u-1", 5);
    note("u-1", 7);
    expect_gaps(2, 2);
}

/* --- files ------------------------------------------------------------------------------------ */

/* As the first version left it. */
static void a_file_of_the_first_version_is_taken_over(void **state)
{
    static const char first[] =
        "DROP TABLE waiting;"
        "ALTER TABLE user DROP COLUMN arrived; ALTER TABLE user DROP COLUMN missing;"
        "ALTER TABLE inbox DROP COLUMN kind; ALTER TABLE inbox DROP COLUMN sequence;"
        "ALTER TABLE inbox DROP COLUMN outcome; PRAGMA user_version = 1";
    (void)state;
    const incoming_event_t event = about("u-1", 4, "t1");
    process("register_processor", &event);
    well(inbox_begin(database, now_us));
    assert_true(mark("old"));
    well(inbox_commit(database));
    assert_int_equal(sqlite_file_exec(inbox_database_file(database), first), SQLITE_OK);
    reopen();
    assert_int_equal(totals().registered, 1);
    well(inbox_begin(database, now_us));
    assert_false(mark("old"));
    inbox_rollback(database);
    note("u-1", 5);
    expect_gaps(0, 0);
    note("u-1", 7); /* the projection knew the last one */
    expect_gaps(1, 0);
}

static void two_workers_share_a_file(void **state)
{
    inbox_database_t *other = NULL;
    const inbox_message_t message = {TEXT("m-1"), EVENT_USER_READ, 1};
    inbox_marked_t marked;
    (void)state;
    well(inbox_database_open(&other, url, &detail));
    well(inbox_begin(database, now_us));
    assert_true(mark("m-1"));
    well(inbox_commit(database));
    well(inbox_begin(other, now_us));
    well(inbox_mark(other, &message, INBOX_PROCESSED, &marked));
    assert_int_equal(marked, MARKED_KNOWN);
    well(inbox_commit(other));
    inbox_database_close(&other);
}

static void a_look_changes_nothing(void **state)
{
    inbox_database_t *looking = NULL;
    inbox_totals_t seen;
    (void)state;
    const incoming_event_t event = about("u-1", 1, "t1");
    process("register_processor", &event);
    well(inbox_database_open_readonly(&looking, url, &detail));
    well(inbox_totals_read(looking, &seen));
    assert_int_equal(seen.registered, 1);
    assert_int_equal(inbox_begin(looking, now_us), 0); /* promises no write yet */
    const inbox_message_t message = {TEXT("m"), EVENT_USER_READ, 1};
    inbox_marked_t marked;
    assert_int_equal(inbox_mark(looking, &message, INBOX_PROCESSED, &marked),
                     ERR_STORE_UNAVAILABLE);
    assert_int_equal(marked, MARKED_KNOWN);
    inbox_database_close(&looking);
}

static void a_missing_file_is_told_and_not_made(void **state)
{
    inbox_database_t *looking = NULL;
    char missing[192];
    (void)state;
    snprintf(missing, sizeof(missing), "%s-missing", url);
    assert_int_equal(inbox_database_open_readonly(&looking, missing, &detail), ERR_DATABASE_OPEN);
    assert_null(looking);
    assert_non_null(strstr(detail.text, "start the worker"));
    assert_int_not_equal(access(missing + strlen("sqlite:"), F_OK), 0);
    well(inbox_database_probe(missing, &detail));
    assert_int_not_equal(access(missing + strlen("sqlite:"), F_OK), 0);
    well(inbox_database_probe(url, &detail));
    assert_int_equal(inbox_database_open(&looking, "postgresql://x", &detail), ERR_DATABASE_OPEN);
    assert_null(looking);
}

static off_t file_bytes(void)
{
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    return file.st_size;
}

/* Commits go to the log beside the file; only a checkpoint makes the file grow. */
static void the_log_moves_into_the_file_when_idle(void **state)
{
    (void)state;
    well(inbox_tidy(database, true));
    off_t before = file_bytes();
    well(inbox_begin(database, now_us));
    for (int i = 0; i < 1000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m-%d", i);
        assert_true(mark(id));
    }
    well(inbox_commit(database));
    well(inbox_tidy(database, false)); /* too little to interrupt the work for it */
    assert_int_equal(file_bytes(), before);
    well(inbox_tidy(database, true));
    assert_true(file_bytes() > before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_life_of_a_user_is_projected),
        TEST(a_view_before_the_registration_is_not_lost),
        TEST(a_late_event_counts_but_changes_nothing_known),
        TEST(with_or_apart_the_processors_do_the_same),
        TEST(what_an_event_does_not_tell_stays),
        TEST(a_delete_disables_even_when_the_user_is_told_valid),
        TEST(those_active_last_come_first),
        TEST(a_message_is_new_once),
        TEST(a_rollback_takes_all_back),
        TEST(closing_is_a_rollback),
        TEST(messages_are_counted),
        TEST(the_inbox_forgets_what_is_too_old),
        TEST(old_rows_go_in_ranges),
        TEST(too_many_messages_are_forgotten_early_and_told),
        TEST(without_a_retention_nothing_is_too_old),
        TEST(only_the_dead_may_come_again),
        TEST(what_a_run_did_can_be_undone_alone),
        TEST(a_step_tells_what_is_missing),
        TEST(gaps_are_counted_per_user_and_may_heal),
        TEST(an_event_that_waits_is_noted_once),
        TEST(a_file_of_the_first_version_is_taken_over),
        TEST(two_workers_share_a_file),
        TEST(a_look_changes_nothing),
        TEST(a_missing_file_is_told_and_not_made),
        TEST(the_log_moves_into_the_file_when_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
