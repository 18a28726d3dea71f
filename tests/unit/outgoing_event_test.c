/* rooms: bridge pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/outgoing_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char body[2 * EVENT_SLOT_BYTES];

static outgoing_event_t *event_of(event_shelf_t *shelf, size_t body_size)
{
    const msg_event_t message = {.position = 5,
                                 .kind = EVENT_USER_READ,
                                 .sequence = 42,
                                 .id = TEXT("0123456789abcdef"),
                                 .user_id = TEXT("fedcba9876543210"),
                                 .request_id = TEXT("request"),
                                 .body = {body, body_size}};
    outgoing_event_t *event = outgoing_event_new(shelf, &message);
    assert_int_equal(event->position, 5);
    assert_int_equal(event->sequence, 42);
    assert_int_equal(event->bytes, 7 + body_size);
    assert_memory_equal(event->id, "0123456789abcdef", ID_BYTES);
    assert_memory_equal(event->user_id, "fedcba9876543210", ID_BYTES);
    assert_true(text_equal(event->request_id, TEXT("request")));
    assert_true(text_equal(event->body, (text_t){body, body_size}));
    assert_int_equal(event->traceparent.size, 0);
    return event;
}

static void the_place_of_one_that_is_done_is_taken_again(void **state)
{
    event_shelf_t shelf = {0};
    (void)state;
    memset(body, 'b', sizeof(body));
    outgoing_event_t *first = event_of(&shelf, 100);
    outgoing_event_free(&shelf, first);
    assert_int_equal(shelf.count, 1);
    outgoing_event_t *second = event_of(&shelf, 400);
    assert_ptr_equal(second, first);
    assert_false(second->in_flight || second->has_failed);
    assert_int_equal(shelf.count, 0);
    outgoing_event_free(&shelf, second);
    event_shelf_fini(&shelf);
}

static void a_large_one_has_memory_of_its_own(void **state)
{
    event_shelf_t shelf = {0};
    (void)state;
    for (size_t size = EVENT_SLOT_BYTES - 300; size < sizeof(body); size++) {
        bool fits = sizeof(outgoing_event_t) + 7 + size <= EVENT_SLOT_BYTES;
        outgoing_event_t *event = event_of(&shelf, size);
        assert_int_equal(event->has_slot, fits);
        outgoing_event_free(&shelf, event);
        assert_int_equal(shelf.count, shelf.spare != NULL);
    }
    event_shelf_fini(&shelf);
}

static void the_shelf_keeps_no_more_than_its_bound(void **state)
{
    enum { COUNT = EVENT_SPARE_MAX + 10 };
    static outgoing_event_t *events[COUNT];
    event_shelf_t shelf = {0};
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        events[i] = event_of(&shelf, 10);
    for (size_t i = 0; i < COUNT; i++)
        outgoing_event_free(&shelf, events[i]);
    assert_int_equal(shelf.count, EVENT_SPARE_MAX);
    event_shelf_fini(&shelf);
    assert_null(shelf.spare);
}

static void without_a_shelf_it_is_for_free(void **state)
{
    (void)state;
    free(event_of(NULL, 10));
    outgoing_event_free(NULL, event_of(NULL, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_of_one_that_is_done_is_taken_again),
        cmocka_unit_test(a_large_one_has_memory_of_its_own),
        cmocka_unit_test(the_shelf_keeps_no_more_than_its_bound),
        cmocka_unit_test(without_a_shelf_it_is_for_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
