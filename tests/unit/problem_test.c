/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * problem_test.c - problems are read back with jansson: what is said must be there and be JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the others, as it asks */
#include <cmocka.h>

#include <jansson.h>

#include "actors/http/problem.h"
#include "proto/errors.h"

static json_t *written(const problem_t *problem)
{
    text_buffer_t out = {0};
    problem_json(&out, problem);
    json_t *json = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    text_buffer_fini(&out);
    return json;
}

static const char *member(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void every_error_of_a_client_has_a_problem(void **state)
{
    (void)state;
    for (int error = -1; error > -ERR_ORDINAL_end; error--) {
        const error_info_t *info = error_info(error);
        if (info->http_status == 0)
            continue;
        json_t *json = written(&(problem_t){.error = error, .request_id = "r-1"});
        assert_memory_equal(member(json, "type"), "urn:userbus:problem:", 20);
        assert_string_equal(member(json, "type") + 20, info->slug);
        assert_string_equal(member(json, "title"), info->title);
        assert_int_equal(json_integer_value(json_object_get(json, "status")), info->http_status);
        assert_string_equal(member(json, "request_id"), "r-1");
        assert_true(strlen(member(json, "detail")) > 10);
        assert_int_equal(json_object_size(json), 5);
        json_decref(json);
    }
}

static void a_detail_of_its_own_goes_before_the_usual_one(void **state)
{
    (void)state;
    json_t *json = written(
        &(problem_t){.error = ERR_BAD_QUERY, .detail = "say \"limit\"\n", .request_id = "\"\\"});
    assert_string_equal(member(json, "detail"), "say \"limit\"\n");
    assert_string_equal(member(json, "request_id"), "\"\\");
    json_decref(json);
}

static void bad_members_are_pointed_at(void **state)
{
    const invalid_member_t invalid[] = {
        {TEXT("email"), "must be a string"},
        {TEXT("a/b~c\"\x01\xc3\xa4"), "is not a member of a user"},
        {TEXT(""), "is not a member of a user"},
        {{NULL, 0}, "must be a JSON object"},
    };
    static const char *const pointers[] = {"/email", "/a~1b~0c\"\x01\xc3\xa4", "/", ""};
    (void)state;
    json_t *json = written(&(problem_t){
        .error = ERR_INVALID_USER, .request_id = "r", .invalid = invalid, .invalid_count = 4});
    const json_t *errors = json_object_get(json, "errors");
    assert_int_equal(json_array_size(errors), 4);
    for (size_t i = 0; i < 4; i++) {
        const json_t *entry = json_array_get(errors, i);
        assert_string_equal(member(entry, "pointer"), pointers[i]);
        assert_string_equal(member(entry, "detail"), invalid[i].detail);
        assert_int_equal(json_object_size(entry), 2);
    }
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_of_a_client_has_a_problem),
        cmocka_unit_test(a_detail_of_its_own_goes_before_the_usual_one),
        cmocka_unit_test(bad_members_are_pointed_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
