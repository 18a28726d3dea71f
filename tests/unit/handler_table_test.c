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

static const more_processors_t none = {NULL, 0};
static handler_table_t table;
static detail_t detail;

static void each_event_finds_its_processor(void **state)
{
    const handler_t rows[] = {{label, user, create, registers},
                              {label, user, read_, views},
                              {label, user, update, notifies},
                              {label, user, delete_, disables}};
    (void)state;
    assert_int_equal(handler_table_init(&table, rows, 4, "user", &none, &detail), 0);
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
    assert_int_equal(handler_table_init(&table, rows, 2, "user", &none, &detail), 0);
    assert_ptr_equal(table.by_kind[EVENT_USER_CREATE], processor_find(disables));
    assert_null(table.by_kind[EVENT_USER_READ]);
}

static void refuse(const handler_t *rows, size_t count, const char *const *named, size_t names)
{
    detail = (detail_t){{0}};
    assert_int_equal(handler_table_init(&table, rows, count, "user", &none, &detail),
                     ERR_BAD_SETTING);
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
    const handler_t rows[] = {{label, user, typo, registers}, {label, user, typo, registers}};
    const char *const named[] = {"row 1", typo, create, read_, update, delete_};
    (void)state;
    refuse(rows, 1, named, 6);
    refuse(rows, 2, named, 6); /* the first one is told */
}

static void two_rows_of_one_event_are_refused(void **state)
{
    const handler_t rows[] = {{label, user, create, registers}, {label, user, create, notifies}};
    const char *const named[] = {"row 2", create, user};
    (void)state;
    refuse(rows, 2, named, 3);
}

static void a_command_is_a_processor_and_shared(void **state)
{
    char runs_a[] = "exec:./a --fast", runs_b[] = "exec:./b";
    const handler_t rows[] = {{label, user, create, runs_a},
                              {label, user, read_, runs_b},
                              {label, user, update, runs_a},
                              {label, other, delete_, runs_b}};
    (void)state;
    assert_int_equal(handler_table_init(&table, rows, 4, "user", &none, &detail), 0);
    assert_int_equal(table.command_count, 2);
    assert_string_equal(table.commands[table.child_of_kind[EVENT_USER_CREATE]], "./a --fast");
    assert_string_equal(table.commands[table.child_of_kind[EVENT_USER_READ]], "./b");
    assert_int_equal(table.child_of_kind[EVENT_USER_UPDATE],
                     table.child_of_kind[EVENT_USER_CREATE]);
    assert_int_equal(table.child_of_kind[EVENT_USER_DELETE], -1);
    assert_null(table.by_kind[EVENT_USER_CREATE]);
    assert_string_equal(table.names[EVENT_USER_CREATE], runs_a);
    assert_string_equal(table.names[EVENT_USER_DELETE], "");
    assert_true(handler_table_has(&table, EVENT_USER_READ));
    assert_false(handler_table_has(&table, EVENT_USER_DELETE));
}

static void a_command_must_not_be_empty_nor_a_second_row(void **state)
{
    char empty[] = "exec:", runs[] = "exec:./a";
    const handler_t rows[] = {{label, user, create, empty}};
    const handler_t twice[] = {{label, user, create, runs}, {label, user, create, runs}};
    const char *const named[] = {"row 1", "exec:COMMAND"};
    const char *const again[] = {"row 2", create};
    (void)state;
    refuse(rows, 1, named, 2);
    refuse(twice, 2, again, 2);
}

static void tests_may_bring_processors(void **state)
{
    char mine[] = "mine";
    const processor_t processor = {mine, NULL, true, EFFECT_NONE};
    const more_processors_t more = {&processor, 1};
    const handler_t rows[] = {{label, user, create, mine}, {label, user, read_, views}};
    (void)state;
    assert_int_equal(handler_table_init(&table, rows, 2, "user", &more, &detail), 0);
    assert_ptr_equal(table.by_kind[EVENT_USER_CREATE], &processor);
    assert_ptr_equal(table.by_kind[EVENT_USER_READ], processor_find(views)); /* beside the others */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_finds_its_processor),
        cmocka_unit_test(rows_of_other_queues_do_not_count_here),
        cmocka_unit_test(an_unknown_processor_is_named_with_the_known_ones),
        cmocka_unit_test(an_unknown_event_is_named_with_the_known_ones),
        cmocka_unit_test(a_command_is_a_processor_and_shared),
        cmocka_unit_test(a_command_must_not_be_empty_nor_a_second_row),
        cmocka_unit_test(tests_may_bring_processors),
        cmocka_unit_test(two_rows_of_one_event_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
