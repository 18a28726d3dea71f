/* rooms: store pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/parked_lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BASE_MS = 5000, CAP_MS = 600000, MAX_EVENTS = 10 };

static parked_lanes_t lanes;
static int64_t confirmed[PARTITION_COUNT];
static int64_t now_ms;

static int set_up(void **state)
{
    const parked_lanes_conf_t conf = {BASE_MS, CAP_MS, MAX_EVENTS};
    (void)state;
    parked_lanes_init(&lanes, &conf);
    memset(confirmed, 0, sizeof(confirmed));
    now_ms = 1000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    parked_lanes_fini(&lanes);
    return 0;
}

static const uint8_t *user(uint32_t number)
{
    static uint8_t id[ID_BYTES];
    memset(id, 0, sizeof(id));
    memcpy(id + ID_BYTES - sizeof(number), &number, sizeof(number));
    return id;
}

/* An event of the user, the last of its partition at this position, comes back. */
static parked_lane_t *come_back(uint32_t number, int64_t position, bool counted, uint64_t random)
{
    const lane_failure_t failure = {.counted = counted,
                                    .reason = 312,
                                    .last = position,
                                    .now_ms = now_ms,
                                    .now_us = now_ms * 1000,
                                    .random = random};
    lane_facts_t facts = parked_lanes_failed(&lanes, user(number), &failure);
    return parked_lanes_put(&lanes, &facts, 1, 100);
}

static lane_action_t next(parked_lane_t **lane)
{
    return parked_lanes_next(&lanes, confirmed, now_ms, lane);
}

static void nothing_to_do(void)
{
    parked_lane_t *lane;
    assert_int_equal(next(&lane), LANE_ACTION_NONE);
    assert_null(lane);
}

/* Does what a probe does, its event at this position. */
static void probe(parked_lane_t *lane, int64_t position)
{
    const lane_facts_t facts = parked_lane_probed(lane, position);
    parked_lanes_put(&lanes, &facts, -1, -100);
}

static void a_lane_waits_for_its_time_and_its_position(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 999), *found;
    (void)state;
    assert_int_equal(lane->facts.state, PARKED_WAITING);
    assert_int_equal(lane->facts.due_ms, now_ms + 1000);
    assert_int_equal(parked_lanes_due_ms(&lanes), now_ms + 1000);
    confirmed[lane->partition] = 19;
    nothing_to_do();
    now_ms += 1000;
    nothing_to_do(); /* the position is not reached */
    assert_int_equal(parked_lanes_due_ms(&lanes), now_ms + SETTLE_MS);
    confirmed[lane->partition] = 20;
    nothing_to_do();
    now_ms += SETTLE_MS;
    assert_int_equal(next(&found), LANE_ACTION_PROBE);
    assert_ptr_equal(found, lane);
}

static void it_opens_step_by_step_and_ends(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 0), *found;
    (void)state;
    come_back(1, 20, true, 0); /* another one that was on its way */
    come_back(1, 20, true, 0);
    assert_int_equal(lane->events, 3);
    confirmed[lane->partition] = 20;
    now_ms += BASE_MS;
    assert_int_equal(next(&found), LANE_ACTION_PROBE);
    probe(lane, 30);
    assert_int_equal(lane->facts.state, PARKED_OPENING);
    nothing_to_do();
    assert_int_equal(parked_lanes_due_ms(&lanes), INT64_MAX);
    confirmed[lane->partition] = 30;
    assert_int_equal(next(&found), LANE_ACTION_STEP);
    const lane_facts_t facts = parked_lane_stepped(lane, 32);
    parked_lanes_put(&lanes, &facts, -2, -200);
    confirmed[lane->partition] = 31;
    nothing_to_do();
    confirmed[lane->partition] = 32;
    assert_int_equal(next(&found), LANE_ACTION_END);
    assert_ptr_equal(found, lane);
    parked_lanes_remove(&lanes, lane);
    assert_null(parked_lanes_find(&lanes, user(1)));
    nothing_to_do();
    assert_int_equal(lanes.summary.events + lanes.summary.bytes + lanes.summary.retrying, 0);
}

static void failures_lead_to_quarantine(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 0), *found;
    (void)state;
    for (int i = 1; i <= QUARANTINE_TRIES; i++) {
        assert_int_equal(lane->facts.state, PARKED_WAITING);
        confirmed[lane->partition] = lane->facts.closed_at;
        now_ms += CAP_MS;
        assert_int_equal(next(&found), LANE_ACTION_PROBE);
        probe(lane, 20 + i);
        come_back(1, 20 + i, true, 0);
        assert_int_equal(lane->facts.tries, i);
    }
    assert_int_equal(lane->facts.state, PARKED_QUARANTINED);
    assert_int_equal(lanes.summary.quarantined, 1);
    assert_int_equal(lanes.summary.retrying, 0);
    confirmed[lane->partition] = INT64_MAX;
    now_ms += 1000 * CAP_MS;
    nothing_to_do();
    come_back(1, 99, true, 0); /* a late one changes nothing */
    assert_int_equal(lane->facts.closed_at, 20 + QUARANTINE_TRIES);
    const lane_facts_t facts = parked_lane_released(lane, now_ms);
    parked_lanes_put(&lanes, &facts, 0, 0);
    assert_int_equal(lane->facts.tries, 0);
    assert_int_equal(next(&found), LANE_ACTION_PROBE);
}

static void what_is_not_counted_only_waits_longer(void **state)
{
    parked_lane_t *lane = come_back(1, 20, false, UINT64_MAX);
    int64_t longest = 0;
    (void)state;
    for (int i = 1; i < 40; i++) {
        probe(lane, 20 + i);
        come_back(1, 20 + i, false, UINT64_C(0x123456789) * (uint64_t)i);
        int64_t delay = lane->facts.due_ms - now_ms;
        assert_in_range(delay, 1, CAP_MS);
        longest = delay > longest ? delay : longest;
    }
    assert_int_equal(lane->facts.state, PARKED_WAITING);
    assert_int_equal(lane->facts.tries, 0);
    assert_true(longest > CAP_MS / 2);
}

static void an_event_that_went_through_makes_failures_forgotten(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 0);
    (void)state;
    come_back(1, 20, true, 0);
    come_back(1, 20, true, 0);
    probe(lane, 21);
    come_back(1, 21, true, 0);
    assert_int_equal(lane->facts.tries, 1);
    probe(lane, 22);
    const lane_facts_t facts = parked_lane_stepped(lane, 24);
    assert_int_equal(facts.tries + facts.failures, 0);
}

static void new_events_queue_behind_what_is_parked(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 0);
    (void)state;
    assert_true(parked_lane_takes(lane));
    parked_lanes_add(&lanes, lane, 50);
    parked_lanes_commit(&lanes);
    probe(lane, 30);
    assert_true(parked_lane_takes(lane)); /* one is parked still */
    const lane_facts_t facts = parked_lane_stepped(lane, 31);
    parked_lanes_put(&lanes, &facts, -1, -50);
    assert_false(parked_lane_takes(lane)); /* all are in the log, and so is what follows */
    assert_false(parked_lane_is_full(&lanes, lane));
}

static void a_lane_is_full_at_its_bound(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 0), *other = come_back(2, 21, true, 0);
    (void)state;
    for (int i = 1; i < MAX_EVENTS; i++) {
        assert_false(parked_lane_is_full(&lanes, lane));
        parked_lanes_add(&lanes, lane, 1);
    }
    assert_true(parked_lane_is_full(&lanes, lane));
    assert_false(parked_lane_is_full(&lanes, other));
}

static void a_rollback_forgets_what_was_added(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 0), *other = come_back(2, 21, true, 0);
    (void)state;
    parked_lanes_add(&lanes, lane, 10);
    parked_lanes_commit(&lanes);
    parked_lanes_add(&lanes, lane, 20);
    parked_lanes_add(&lanes, other, 30);
    parked_lanes_add(&lanes, lane, 40);
    parked_lanes_roll_back(&lanes);
    assert_int_equal(lane->events, 2);
    assert_int_equal(lane->bytes, 110);
    assert_int_equal(other->events, 1);
    assert_int_equal(lanes.summary.events, 3);
    assert_int_equal(lanes.summary.bytes, 210);
    parked_lanes_roll_back(&lanes);
    assert_int_equal(lanes.summary.events, 3);
}

static void only_so_many_open_at_a_time(void **state)
{
    parked_lane_t *lane;
    int opened = 0;
    (void)state;
    for (uint32_t i = 0; i < OPENING_MAX + 10; i++)
        come_back(i, 1, true, 0);
    memset(confirmed, 1, sizeof(confirmed));
    now_ms += BASE_MS;
    while (next(&lane) == LANE_ACTION_PROBE) {
        const lane_facts_t facts = parked_lane_probed(lane, INT64_MAX);
        parked_lanes_put(&lanes, &facts, -1, -100);
        opened++;
    }
    assert_int_equal(opened, OPENING_MAX);
    assert_int_equal(parked_lanes_due_ms(&lanes), INT64_MAX);
}

/* Against a plain list: the lane that is due first comes first, through all changes. */
static void the_one_that_is_due_first_comes_first(void **state)
{
    enum { LANES = 300 };
    static int64_t due[LANES];
    parked_lane_t *lane;
    (void)state;
    srand(7);
    for (uint32_t i = 0; i < LANES; i++)
        due[i] = come_back(i, 0, true, (uint64_t)rand())->facts.due_ms;
    for (uint32_t i = 0; i < LANES; i += 3) { /* some are released, some go */
        parked_lane_t *changed = parked_lanes_find(&lanes, user(i));
        if (i % 2 == 0) {
            const lane_facts_t facts = parked_lane_released(changed, now_ms + rand() % BASE_MS);
            due[i] = parked_lanes_put(&lanes, &facts, 0, 0)->facts.due_ms;
        } else {
            parked_lanes_remove(&lanes, changed);
            due[i] = INT64_MAX;
        }
    }
    for (;;) {
        int64_t first = INT64_MAX;
        for (uint32_t i = 0; i < LANES; i++)
            first = due[i] < first ? due[i] : first;
        assert_int_equal(parked_lanes_due_ms(&lanes), first);
        if (first == INT64_MAX)
            break;
        now_ms = first;
        assert_int_equal(next(&lane), LANE_ACTION_PROBE);
        uint32_t number;
        memcpy(&number, lane->facts.user_id + ID_BYTES - sizeof(number), sizeof(number));
        assert_int_equal(due[number], first);
        due[number] = INT64_MAX;
        parked_lanes_remove(&lanes, lane);
    }
    assert_int_equal(lanes.count, 0);
}

/* Users whose ids end alike stand in one bucket. */
static void users_of_one_bucket_are_told_apart(void **state)
{
    enum { COUNT = 3 };
    parked_lane_t *made[COUNT];
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++)
        made[i] = come_back(7 + i * PARKED_BUCKETS, 20, true, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_ptr_equal(parked_lanes_find(&lanes, user(7 + i * PARKED_BUCKETS)), made[i]);
    assert_null(parked_lanes_find(&lanes, user(7 + COUNT * PARKED_BUCKETS)));
    parked_lanes_remove(&lanes, made[1]);
    assert_null(parked_lanes_find(&lanes, user(7 + PARKED_BUCKETS)));
    assert_ptr_equal(parked_lanes_find(&lanes, user(7)), made[0]);
    assert_ptr_equal(parked_lanes_find(&lanes, user(7 + 2 * PARKED_BUCKETS)), made[2]);
    parked_lanes_remove(&lanes, made[0]);
    assert_ptr_equal(parked_lanes_find(&lanes, user(7 + 2 * PARKED_BUCKETS)), made[2]);
}

static void one_that_opens_is_not_disturbed_by_a_release(void **state)
{
    parked_lane_t *lane = come_back(1, 20, true, 0);
    (void)state;
    come_back(1, 20, true, 0);
    probe(lane, 21);
    come_back(1, 21, true, 0);
    probe(lane, 22);
    assert_int_equal(lane->facts.tries, 1);
    const lane_facts_t facts = parked_lane_released(lane, now_ms);
    assert_int_equal(facts.state, PARKED_OPENING);
    assert_int_equal(facts.closed_at, 22);
    assert_int_equal(facts.tries + facts.failures, 0);
}

static void the_first_to_open_may_end_last(void **state)
{
    enum { COUNT = 3 };
    parked_lane_t *made[COUNT], *lane;
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        made[i] = come_back(i, 20, true, 0);
        probe(made[i], 21);
    }
    parked_lanes_remove(&lanes, made[1]);
    memset(confirmed, 1, sizeof(confirmed));
    for (int left = COUNT - 1; left > 0; left--) {
        assert_int_equal(next(&lane), LANE_ACTION_END);
        assert_true(lane == made[0] || lane == made[2]);
        parked_lanes_remove(&lanes, lane);
    }
    nothing_to_do();
}

static void count_visit(void *context, const parked_lane_t *lane)
{
    *(int64_t *)context += lane->events;
}

static void each_lane_is_visited_once(void **state)
{
    enum { COUNT = 100 };
    int64_t seen = 0;
    (void)state;
    parked_lanes_each(&lanes, count_visit, &seen);
    assert_int_equal(seen, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        come_back(i * 50, 20, true, 0); /* some of one bucket */
    parked_lanes_each(&lanes, count_visit, &seen);
    assert_int_equal(seen, COUNT);
}

#define WITH_LANES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LANES(a_lane_waits_for_its_time_and_its_position),
        WITH_LANES(it_opens_step_by_step_and_ends),
        WITH_LANES(failures_lead_to_quarantine),
        WITH_LANES(what_is_not_counted_only_waits_longer),
        WITH_LANES(an_event_that_went_through_makes_failures_forgotten),
        WITH_LANES(new_events_queue_behind_what_is_parked),
        WITH_LANES(a_lane_is_full_at_its_bound),
        WITH_LANES(a_rollback_forgets_what_was_added),
        WITH_LANES(only_so_many_open_at_a_time),
        WITH_LANES(the_one_that_is_due_first_comes_first),
        WITH_LANES(the_first_to_open_may_end_last),
        WITH_LANES(each_lane_is_visited_once),
        WITH_LANES(users_of_one_bucket_are_told_apart),
        WITH_LANES(one_that_opens_is_not_disturbed_by_a_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
