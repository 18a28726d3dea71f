/* rooms: storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/wal_keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "storage/sqlite_file.h"

static wal_keeper_t keeper;

static int set_up(void **state)
{
    (void)state;
    keeper = (wal_keeper_t){0};
    return 0;
}

static wal_action_t next(void)
{
    return wal_keeper_next(&keeper, false, false, 0);
}

static void a_small_log_is_left_alone_until_nobody_waits(void **state)
{
    (void)state;
    assert_int_equal(wal_keeper_next(&keeper, false, true, 0), WAL_REST);
    wal_keeper_committed(&keeper, CHECKPOINT_FRAMES - 1);
    assert_int_equal(next(), WAL_REST);
    assert_int_equal(wal_keeper_next(&keeper, false, true, 0), WAL_ASK);
    assert_int_equal(wal_keeper_next(&keeper, false, true, 0), WAL_REST); /* one at a time */
    wal_keeper_moved(&keeper, 0, CHECKPOINT_FRAMES - 1, false, 0);
    assert_int_equal(wal_keeper_next(&keeper, false, true, 0), WAL_REST);
}

static void the_thread_moves_most_and_the_writer_the_few_that_are_left(void **state)
{
    (void)state;
    wal_keeper_committed(&keeper, CHECKPOINT_FRAMES);
    assert_int_equal(next(), WAL_ASK);
    wal_keeper_committed(&keeper, WAL_RESTART_FRAMES);
    assert_int_equal(next(), WAL_REST);
    wal_keeper_moved(&keeper, 0, CHECKPOINT_FRAMES, false, 0);
    assert_int_equal(next(), WAL_ASK);
    wal_keeper_committed(&keeper, WAL_RESTART_FRAMES + WAL_SHORT);
    wal_keeper_moved(&keeper, 0, WAL_RESTART_FRAMES, false, 0);
    assert_int_equal(next(), WAL_MOVE);
    wal_keeper_moved(&keeper, 0, WAL_RESTART_FRAMES + WAL_SHORT, false, 0);
    assert_int_equal(next(), WAL_REST);
    wal_keeper_committed(&keeper, 3); /* so it began again */
    assert_int_equal(keeper.round, 1);
    assert_int_equal(keeper.moved, 0);
}

static void without_a_thread_the_writer_moves_all(void **state)
{
    (void)state;
    wal_keeper_committed(&keeper, 1);
    assert_int_equal(wal_keeper_next(&keeper, true, false, 0), WAL_REST);
    assert_int_equal(wal_keeper_next(&keeper, true, true, 0), WAL_MOVE);
    wal_keeper_committed(&keeper, CHECKPOINT_FRAMES);
    assert_int_equal(wal_keeper_next(&keeper, true, false, 0), WAL_MOVE);
}

static void a_thread_that_is_too_slow_is_helped(void **state)
{
    (void)state;
    wal_keeper_committed(&keeper, WAL_FRAMES_MAX);
    wal_keeper_moved(&keeper, 0, WAL_FRAMES_MAX - WAL_LONG - 1, false, 0);
    assert_int_equal(next(), WAL_ASK);
    wal_keeper_moved(&keeper, 0, WAL_FRAMES_MAX - WAL_LONG, false, 0);
    assert_int_equal(next(), WAL_MOVE);
    wal_keeper_committed(&keeper, 2 * WAL_FRAMES_MAX);
    wal_keeper_moved(&keeper, 0, 0, false, 0);
    assert_int_equal(next(), WAL_MOVE);
}

static void what_cannot_be_moved_is_tried_again_later(void **state)
{
    (void)state;
    wal_keeper_committed(&keeper, CHECKPOINT_FRAMES);
    assert_int_equal(next(), WAL_ASK);
    wal_keeper_moved(&keeper, 0, 10, true, 5000);
    assert_int_equal(wal_keeper_next(&keeper, false, true, 5000 + WAL_RETRY_MS - 1), WAL_REST);
    assert_int_equal(wal_keeper_next(&keeper, false, true, 5000 + WAL_RETRY_MS), WAL_ASK);
}

static void an_answer_about_the_log_before_says_nothing_of_this_one(void **state)
{
    (void)state;
    wal_keeper_committed(&keeper, CHECKPOINT_FRAMES);
    assert_int_equal(next(), WAL_ASK);
    wal_keeper_committed(&keeper, 2);
    wal_keeper_moved(&keeper, 0, CHECKPOINT_FRAMES, false, 0);
    assert_int_equal(keeper.moved, 0);
    wal_keeper_moved(&keeper, 1, 9, false, 0); /* more than it had at the last commit */
    assert_int_equal(keeper.moved, 2);
}

static void a_large_log_is_told_once(void **state)
{
    (void)state;
    wal_keeper_committed(&keeper, WAL_FRAMES_MAX - 1);
    assert_false(wal_keeper_alarm(&keeper));
    wal_keeper_committed(&keeper, WAL_FRAMES_MAX);
    assert_true(wal_keeper_alarm(&keeper));
    assert_false(wal_keeper_alarm(&keeper));
    wal_keeper_committed(&keeper, 1);
    assert_false(wal_keeper_alarm(&keeper));
    wal_keeper_committed(&keeper, WAL_FRAMES_MAX);
    assert_true(wal_keeper_alarm(&keeper));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_small_log_is_left_alone_until_nobody_waits, set_up),
        cmocka_unit_test_setup(the_thread_moves_most_and_the_writer_the_few_that_are_left, set_up),
        cmocka_unit_test_setup(without_a_thread_the_writer_moves_all, set_up),
        cmocka_unit_test_setup(a_thread_that_is_too_slow_is_helped, set_up),
        cmocka_unit_test_setup(what_cannot_be_moved_is_tried_again_later, set_up),
        cmocka_unit_test_setup(an_answer_about_the_log_before_says_nothing_of_this_one, set_up),
        cmocka_unit_test_setup(a_large_log_is_told_once, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
