/* rooms: store pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t none_confirmed[PARTITION_COUNT];

static void with(outbox_t *outbox, int64_t max_events, unsigned bridges)
{
    outbox_init(outbox, (outbox_load_t){max_events, INT64_MAX}, bridges, 0, none_confirmed);
}

/* Appends one event and gives it to its bridge. */
static int add(outbox_t *outbox, unsigned partition)
{
    int64_t position = outbox_append(outbox, partition, 10);
    return outbox_hand_over(outbox, partition, position);
}

static void a_bridge_that_keeps_up_is_fed_from_memory(void **state)
{
    outbox_t outbox;
    (void)state;
    with(&outbox, 100, 2);
    assert_false(outbox_attach(&outbox, 0, 11, 2));
    outbox_caught_up(&outbox, 0);
    assert_int_equal(add(&outbox, 0), 0);
    assert_int_equal(add(&outbox, 1), OUTBOX_NOBODY); /* bridge 1 is not there yet */
    assert_int_equal(add(&outbox, 2), 0);
    assert_int_equal(add(&outbox, 0), OUTBOX_NOBODY); /* no credit left */
    assert_int_equal(outbox_size(&outbox), 4);
    outbox_credit(&outbox, 0, 11, 2, 10 * 2);
    assert_int_equal(outbox_size(&outbox), 2);
    assert_int_equal(add(&outbox, 0), OUTBOX_NOBODY); /* never past the one in the log */
    assert_true(outbox_wants_log(&outbox, 0));
    assert_int_equal(outbox.bridges[0].handed, 3);
    assert_true(outbox_take(&outbox, 0, 0, 4));
    assert_true(outbox_take(&outbox, 0, 0, 5));
    outbox_caught_up(&outbox, 0);
    assert_false(outbox_wants_log(&outbox, 0));
}

static void the_log_is_read_only_for_what_is_unconfirmed(void **state)
{
    int64_t confirmed[PARTITION_COUNT] = {[3] = 7};
    outbox_t outbox;
    (void)state;
    outbox_init(&outbox, (outbox_load_t){100, 1000}, 2, 10, confirmed);
    outbox_count(&outbox, 3, 6, 10);
    outbox_count(&outbox, 3, 9, 10);
    outbox_count(&outbox, 4, 10, 10);
    assert_int_equal(outbox_size(&outbox), 2);
    assert_int_equal(outbox_low(&outbox), 0); /* partition 4 never confirmed a thing */
    outbox_confirm(&outbox, 4, 10);
    assert_int_equal(outbox_low(&outbox), 7);
    assert_false(outbox_attach(&outbox, 1, 5, 10));
    assert_int_equal(outbox.bridges[1].handed, 7);
    assert_false(outbox_take(&outbox, 1, 4, 8)); /* another bridge's */
    assert_true(outbox_take(&outbox, 1, 3, 9));
    assert_int_equal(outbox.bridges[1].credit, 9);
}

static void a_second_life_forgets_the_first(void **state)
{
    outbox_t outbox;
    (void)state;
    with(&outbox, 100, 1);
    outbox_attach(&outbox, 0, 11, 10);
    outbox_caught_up(&outbox, 0);
    assert_int_equal(add(&outbox, 0), 0);
    assert_int_equal(add(&outbox, 0), 0);
    outbox_credit(&outbox, 0, 11, 1,
                  10 * 1); /* the second was confirmed, the position cannot tell */
    assert_int_equal(outbox_size(&outbox), 1);
    assert_false(outbox_is_late(&outbox, 0, 12));
    assert_true(outbox_attach(&outbox, 0, 12, 10));
    assert_true(outbox_is_late(&outbox, 0, 11)); /* an attach that comes behind the next one's */
    assert_false(outbox_is_late(&outbox, 0, 12));
    assert_false(outbox_is_late(&outbox, 1, 11)); /* there is no such bridge */
    outbox_count(&outbox, 0, 1, 10);
    outbox_count(&outbox, 0, 2, 10);
    assert_int_equal(outbox_size(&outbox), 2);
    outbox_credit(&outbox, 0, 11, 1, 10 * 1); /* late news of the first life */
    assert_int_equal(outbox_size(&outbox), 2);
    assert_int_equal(outbox.bridges[0].credit, 10);
    assert_int_equal(add(&outbox, 0), OUTBOX_NOBODY);
}

static void full_means_full_until_a_tenth_is_gone(void **state)
{
    outbox_t outbox;
    (void)state;
    with(&outbox, 1000, 1);
    outbox_attach(&outbox, 0, 1, 65536);
    outbox_caught_up(&outbox, 0);
    for (int i = 0; i < 1000; i++) {
        assert_true(outbox_accepts(&outbox));
        add(&outbox, 0);
    }
    assert_false(outbox_accepts(&outbox));
    outbox_credit(&outbox, 0, 1, 100, 10 * 100);
    assert_false(outbox_accepts(&outbox)); /* 900 are left */
    outbox_credit(&outbox, 0, 1, 1, 10 * 1);
    assert_true(outbox_accepts(&outbox));
}

static void bytes_have_a_bound_too(void **state)
{
    outbox_t outbox;
    (void)state;
    outbox_init(&outbox, (outbox_load_t){1000, 1000}, 1, 0, none_confirmed);
    outbox_attach(&outbox, 0, 1, 65536);
    outbox_caught_up(&outbox, 0);
    outbox_append(&outbox, 0, 999);
    assert_true(outbox_accepts(&outbox));
    outbox_append(&outbox, 0, 1);
    assert_false(outbox_accepts(&outbox));
    outbox_credit(&outbox, 0, 1, 1, 100);
    assert_false(outbox_accepts(&outbox)); /* 900 are left */
    outbox_credit(&outbox, 0, 1, 0, 1);
    assert_true(outbox_accepts(&outbox));
}

static void what_is_parked_counts(void **state)
{
    outbox_t outbox;
    (void)state;
    outbox_init(&outbox, (outbox_load_t){1000, 1000}, 1, 0, none_confirmed);
    outbox_park(&outbox, 1000, 10);
    assert_int_equal(outbox_size(&outbox), 1000);
    assert_false(outbox_accepts(&outbox));
    outbox_park(&outbox, -1000, -10);
    assert_true(outbox_accepts(&outbox));
    outbox_park(&outbox, 1, 1000);
    assert_false(outbox_accepts(&outbox));
    const outbox_load_t load = outbox_load(&outbox);
    assert_int_equal(load.events, 1);
    assert_int_equal(load.bytes, 1000);
}

static void a_life_is_known_by_its_number(void **state)
{
    outbox_t outbox;
    (void)state;
    with(&outbox, 100, 1);
    outbox_attach(&outbox, 0, 11, 2);
    assert_true(outbox_is_life(&outbox, 0, 11));
    assert_false(outbox_is_life(&outbox, 0, 12));
    assert_false(outbox_is_life(&outbox, 1, 11));
}

static void positions_only_go_forward(void **state)
{
    outbox_t outbox;
    (void)state;
    with(&outbox, 100, 1);
    for (int i = 0; i < 5; i++)
        add(&outbox, 2);
    outbox_confirm(&outbox, 2, 3);
    assert_int_equal(outbox.unsaved, 4);
    outbox.unsaved = 0;
    outbox_confirm(&outbox, 2, 2);
    assert_int_equal(outbox.confirmed[2], 3);
    assert_int_equal(outbox.unsaved, 0);
    assert_int_equal(outbox_low(&outbox), 3);
    outbox_confirm(&outbox, 2, 5);
    assert_int_equal(outbox_low(&outbox), 5);
}

/* An idle partition's old mark must not hold the low position back when it has an event again. */
static void an_idle_partition_holds_nothing_back(void **state)
{
    outbox_t outbox;
    (void)state;
    with(&outbox, 1000, 1);
    add(&outbox, 7);
    outbox_confirm(&outbox, 7, 1);
    for (int i = 0; i < 500; i++)
        add(&outbox, 8);
    outbox_confirm(&outbox, 8, 501);
    add(&outbox, 7);
    assert_int_equal(outbox_low(&outbox), 501);
    outbox_confirm(&outbox, 7, 502);
    assert_int_equal(outbox_low(&outbox), 502);
}

static void a_copy_is_a_savepoint(void **state)
{
    outbox_t outbox, savepoint;
    (void)state;
    with(&outbox, 10, 1);
    outbox_attach(&outbox, 0, 1, 5);
    outbox_caught_up(&outbox, 0);
    add(&outbox, 1);
    savepoint = outbox;
    add(&outbox, 1);
    add(&outbox, 2);
    outbox = savepoint;
    assert_int_equal(outbox.head, 1);
    assert_int_equal(outbox_size(&outbox), 1);
    assert_int_equal(outbox.bridges[0].credit, 4);
    assert_int_equal(outbox_append(&outbox, 9, 10), 2);
}

/* A log, bridges that come, go, confirm and lag at random: every event reaches its bridge once in each
 * of the bridge's lives, in order, and what is counted is what is unconfirmed. */
enum { BRIDGES = 3, STEPS = 20000 };

typedef struct world {
    outbox_t outbox;
    unsigned partitions[STEPS + 1]; /* of each position: the log */
    int64_t life;
    int64_t got[BRIDGES]; /* last position each was given in this life */
} world_t;

static void give(world_t *world, unsigned bridge, int64_t position)
{
    assert_true(position > world->got[bridge]);
    for (int64_t i = world->got[bridge] + 1; i < position; i++) /* nothing of its own is left out */
        assert_true(world->partitions[i] % BRIDGES != bridge ||
                    i <= world->outbox.confirmed[world->partitions[i]]);
    world->got[bridge] = position;
}

static void attach(world_t *world, unsigned bridge)
{
    if (outbox_attach(&world->outbox, bridge, ++world->life, 20))
        for (int64_t i = outbox_low(&world->outbox) + 1; i <= world->outbox.head; i++)
            if (world->partitions[i] % BRIDGES == bridge)
                outbox_count(&world->outbox, world->partitions[i], i, 10);
    world->got[bridge] = outbox_low(&world->outbox);
}

static void read_log(world_t *world, unsigned bridge)
{
    outbox_t *outbox = &world->outbox;
    int64_t position = outbox->bridges[bridge].handed + 1;
    for (int read = 0; outbox_wants_log(outbox, bridge) && read < 7; position++, read++) {
        if (position > outbox->head) {
            outbox_caught_up(outbox, bridge);
            return;
        }
        if (outbox_take(outbox, bridge, world->partitions[position], position))
            give(world, bridge, position);
    }
}

/* The bridge confirms all it was given, partition by partition. */
static void confirm(world_t *world, unsigned bridge)
{
    outbox_t *outbox = &world->outbox;
    int64_t confirmed = 0;
    for (unsigned partition = bridge; partition < PARTITION_COUNT; partition += BRIDGES) {
        int64_t last = 0;
        for (int64_t i = outbox->confirmed[partition] + 1; i <= world->got[bridge]; i++)
            if (world->partitions[i] == partition) {
                last = i;
                confirmed++;
            }
        outbox_confirm(outbox, partition, last);
    }
    outbox_credit(outbox, bridge, outbox->bridges[bridge].attach_id, confirmed, 10 * confirmed);
}

static void whatever_happens_every_event_is_handed_over(void **state)
{
    world_t *world = calloc(1, sizeof(*world));
    (void)state;
    assert_non_null(world);
    srand(7);
    outbox_init(&world->outbox, (outbox_load_t){INT64_MAX, INT64_MAX}, BRIDGES, 0, none_confirmed);
    for (int step = 0; step < STEPS; step++) {
        unsigned bridge = (unsigned)rand() % BRIDGES,
                 partition = (unsigned)rand() % PARTITION_COUNT;
        int dice = rand() % 100;
        if (dice < 60) {
            int64_t position = outbox_append(&world->outbox, partition, 10);
            world->partitions[position] = partition;
            int to = outbox_hand_over(&world->outbox, partition, position);
            if (to != OUTBOX_NOBODY)
                give(world, (unsigned)to, position);
        } else if (dice < 80) {
            read_log(world, bridge);
        } else if (dice < 99) {
            if (world->outbox.bridges[bridge].attach_id != 0)
                confirm(world, bridge);
        } else {
            attach(world, bridge);
        }
    }
    for (unsigned bridge = 0; bridge < BRIDGES; bridge++) {
        attach(world, bridge);
        while (world->outbox.bridges[bridge].behind) {
            read_log(world, bridge);
            confirm(world, bridge);
        }
    }
    assert_int_equal(outbox_size(&world->outbox), 0);
    assert_int_equal(outbox_low(&world->outbox), world->outbox.head);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bridge_that_keeps_up_is_fed_from_memory),
        cmocka_unit_test(the_log_is_read_only_for_what_is_unconfirmed),
        cmocka_unit_test(a_second_life_forgets_the_first),
        cmocka_unit_test(full_means_full_until_a_tenth_is_gone),
        cmocka_unit_test(bytes_have_a_bound_too),
        cmocka_unit_test(what_is_parked_counts),
        cmocka_unit_test(a_life_is_known_by_its_number),
        cmocka_unit_test(positions_only_go_forward),
        cmocka_unit_test(an_idle_partition_holds_nothing_back),
        cmocka_unit_test(a_copy_is_a_savepoint),
        cmocka_unit_test(whatever_happens_every_event_is_handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
