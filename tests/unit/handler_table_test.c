/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/handler_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/errors.h"

static char user[] = "user", other[] = "other", label[] = "Row", create[] = "user.create",
            read_[] = "user.read", update[] = "user.update", delete_[] = "user.delete",
            registers[] = "register_processor", views[] = "count_user_viewing_processor",
            notifies[] = "notify_user_update", disables[] = "disable_user_processor";

static handler_table_t table;
static detail_t detail;

static void each_event_finds_its_processor(void **state)
{
    const handler_t rows[] = {{label, user, create, registers},
                              {label, user, read_, views},
                              {label, user, update, notifies},
                              {label, user, delete_, disables}};
    (void)state;
    assert_int_equal(handler_table_init(&table, rows, 4, "user", &detail), 0);
    assert_ptr_equal(table.by_kind[EVENT_USER_CREATE], processor_find(registers));
    assert_ptr_equal(table.by_kind[EVENT_USER_READ], processor_find(views));
    assert_ptr_equal(table.by_kind[EVENT_USER_UPDATE], processor_find(notifies));
    assert_ptr_equal(table.by_kind[EVENT_USER_DELETE], processor_find(disables));
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
        assert_non_null(table.by_kind[kind]);
}

static void rows_of_other_queues_do_not_count_here(void **state)
{
    const handler_t rows[] = {{label, other, create, registers}, {label, user, create, disables}};
    (void)state;
    assert_int_equal(handler_table_init(&table, rows, 2, "user", &detail), 0);
    assert_ptr_equal(table.by_kind[EVENT_USER_CREATE], processor_find(disables));
    assert_null(table.by_kind[EVENT_USER_READ]);
}

static void refuse(const handler_t *rows, size_t count, const char *const *named, size_t names)
{
    detail = (detail_t){{0}};
    assert_int_equal(handler_table_init(&table, rows, count, "user", &detail), ERR_BAD_SETTING);
    for (size_t i = 0; i < names; i++)
        if (strstr(detail.text, named[i]) == NULL)
            fail_msg("'%s' does not name '%s'", detail.text, named[i]);
}

static void an_unknown_processor_is_named_with_the_known_ones(void **state)
{
    char typo[] = "registr_processor", second[] = "Second";
    const handler_t rows[] = {{label, user, read_, views}, {second, other, create, typo}};
    const char *const named[] = {"row 2", second, typo, registers, views, notifies, disables};
    (void)state;
    refuse(rows, 2, named, 7);
}

static void an_unknown_event_is_named_with_the_known_ones(void **state)
{
    char typo[] = "user.created";
    const handler_t rows[] = {{label, user, typo, registers}};
    const char *const named[] = {"row 1", typo, create, read_, update, delete_};
    (void)state;
    refuse(rows, 1, named, 6);
}

static void two_rows_of_one_event_are_refused(void **state)
{
    const handler_t rows[] = {{label, user, create, registers}, {label, user, create, notifies}};
    const char *const named[] = {"row 2", create, user};
    (void)state;
    refuse(rows, 2, named, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_finds_its_processor),
        cmocka_unit_test(rows_of_other_queues_do_not_count_here),
        cmocka_unit_test(an_unknown_processor_is_named_with_the_known_ones),
        cmocka_unit_test(an_unknown_event_is_named_with_the_known_ones),
        cmocka_unit_test(two_rows_of_one_event_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
