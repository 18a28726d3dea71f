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
    outgoing_event_t *event = outgoing_event_new(&message);
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
    lanes_failed(&lanes, event, now_ms, 0);
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
        lanes_failed(&lanes, a1, 0, UINT64_MAX / 2);
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

/* Random work against the rule, told by a plain list of what happened. */
enum { USERS = 5, STEPS = 50000, HELD_MAX = 200 };

typedef struct model {
    outgoing_event_t *flying[HELD_MAX];
    size_t flying_count;
    int64_t done_write[USERS]; /* position of each user's last confirmed write */
    int64_t added, confirmed;
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
        lanes_failed(&lanes, land(model), now_ms, (uint64_t)rand());
    } else if (dice == 99 && rand() % 20 == 0) {
        lanes_requeue_all(&lanes);
        model->flying_count = 0;
    }
    lanes_wake(&lanes, now_ms);
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
    assert_int_equal(model.confirmed, model.added);
    assert_null(lanes_next(&lanes));
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
        WITH_LANES(whatever_happens_the_rule_holds_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
