/* rooms: bridge pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lanes_t lanes;
static int64_t position;

static int set_up(void **state)
{
    (void)state;
    lanes_init(&lanes);
    position = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lanes_fini(&lanes);
    return 0;
}

static outgoing_event_t *add(char user, event_kind_t kind)
{
    char id[ID_BYTES], user_id[ID_BYTES] = {0};
    memset(id, 0, sizeof(id));
    user_id[ID_BYTES - 1] = user;
    position++;
    memcpy(id, &position, sizeof(position));
    const msg_event_t message = {.position = position,
                                 .kind = kind,
                                 .sequence = position,
                                 .id = {id, ID_BYTES},
                                 .user_id = {user_id, ID_BYTES},
                                 .request_id = TEXT("r"),
                                 .body = TEXT("{}")};
    outgoing_event_t *event = outgoing_event_new(NULL, &message);
    lanes_add(&lanes, event);
    return event;
}

static outgoing_event_t *add_write(char user)
{
    return add(user, EVENT_USER_UPDATE);
}

static outgoing_event_t *add_read(char user)
{
    return add(user, EVENT_USER_READ);
}

static void fail_at(outgoing_event_t *event, int64_t now_ms)
{
    lanes_failed(&lanes, event, 312, now_ms, 0);
}

static void a_write_is_alone(void **state)
{
    outgoing_event_t *first = add_write('a'), *second = add_write('a'), *read = add_read('a');
    (void)state;
    assert_ptr_equal(lanes_next(&lanes), first);
    assert_null(lanes_next(&lanes));
    lanes_confirmed(&lanes, first);
    assert_ptr_equal(lanes_next(&lanes), second);
    assert_null(lanes_next(&lanes));
    lanes_confirmed(&lanes, second);
    assert_ptr_equal(lanes_next(&lanes), read);
    lanes_confirmed(&lanes, read);
    assert_int_equal(lanes.events, 0);
}

static void reads_go_together_but_not_past_a_write(void **state)
{
    outgoing_event_t *reads[3], *write, *late;
    (void)state;
    for (int i = 0; i < 3; i++)
        reads[i] = add_read('a');
    write = add_write('a');
    late = add_read('a');
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(lanes_next(&lanes), reads[i]);
    assert_null(lanes_next(&lanes));
    lanes_confirmed(&lanes, reads[2]);
    lanes_confirmed(&lanes, reads[0]);
    assert_null(lanes_next(&lanes));
    lanes_confirmed(&lanes, reads[1]);
    assert_ptr_equal(lanes_next(&lanes), write);
    assert_null(lanes_next(&lanes));
    lanes_confirmed(&lanes, write);
    assert_ptr_equal(lanes_next(&lanes), late);
}

static void users_take_turns(void **state)
{
    outgoing_event_t *a1 = add_read('a'), *a2 = add_read('a'), *b1 = add_read('b');
    (void)state;
    assert_ptr_equal(lanes_next(&lanes), a1);
    assert_ptr_equal(lanes_next(&lanes), b1);
    assert_ptr_equal(lanes_next(&lanes), a2);
    assert_null(lanes_next(&lanes));
}

static void what_failed_goes_first_and_alone_waits(void **state)
{
    outgoing_event_t *a1 = add_write('a'), *b1 = add_write('b');
    (void)state;
    lanes_next(&lanes);
    lanes_next(&lanes);
    add_write('a');
    outgoing_event_t *b2 = add_write('b');
    fail_at(a1, 1000);
    assert_int_equal(lanes.parked_count, 1);
    lanes_confirmed(&lanes, b1);
    assert_ptr_equal(lanes_next(&lanes), b2); /* others flow */
    assert_null(lanes_next(&lanes));
    assert_true(lanes.next_wake_ms > 1000 && lanes.next_wake_ms <= 1000 + PARK_BASE_MS);
    lanes_wake(&lanes, 1000);
    assert_null(lanes_next(&lanes));
    lanes_wake(&lanes, 1000 + PARK_BASE_MS);
    assert_int_equal(lanes.parked_count, 0);
    assert_ptr_equal(lanes_next(&lanes), a1);
    assert_null(lanes_next(&lanes));
}

static void a_read_that_failed_goes_before_later_ones(void **state)
{
    outgoing_event_t *reads[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        reads[i] = add_read('a');
    for (int i = 0; i < 3; i++)
        lanes_next(&lanes);
    fail_at(reads[1], 0);
    fail_at(reads[0], 0);
    lanes_wake(&lanes, PARK_CAP_MS);
    assert_ptr_equal(lanes_next(&lanes), reads[0]);
    assert_ptr_equal(lanes_next(&lanes), reads[1]);
    assert_ptr_equal(lanes_next(&lanes), reads[3]); /* the third is in flight still */
    assert_null(lanes_next(&lanes));
}

static void a_lost_connection_begins_all_again(void **state)
{
    outgoing_event_t *a1 = add_read('a'), *a2 = add_read('a'), *b1 = add_write('b');
    (void)state;
    while (lanes_next(&lanes) != NULL)
        ;
    assert_int_equal(lanes.in_flight, 3);
    lanes_requeue_all(&lanes);
    assert_int_equal(lanes.in_flight, 0);
    int seen = 0;
    for (outgoing_event_t *event; (event = lanes_next(&lanes)) != NULL; seen++)
        assert_true(event == a1 || event == a2 || event == b1);
    assert_int_equal(seen, 3);
}

static void waiting_grows_and_a_success_resets_it(void **state)
{
    outgoing_event_t *a1 = add_write('a');
    (void)state;
    int64_t longest = 0;
    for (int i = 0; i < 30; i++) {
        assert_ptr_equal(lanes_next(&lanes), a1);
        lanes_failed(&lanes, a1, 0, 0, UINT64_MAX / 2);
        assert_true(lanes.next_wake_ms <= PARK_CAP_MS);
        longest = lanes.next_wake_ms > longest ? lanes.next_wake_ms : longest;
        lanes_wake(&lanes, PARK_CAP_MS);
    }
    assert_true(longest > 10 * PARK_BASE_MS);
    outgoing_event_t *a2 = add_write('a');
    lanes_confirmed(&lanes, lanes_next(&lanes));
    assert_ptr_equal(lanes_next(&lanes), a2);
    fail_at(a2, 0);
    assert_true(lanes.next_wake_ms <= PARK_BASE_MS);
}

/* --- lanes that leave ------------------------------------------------------------------------- */

enum {
    ENOUGH = LANE_TRIES + 1
}; /* the first failure is not counted: nothing could pass before it */

static void confirm_one_of(char user)
{
    outgoing_event_t *event = add_write(user);
    assert_ptr_equal(lanes_next(&lanes), event);
    lanes_confirmed(&lanes, event);
}

/* Lets the event fail; it must be the next one to go. */
static void fail_again(outgoing_event_t *event)
{
    lanes_wake(&lanes, INT64_MAX);
    assert_ptr_equal(lanes_next(&lanes), event);
    fail_at(event, 0);
}

static void expect_left(outgoing_event_t *event, bool counted, int reason)
{
    departure_t how = {0};
    assert_ptr_equal(lanes_take_left(&lanes, &how), event);
    assert_int_equal(how.counted, counted);
    assert_int_equal(how.reason, reason);
    free(event);
}

static void no_more_left(void)
{
    departure_t how;
    assert_null(lanes_take_left(&lanes, &how));
}

static void a_lane_that_keeps_failing_leaves(void **state)
{
    outgoing_event_t *a1 = add_write('a'), *a2 = add_read('a'), *a3;
    (void)state;
    for (int i = 0; i < ENOUGH; i++) {
        no_more_left();
        fail_again(a1);
        confirm_one_of('b');
    }
    assert_int_equal(lanes.parked_count, 0);
    a3 = add_write('a'); /* comes later, for the closed lane */
    expect_left(a1, true, 312);
    expect_left(a2, true, 312);
    expect_left(a3, true, 312);
    no_more_left();
    assert_int_equal(lanes.events, 0);
    expect_left(add_write('a'), true, 312);
    confirm_one_of('b');
}

static void a_broker_that_refuses_everybody_is_no_lane_s_fault(void **state)
{
    outgoing_event_t *a1 = add_write('a'), *b1 = add_write('b');
    (void)state;
    for (int i = 0; i < 10 * ENOUGH; i++) {
        lanes_wake(&lanes, INT64_MAX);
        assert_non_null(lanes_next(&lanes));
        assert_non_null(lanes_next(&lanes));
        fail_at(a1, 0);
        fail_at(b1, 0);
    }
    no_more_left();
    assert_int_equal(lanes.parked_count, 2);
}

static void own_events_that_pass_prove_nothing(void **state)
{
    outgoing_event_t *bad = add_read('a');
    (void)state;
    for (int i = 0; i < 10 * ENOUGH; i++) {
        outgoing_event_t *good = add_read('a');
        lanes_wake(&lanes, INT64_MAX);
        assert_ptr_equal(lanes_next(&lanes), bad);
        assert_ptr_equal(lanes_next(&lanes), good);
        lanes_confirmed(&lanes, good);
        fail_at(bad, 0);
    }
    no_more_left();
}

/* Of a hot user: what passes beside the bad event must not make its failures forgotten. */
static void a_bad_read_among_good_ones_is_found(void **state)
{
    outgoing_event_t *bad = add_read('a');
    (void)state;
    for (int i = 0; i < ENOUGH; i++) {
        outgoing_event_t *good = add_read('a');
        lanes_wake(&lanes, INT64_MAX);
        assert_ptr_equal(lanes_next(&lanes), bad);
        assert_ptr_equal(lanes_next(&lanes), good);
        fail_at(bad, 0);
        lanes_confirmed(&lanes, good);
        confirm_one_of('b');
    }
    expect_left(bad, true, 312);
    no_more_left();
}

static void a_burst_of_failures_is_one_try(void **state)
{
    outgoing_event_t *reads[20];
    (void)state;
    for (int i = 0; i < 20; i++)
        reads[i] = add_read('a');
    for (int i = 0; i < 20; i++)
        lanes_next(&lanes);
    for (int i = 0; i < 20; i++) {
        fail_at(reads[i], 0);
        confirm_one_of('b');
    }
    assert_int_equal(reads[0]->lane->tries, 0);
    assert_int_equal(reads[0]->lane->backoff.tries, 1);
    no_more_left();
}

static void it_leaves_only_when_nothing_of_it_is_in_flight(void **state)
{
    outgoing_event_t *bad = add_read('a'), *slow = add_read('a');
    (void)state;
    lanes_next(&lanes);
    lanes_next(&lanes);
    fail_at(bad, 0);
    for (int i = 1; i < ENOUGH; i++) {
        confirm_one_of('b');
        fail_again(bad);
    }
    no_more_left();
    assert_int_equal(bad->lane->state, LANE_LEAVING);
    outgoing_event_t *late = add_read('a');
    lanes_confirmed(&lanes, slow);
    expect_left(bad, true, 312);
    expect_left(late, true, 312);
    no_more_left();
}

static void a_lost_connection_lets_it_leave_too(void **state)
{
    outgoing_event_t *bad = add_read('a'), *slow = add_read('a');
    (void)state;
    lanes_next(&lanes);
    lanes_next(&lanes);
    fail_at(bad, 0);
    for (int i = 1; i < ENOUGH; i++) {
        confirm_one_of('b');
        fail_again(bad);
    }
    no_more_left();
    lanes_requeue_all(&lanes);
    expect_left(bad, true, 312);
    expect_left(slow, true, 312);
    no_more_left();
}

static void a_parked_lane_may_hold_only_so_many(void **state)
{
    outgoing_event_t *bad = add_write('a');
    (void)state;
    fail_again(bad);
    for (int i = 1; i <= LANE_HELD_MAX; i++)
        add_write('a');
    no_more_left(); /* none of its tries was counted */
    confirm_one_of('b');
    fail_again(bad);
    no_more_left();
    add_write('a');
    for (int i = 0; i < LANE_HELD_MAX + 2; i++) {
        departure_t how;
        outgoing_event_t *event = lanes_take_left(&lanes, &how);
        assert_non_null(event);
        assert_true(how.counted);
        free(event);
    }
    no_more_left();
}

static void when_nothing_can_move_the_fullest_lane_yields(void **state)
{
    outgoing_event_t *a1 = add_write('a'), *b1 = add_write('b'), *b2 = add_write('b');
    (void)state;
    assert_false(lanes_yield(&lanes));
    lanes_next(&lanes);
    lanes_next(&lanes);
    fail_at(a1, 0);
    assert_false(lanes_yield(&lanes)); /* one is in flight */
    fail_at(b1, 0);
    assert_true(lanes_yield(&lanes));
    expect_left(b1, false, 312);
    expect_left(b2, false, 312);
    no_more_left();
    add_write('c');
    assert_false(lanes_yield(&lanes)); /* one may go */
}

static void a_closed_lane_is_opened_again(void **state)
{
    const uint8_t user[ID_BYTES] = {[ID_BYTES - 1] = 'a'};
    (void)state;
    lanes_open(&lanes, user); /* of nobody: nothing */
    lanes_close(&lanes, user);
    lanes_close(&lanes, user);
    expect_left(add_write('a'), false, 0);
    expect_left(add_write('a'), false, 0);
    assert_null(lanes_next(&lanes));
    lanes_open(&lanes, user);
    outgoing_event_t *event = add_write('a');
    no_more_left();
    assert_ptr_equal(lanes_next(&lanes), event);
    for (int i = 0; i < LANE_TRIES; i++) { /* its failures of before are forgotten */
        fail_at(event, 0);
        confirm_one_of('b');
        lanes_wake(&lanes, INT64_MAX);
        assert_ptr_equal(lanes_next(&lanes), event);
    }
    no_more_left();
    fail_at(event, 0);
    expect_left(event, true, 312);
}

static void a_lane_opened_before_it_was_emptied_keeps_its_order(void **state)
{
    const uint8_t user[ID_BYTES] = {[ID_BYTES - 1] = 'a'};
    (void)state;
    lanes_close(&lanes, user);
    outgoing_event_t *a1 = add_write('a'), *a2 = add_write('a');
    lanes_open(&lanes, user);
    no_more_left();
    assert_ptr_equal(lanes_next(&lanes), a1);
    lanes_confirmed(&lanes, a1);
    assert_ptr_equal(lanes_next(&lanes), a2);
}

static const uint8_t users[3][ID_BYTES] = {
    {[ID_BYTES - 1] = 'a'}, {[ID_BYTES - 1] = 'b'}, {[ID_BYTES - 1] = 'c'}};

/* Closes the lane, which stands among those that have something to publish, and takes what it holds. */
static void close_one(outgoing_event_t *event)
{
    lanes_close(&lanes, event->user_id);
    expect_left(event, false, 0);
}

static void a_lane_that_goes_leaves_the_ready_in_their_order(void **state)
{
    (void)state;
    for (int gone = 0; gone < 3; gone++) {
        outgoing_event_t *events[] = {add_write('a'), add_write('b'), add_write('c')};
        close_one(events[gone]);
        lanes_open(&lanes, users[gone]);
        outgoing_event_t *last = add_write('d');
        for (int i = 0; i < 3; i++)
            if (i != gone)
                assert_ptr_equal(lanes_next(&lanes), events[i]);
        assert_ptr_equal(lanes_next(&lanes), last);
        assert_null(lanes_next(&lanes));
        for (int i = 0; i < 3; i++)
            if (i != gone)
                lanes_confirmed(&lanes, events[i]);
        lanes_confirmed(&lanes, last);
    }
}

static void a_lane_that_is_opened_lets_the_others_leave(void **state)
{
    (void)state;
    for (int opened = 0; opened < 3; opened++) {
        outgoing_event_t *events[] = {add_write('a'), add_write('b'), add_write('c')};
        for (int i = 0; i < 3; i++)
            lanes_close(&lanes, users[i]);
        lanes_open(&lanes, users[opened]);
        for (int i = 0; i < 3; i++)
            if (i != opened)
                expect_left(events[i], false, 0);
        no_more_left();
        assert_ptr_equal(lanes_next(&lanes), events[opened]);
        lanes_confirmed(&lanes, events[opened]);
        for (int i = 0; i < 3; i++)
            if (i != opened)
                lanes_open(&lanes, users[i]);
    }
}

static void reads_in_flight_hold_a_closed_lane(void **state)
{
    outgoing_event_t *first = add_read('a'), *second = add_read('a');
    (void)state;
    assert_ptr_equal(lanes_next(&lanes), first);
    lanes_close(&lanes, users[0]);
    lanes_close(&lanes, users[0]); /* it leaves already */
    no_more_left();
    lanes_confirmed(&lanes, first);
    expect_left(second, false, 0);
}

static void a_write_in_flight_holds_a_closed_lane(void **state)
{
    outgoing_event_t *first = add_write('a'), *second = add_write('a');
    (void)state;
    assert_ptr_equal(lanes_next(&lanes), first);
    lanes_close(&lanes, users[0]);
    no_more_left();
    lanes_confirmed(&lanes, first);
    expect_left(second, false, 0);
}

static void a_parked_lane_can_be_closed(void **state)
{
    outgoing_event_t *event = add_write('a');
    (void)state;
    assert_ptr_equal(lanes_next(&lanes), event);
    fail_at(event, 0);
    assert_int_equal(lanes.parked_count, 1);
    lanes_close(&lanes, users[0]);
    assert_int_equal(lanes.parked_count, 0);
    expect_left(event, false, 312);
}

static void the_fullest_need_not_be_the_last(void **state)
{
    outgoing_event_t *a1 = add_write('a'), *b1 = add_write('b'), *a2 = add_write('a');
    (void)state;
    lanes_next(&lanes);
    lanes_next(&lanes);
    fail_at(a1, 0);
    fail_at(b1, 0);
    assert_true(lanes_yield(&lanes));
    expect_left(a1, false, 312);
    expect_left(a2, false, 312);
    no_more_left();
}

/* Random work against the rule, told by a plain list of what happened. */
enum { USERS = 5, STEPS = 50000, HELD_MAX = 200 };

typedef struct model {
    outgoing_event_t *flying[HELD_MAX];
    size_t flying_count;
    int64_t done_write[USERS]; /* position of each user's last confirmed write */
    int64_t gone[USERS]; /* position of the last event that left; before the lane was opened */
    int64_t added, confirmed, left;
} model_t;

static int user_of(const outgoing_event_t *event)
{
    return event->user_id[ID_BYTES - 1] - 'a';
}

/* Of what may fly beside it: reads beside reads only. And no write may be overtaken. */
static void check_takeoff(const model_t *model, const outgoing_event_t *event)
{
    for (size_t i = 0; i < model->flying_count; i++) {
        const outgoing_event_t *other = model->flying[i];
        if (user_of(other) != user_of(event))
            continue;
        assert_true(event_kind_is_read(other->kind) && event_kind_is_read(event->kind));
    }
    for (const outgoing_event_t *other = event->lane->first; other != event;
         other = other->lane_next)
        assert_true(event_kind_is_read(other->kind) && event_kind_is_read(event->kind));
    assert_true(event->position > model->done_write[user_of(event)]);
}

/* What left comes back behind all others of its user, as the store would send it. */
static void take_left(model_t *model)
{
    departure_t how;
    outgoing_event_t *event;
    while ((event = lanes_take_left(&lanes, &how)) != NULL) {
        for (size_t i = 0; i < model->flying_count; i++)
            assert_int_not_equal(user_of(model->flying[i]), user_of(event));
        assert_true(event->position > model->done_write[user_of(event)]);
        assert_true(event->position > model->gone[user_of(event)]);
        model->gone[user_of(event)] = event->position;
        model->left++;
        free(event);
    }
}

static outgoing_event_t *land(model_t *model)
{
    size_t at = (size_t)rand() % model->flying_count;
    outgoing_event_t *event = model->flying[at];
    model->flying[at] = model->flying[--model->flying_count];
    return event;
}

static void step(model_t *model, int dice, int64_t now_ms)
{
    if (dice < 45 && lanes.events < HELD_MAX) {
        char user = (char)('a' + rand() % USERS);
        add(user, rand() % 3 == 0 ? EVENT_USER_UPDATE : EVENT_USER_READ);
        model->added++;
    } else if (dice < 70) {
        outgoing_event_t *event = lanes_next(&lanes);
        if (event != NULL) {
            check_takeoff(model, event);
            model->flying[model->flying_count++] = event;
        }
    } else if (dice < 92 && model->flying_count > 0) {
        outgoing_event_t *event = land(model);
        if (!event_kind_is_read(event->kind))
            model->done_write[user_of(event)] = event->position;
        lanes_confirmed(&lanes, event);
        model->confirmed++;
    } else if (dice < 97 && model->flying_count > 0) {
        lanes_failed(&lanes, land(model), 0, now_ms, (uint64_t)rand());
    } else if (dice == 98 && rand() % 20 == 0) {
        const uint8_t user[ID_BYTES] = {[ID_BYTES - 1] = (uint8_t)('a' + rand() % USERS)};
        take_left(model);
        lanes_open(&lanes, user);
    } else if (dice == 99 && rand() % 20 == 0) {
        lanes_requeue_all(&lanes);
        model->flying_count = 0;
    }
    lanes_wake(&lanes, now_ms);
    take_left(model);
    assert_int_equal(lanes.in_flight, model->flying_count);
}

static void whatever_happens_the_rule_holds_and_nothing_is_lost(void **state)
{
    static model_t model;
    int64_t now_ms = 0;
    (void)state;
    srand(11);
    for (int i = 0; i < STEPS; i++, now_ms += 5)
        step(&model, rand() % 100, now_ms);
    while (lanes.events > 0) { /* no more failures: all of it must come through */
        now_ms += PARK_CAP_MS;
        lanes_wake(&lanes, now_ms);
        step(&model, 60, now_ms);
        step(&model, 80, now_ms);
    }
    assert_true(model.added > STEPS / 5);
    assert_true(model.left > 100);
    assert_int_equal(model.confirmed + model.left, model.added);
    assert_null(lanes_next(&lanes));
}

/* A lane that is gone serves another user, with nothing of the former left; and not all are kept. */
static void lanes_of_the_past_serve_again(void **state)
{
    enum { STRANGERS = LANES_SPARE_MAX + 10 };
    static outgoing_event_t *events[STRANGERS];
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < STRANGERS; i++) {
            uint8_t user_id[ID_BYTES] = {(uint8_t)round};
            memcpy(user_id + 8, &i, sizeof(i));
            const msg_event_t message = {.position = ++position,
                                         .kind = EVENT_USER_UPDATE,
                                         .sequence = 1,
                                         .id = {(const char *)user_id, ID_BYTES},
                                         .user_id = {(const char *)user_id, ID_BYTES},
                                         .request_id = TEXT("r"),
                                         .body = TEXT("{}")};
            events[i] = outgoing_event_new(&lanes.shelf, &message);
            lanes_add(&lanes, events[i]);
        }
        for (size_t i = 0; i < STRANGERS; i++)
            assert_ptr_equal(lanes_next(&lanes), events[i]);
        assert_null(lanes_next(&lanes));
        for (size_t i = 0; i < STRANGERS; i++)
            lanes_confirmed(&lanes, events[i]);
        assert_int_equal(lanes.spare_count, LANES_SPARE_MAX);
        assert_int_equal(lanes.shelf.count, EVENT_SPARE_MAX);
    }
}

#define WITH_LANES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LANES(a_write_is_alone),
        WITH_LANES(reads_go_together_but_not_past_a_write),
        WITH_LANES(users_take_turns),
        WITH_LANES(what_failed_goes_first_and_alone_waits),
        WITH_LANES(a_read_that_failed_goes_before_later_ones),
        WITH_LANES(a_lost_connection_begins_all_again),
        WITH_LANES(waiting_grows_and_a_success_resets_it),
        WITH_LANES(a_lane_that_keeps_failing_leaves),
        WITH_LANES(a_broker_that_refuses_everybody_is_no_lane_s_fault),
        WITH_LANES(own_events_that_pass_prove_nothing),
        WITH_LANES(a_bad_read_among_good_ones_is_found),
        WITH_LANES(a_burst_of_failures_is_one_try),
        WITH_LANES(it_leaves_only_when_nothing_of_it_is_in_flight),
        WITH_LANES(a_lost_connection_lets_it_leave_too),
        WITH_LANES(a_parked_lane_may_hold_only_so_many),
        WITH_LANES(when_nothing_can_move_the_fullest_lane_yields),
        WITH_LANES(a_closed_lane_is_opened_again),
        WITH_LANES(a_lane_opened_before_it_was_emptied_keeps_its_order),
        WITH_LANES(a_lane_that_goes_leaves_the_ready_in_their_order),
        WITH_LANES(a_lane_that_is_opened_lets_the_others_leave),
        WITH_LANES(reads_in_flight_hold_a_closed_lane),
        WITH_LANES(a_write_in_flight_holds_a_closed_lane),
        WITH_LANES(a_parked_lane_can_be_closed),
        WITH_LANES(the_fullest_need_not_be_the_last),
        WITH_LANES(lanes_of_the_past_serve_again),
        WITH_LANES(whatever_happens_the_rule_holds_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
