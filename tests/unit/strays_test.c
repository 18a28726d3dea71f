/* rooms: manager */
/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/strays.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "actors/store/parked_lanes.h"
#include "proto/errors.h"

enum { STRAYS = 200, LANES = 100 };

static int failing; /* what the walk of the lanes gives */

/* Ids 0, 2, 4…, in order. */
static int stray_walk(database_t *self, stray_visit_t visit, void *context)
{
    (void)self;
    for (int i = 0; i < STRAYS; i++) {
        const stray_row_t row = {
            .id = {(uint8_t)(2 * i / 256), (uint8_t)(2 * i)}, .fate = i % 3, .position = i};
        visit(context, &row);
    }
    return 0;
}

/* Users 198, 196…: in no order that helps. Every tenth is in quarantine with 7 events. */
static int lane_walk(database_t *self, lane_visit_t visit, void *context)
{
    (void)self;
    for (int i = LANES; i-- > 0;) {
        const lane_row_t row = {.user_id = {(uint8_t)(2 * i)},
                                .state = i % 10 == 0 ? PARKED_QUARANTINED : PARKED_WAITING,
                                .events = 7};
        visit(context, &row);
    }
    return failing;
}

static const database_class_t class = {.stray_walk = stray_walk, .lane_walk = lane_walk};
static database_t database = {.class = &class};

static void test_each_is_found_and_no_other(void **state)
{
    (void)state;
    strays_t self = {0};
    assert_int_equal(strays_load(&self, &database), 0);
    for (int id = 0; id < 2 * STRAYS; id++) {
        const uint8_t whole[ID_BYTES] = {(uint8_t)(id / 256), (uint8_t)id};
        const stray_t *found = strays_find(&self, whole);
        assert_int_equal(found != NULL, id % 2 == 0);
        if (found != NULL)
            assert_int_equal(found->row.position, id / 2);
    }
    for (int id = 0; id < 2 * LANES; id++) {
        const uint8_t whole[ID_BYTES] = {(uint8_t)id};
        assert_int_equal(strays_has_user(&self, whole), id % 2 == 0);
    }
    assert_int_equal(self.quarantined_lanes, 10);
    assert_int_equal(self.quarantined_events, 70);
    strays_fini(&self);
}

static void test_a_second_load_replaces_the_first(void **state)
{
    (void)state;
    const uint8_t first[ID_BYTES] = {0};
    strays_t self = {0};
    assert_int_equal(strays_load(&self, &database), 0);
    strays_find(&self, first)->is_counted = true;
    assert_int_equal(strays_load(&self, &database), 0);
    assert_int_equal(self.count, STRAYS);
    assert_int_equal(self.quarantined_lanes, 10);
    assert_false(strays_find(&self, first)->is_counted);
    strays_fini(&self);
    assert_null(strays_find(&self, first));
    assert_false(strays_has_user(&self, first));
}

static void test_a_database_that_fails_is_told(void **state)
{
    (void)state;
    strays_t self = {0};
    failing = ERR_DATABASE_FATAL;
    assert_int_equal(strays_load(&self, &database), ERR_DATABASE_FATAL);
    failing = 0;
    strays_fini(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_found_and_no_other),
        cmocka_unit_test(test_a_second_load_replaces_the_first),
        cmocka_unit_test(test_a_database_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
