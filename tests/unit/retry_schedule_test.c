/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/retry_schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DATABASE = RETRY_LETTERS + 1, CHILD };

static const retry_rules_t rules = {.base_ms = 1000, .cap_ms = 300000, .tries = 3};
static retry_schedule_t *schedule;

static int set_up(void **state)
{
    (void)state;
    schedule = retry_schedule_new(&rules);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    retry_schedule_free(&schedule);
    assert_null(schedule);
    return 0;
}

static void stage(const char *user, int64_t row, unsigned runner, int64_t at_ms)
{
    const retry_event_t event = {.row = row, .runner = runner};
    retry_schedule_add(schedule, text_of(user), &event, at_ms);
}

static void add(const char *user, int64_t row, unsigned runner)
{
    stage(user, row, runner, 0);
    retry_schedule_keep(schedule, 0);
}

/* The next lane of the runner, whose first event has that row; 0: there is none. */
static retry_lane_t *take(unsigned runner, int64_t row)
{
    retry_lane_t *lane = retry_schedule_take(schedule, runner);
    if (row == 0)
        assert_null(lane);
    else
        assert_int_equal(retry_lane_event(lane)->row, row);
    return lane;
}

static retry_verdict_t fail_at(retry_lane_t *lane, bool permanent, int64_t now_ms, uint64_t random)
{
    const retry_verdict_t verdict = retry_schedule_judge(schedule, lane, permanent, random);
    retry_schedule_failed(schedule, lane, &verdict, now_ms);
    return verdict;
}

static void a_user_has_one_event_out_at_a_time_in_order(void **state)
{
    (void)state;
    add("ada", 1, CHILD);
    add("ada", 2, CHILD);
    add("ada", 3, DATABASE);
    retry_lane_t *lane = take(CHILD, 1);
    take(CHILD, 0);
    take(DATABASE, 0);
    retry_schedule_done(schedule, lane, 0);
    lane = take(CHILD, 2);
    retry_schedule_done(schedule, lane, 0);
    assert_true(retry_schedule_holds(schedule, TEXT("ada")));
    lane = take(DATABASE, 3);
    assert_true(retry_schedule_holds(schedule, TEXT("ada"))); /* also while it runs */
    retry_schedule_done(schedule, lane, 0);
    assert_false(retry_schedule_holds(schedule, TEXT("ada")));
    assert_int_equal(retry_schedule_events(schedule), 0);
    assert_int_equal(retry_schedule_lanes(schedule), 0);
}

static void users_take_turns_and_flow_past_one_that_pauses(void **state)
{
    (void)state;
    add("ada", 1, CHILD);
    add("bob", 2, CHILD);
    add("ada", 3, CHILD);
    add("bob", 4, CHILD);
    retry_lane_t *ada = take(CHILD, 1);
    retry_lane_t *bob = take(CHILD, 2);
    fail_at(ada, false, 0, 999); /* pauses 1000 */
    retry_schedule_done(schedule, bob, 0);
    bob = take(CHILD, 4);
    take(CHILD, 0);
    retry_schedule_done(schedule, bob, 0);
    assert_int_equal(retry_schedule_next_ms(schedule), 1000);
    retry_schedule_wake(schedule, 999);
    take(CHILD, 0);
    retry_schedule_wake(schedule, 1000);
    assert_int_equal(retry_schedule_next_ms(schedule), INT64_MAX);
    ada = take(CHILD, 1);
    assert_int_equal(retry_lane_event(ada)->attempts, 1);
    retry_schedule_done(schedule, ada, 1000);
    retry_schedule_done(schedule, take(CHILD, 3), 1000);
}

static void after_the_last_try_it_goes_to_the_letters_and_holds_its_lane(void **state)
{
    (void)state;
    add("ada", 1, CHILD);
    add("ada", 2, CHILD);
    for (int64_t attempt = 1; attempt <= rules.tries; attempt++) {
        const retry_verdict_t verdict = fail_at(take(CHILD, 1), false, 0, 0);
        assert_int_equal(verdict.attempts, attempt);
        assert_int_equal(verdict.is_dead, attempt == rules.tries);
        assert_int_equal(verdict.pause_ms, attempt == rules.tries ? 0 : 1);
        take(CHILD, 0);
        retry_schedule_wake(schedule, 1);
    }
    retry_lane_t *lane = take(RETRY_LETTERS, 1);
    take(CHILD, 0);
    retry_schedule_put_back(schedule, lane); /* the letter was lost with its connection */
    lane = take(RETRY_LETTERS, 1);
    retry_schedule_done(schedule, lane, 0);
    take(CHILD, 2);
}

static void what_failed_for_good_is_dead_at_once(void **state)
{
    (void)state;
    add("ada", 1, DATABASE);
    const retry_verdict_t verdict = fail_at(take(DATABASE, 1), true, 0, 5);
    assert_true(verdict.is_dead);
    assert_int_equal(verdict.attempts, 1);
    take(RETRY_LETTERS, 1);
}

static void a_judgement_changes_nothing(void **state)
{
    (void)state;
    add("ada", 1, CHILD);
    retry_lane_t *lane = take(CHILD, 1);
    assert_int_equal(retry_schedule_judge(schedule, lane, true, 0).attempts, 1);
    assert_int_equal(retry_schedule_judge(schedule, lane, false, 0).attempts, 1);
    assert_int_equal(retry_lane_event(lane)->attempts, 0);
}

static void one_that_was_put_back_is_the_next(void **state)
{
    (void)state;
    add("ada", 1, CHILD);
    add("bob", 2, CHILD);
    retry_schedule_put_back(schedule, take(CHILD, 1));
    retry_lane_t *lane = take(CHILD, 1);
    assert_int_equal(retry_lane_event(lane)->attempts, 0);
    take(CHILD, 2);
    retry_schedule_put_back(schedule, lane); /* into an empty list */
    add("eve", 3, CHILD);
    take(CHILD, 1);
    take(CHILD, 3);
}

static void what_is_not_kept_can_be_taken_back(void **state)
{
    (void)state;
    add("ada", 1, CHILD);
    stage("ada", 2, CHILD, 0);
    stage("bob", 3, CHILD, 0);
    stage("ada", 4, CHILD, 0);
    stage("bob", 5, CHILD, 0);
    assert_true(
        retry_schedule_holds(schedule, TEXT("bob"))); /* those behind it in the batch must know */
    assert_int_equal(retry_schedule_events(schedule), 5);
    retry_schedule_take_back(schedule);
    assert_false(retry_schedule_holds(schedule, TEXT("bob")));
    assert_int_equal(retry_schedule_events(schedule), 1);
    add("ada", 6, CHILD);
    retry_schedule_done(schedule, take(CHILD, 1), 0);
    retry_schedule_done(schedule, take(CHILD, 6), 0);
    take(CHILD, 0);
}

/* Its user's lane is out when a batch brings more, or takes it back. */
static void a_lane_that_is_out_grows_and_shrinks(void **state)
{
    (void)state;
    add("ada", 1, CHILD);
    retry_lane_t *lane = take(CHILD, 1);
    stage("ada", 2, CHILD, 0);
    retry_schedule_take_back(schedule);
    add("ada", 3, CHILD);
    take(CHILD, 0);
    retry_schedule_done(schedule, lane, 0);
    take(CHILD, 3);
}

static void a_new_event_may_have_to_wait_first(void **state)
{
    (void)state;
    stage("ada", 1, DATABASE, 50);
    retry_schedule_keep(schedule, 10);
    take(DATABASE, 0);
    assert_int_equal(retry_schedule_next_ms(schedule), 50);
    retry_schedule_wake(schedule, 50);
    take(DATABASE, 1);
}

static void many_wake_in_the_order_of_their_times(void **state)
{
    enum { LANES = 500 };
    int64_t last = 0;
    (void)state;
    for (int i = 0; i < LANES; i++) {
        char user[16];
        snprintf(user, sizeof(user), "u-%d", i);
        stage(user, i + 1, CHILD, 1 + i * 7919 % LANES);
    }
    retry_schedule_keep(schedule, 0);
    for (int i = 0; i < LANES; i++) {
        int64_t next_ms = retry_schedule_next_ms(schedule);
        assert_true(next_ms > last);
        last = next_ms;
        retry_schedule_wake(schedule, next_ms);
        retry_lane_t *lane = retry_schedule_take(schedule, CHILD);
        assert_non_null(lane);
        assert_int_equal(1 + (retry_lane_event(lane)->row - 1) * 7919 % LANES, next_ms);
        retry_schedule_done(schedule, lane, next_ms);
    }
    assert_int_equal(retry_schedule_lanes(schedule), 0);
}

static void pauses_grow_up_to_the_cap_with_full_jitter(void **state)
{
    static const int64_t most[] = {1000, 2000, 4000, 8000};
    (void)state;
    for (int64_t attempts = 1; attempts <= 4; attempts++) {
        assert_int_equal(retry_pause_ms(&rules, attempts, 0), 1);
        assert_int_equal(retry_pause_ms(&rules, attempts, (uint64_t)most[attempts - 1] - 1),
                         most[attempts - 1]);
        assert_int_equal(retry_pause_ms(&rules, attempts, (uint64_t)most[attempts - 1]), 1);
    }
    assert_int_equal(retry_pause_ms(&rules, 10, 299999), 300000);
    assert_int_equal(retry_pause_ms(&rules, INT64_MAX, 299999), 300000);
    const retry_rules_t tight = {.base_ms = 50, .cap_ms = 20, .tries = 1};
    assert_int_equal(retry_pause_ms(&tight, 1, 19), 20);
}

/* Against a model: random work on many users never runs two events of a user at once, nor out of order. */
static void random_work_keeps_the_order_of_each_user(void **state)
{
    enum { USERS = 20, STEPS = 20000, OUT_MAX = 8 };
    int64_t last_done[USERS] = {0}, next_row = 1, now_ms = 0;
    retry_lane_t *out[OUT_MAX];
    int out_user[OUT_MAX], out_count = 0, owners[STEPS + 1];
    (void)state;
    srand(17);
    for (int step = 0; step < STEPS; step++, now_ms += rand() % 50) {
        int user = rand() % USERS;
        char name[8];
        snprintf(name, sizeof(name), "%d", user);
        retry_schedule_wake(schedule, now_ms);
        if (rand() % 3 == 0) {
            owners[next_row] = user;
            stage(name, next_row++, CHILD, 0);
            if (rand() % 4 == 0) {
                retry_schedule_take_back(schedule);
                continue;
            }
            retry_schedule_keep(schedule, now_ms);
        } else if (out_count < OUT_MAX) {
            unsigned runner = rand() % 2 ? CHILD : RETRY_LETTERS;
            retry_lane_t *lane = retry_schedule_take(schedule, runner);
            if (lane == NULL)
                continue;
            out_user[out_count] = owners[retry_lane_event(lane)->row];
            for (int i = 0; i < out_count; i++)
                assert_int_not_equal(out_user[i], out_user[out_count]);
            out[out_count++] = lane;
        }
        if (out_count == 0 || rand() % 2 == 0)
            continue;
        int which = rand() % out_count;
        retry_lane_t *lane = out[which];
        const retry_event_t event = *retry_lane_event(lane);
        int owner = out_user[which];
        out[which] = out[--out_count];
        out_user[which] = out_user[out_count];
        if (rand() % 3 == 0) {
            retry_schedule_put_back(schedule, lane);
        } else if (event.runner != RETRY_LETTERS && rand() % 2 == 0) {
            fail_at(lane, rand() % 5 == 0, now_ms, (uint64_t)rand());
        } else {
            assert_true(event.row > last_done[owner]);
            last_done[owner] = event.row;
            retry_schedule_done(schedule, lane, now_ms);
        }
    }
    assert_true(retry_schedule_lanes(schedule) <= USERS);
}

static void a_message_of_nobody_has_a_lane_as_well(void **state)
{
    (void)state;
    const retry_event_t event = {.row = 1, .runner = DATABASE};
    retry_schedule_add(schedule, (text_t){NULL, 0}, &event, 0);
    retry_schedule_keep(schedule, 0);
    add("ann", 2, DATABASE);
    assert_true(retry_schedule_holds(schedule, TEXT("")));
    retry_schedule_done(schedule, take(DATABASE, 1), 0);
    assert_false(retry_schedule_holds(schedule, TEXT("")));
    assert_int_equal(retry_schedule_lanes(schedule), 1);
}

static void there_may_be_nothing_to_free(void **state)
{
    retry_schedule_t *nothing = NULL;
    (void)state;
    retry_schedule_free(&nothing);
    assert_null(nothing);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_of_nobody_has_a_lane_as_well),
        TEST(there_may_be_nothing_to_free),
        TEST(a_user_has_one_event_out_at_a_time_in_order),
        TEST(users_take_turns_and_flow_past_one_that_pauses),
        TEST(after_the_last_try_it_goes_to_the_letters_and_holds_its_lane),
        TEST(what_failed_for_good_is_dead_at_once),
        TEST(a_judgement_changes_nothing),
        TEST(one_that_was_put_back_is_the_next),
        TEST(what_is_not_kept_can_be_taken_back),
        TEST(a_lane_that_is_out_grows_and_shrinks),
        TEST(a_new_event_may_have_to_wait_first),
        TEST(many_wake_in_the_order_of_their_times),
        TEST(pauses_grow_up_to_the_cap_with_full_jitter),
        TEST(random_work_keeps_the_order_of_each_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
