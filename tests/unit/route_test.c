/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * route_test.c - the route table from outside: target and method in, route or refusal out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "actors/http/route.h"
#include "proto/errors.h"

typedef struct route_case {
    const char *prefix, *method, *target;
    int route;                       /* or the error */
    const char *key, *query, *allow; /* NULL: empty */
} route_case_t;

static void check_text(text_t got, const char *expected)
{
    assert_true(text_equal(got, text_of(expected != NULL ? expected : "")));
}

static void check_case(listener_kind_t listener, const route_case_t *row)
{
    route_match_t match;
    print_message("%s %s\n", row->method, row->target);
    int error =
        route_match(&match, listener, row->prefix, text_of(row->method), text_of(row->target));
    assert_string_equal(match.allow, row->allow != NULL ? row->allow : "");
    if (row->route < 0) {
        assert_int_equal(error, row->route);
        assert_null(match.info);
        return;
    }
    assert_int_equal(error, 0);
    assert_int_equal(match.info->route, row->route);
    check_text(match.key, row->key);
    check_text(match.query, row->query);
}

static void api_routes(void **state)
{
    static const route_case_t rows[] = {
        {"", "POST", "/users", ROUTE_CREATE, NULL, NULL, NULL},
        {"", "GET", "/users", ROUTE_LIST, NULL, NULL, NULL},
        {"", "GET", "/users?", ROUTE_LIST, NULL, NULL, NULL},
        {"", "GET", "/users?limit=3&cursor=x", ROUTE_LIST, NULL, "limit=3&cursor=x", NULL},
        {"", "GET", "/users/a@b.c", ROUTE_READ, "a@b.c", NULL, NULL},
        {"", "GET", "/users/a%2Fb@c?x=/y", ROUTE_READ, "a%2Fb@c", "x=/y", NULL},
        {"", "PATCH", "/users/1", ROUTE_UPDATE, "1", NULL, NULL},
        {"", "DELETE", "/users/1", ROUTE_DELETE, "1", NULL, NULL},
        {"", "GET", "/users/..", ROUTE_READ, "..", NULL, NULL},
        {"", "GET", "/livez", ROUTE_LIVEZ, NULL, NULL, NULL},
        {"", "GET", "/readyz", ROUTE_READYZ, NULL, NULL, NULL},
        {"", "GET", "/", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "OPTIONS", "*", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/users/", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/users//", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/users/a/b", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/users/a/", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "//users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/usersx", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/user", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/Users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/x/../users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "http://host/users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/livez/", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "PUT", "/users", ERR_METHOD, NULL, NULL, "POST, GET"},
        {"", "HEAD", "/users", ERR_METHOD, NULL, NULL, "POST, GET"},
        {"", "OPTIONS", "/users/a", ERR_METHOD, NULL, NULL, "GET, PATCH, DELETE"},
        {"", "POST", "/users/a", ERR_METHOD, NULL, NULL, "GET, PATCH, DELETE"},
        {"", "get", "/users/a", ERR_METHOD, NULL, NULL, "GET, PATCH, DELETE"},
        {"", "", "/users", ERR_METHOD, NULL, NULL, "POST, GET"},
        {"", "POST", "/livez", ERR_METHOD, NULL, NULL, "GET"},
        {"", "GET", "/status", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/lanes", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "POST", "/lanes/release", ERR_NO_ROUTE, NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_case(LISTENER_API, &rows[i]);
}

static void the_prefix_stands_before_users_only(void **state)
{
    static const route_case_t rows[] = {
        {"/api/v1", "POST", "/api/v1/users", ROUTE_CREATE, NULL, NULL, NULL},
        {"/api/v1", "GET", "/api/v1/users/a?b", ROUTE_READ, "a", "b", NULL},
        {"/api/v1", "GET", "/livez", ROUTE_LIVEZ, NULL, NULL, NULL},
        {"/api/v1", "GET", "/readyz", ROUTE_READYZ, NULL, NULL, NULL},
        {"/api/v1", "GET", "/users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"/api/v1", "GET", "/api/v1", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"/api/v1", "GET", "/api", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"/api/v1", "GET", "/api/v1users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"/api/v1", "GET", "/api/v1/livez", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"/api/v1", "PUT", "/api/v1/users", ERR_METHOD, NULL, NULL, "POST, GET"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_case(LISTENER_API, &rows[i]);
}

static void the_operator_sees_no_users(void **state)
{
    static const route_case_t rows[] = {
        {"", "GET", "/livez", ROUTE_LIVEZ, NULL, NULL, NULL},
        {"", "GET", "/readyz?x", ROUTE_READYZ, NULL, "x", NULL},
        {"", "DELETE", "/readyz", ERR_METHOD, NULL, NULL, "GET"},
        {"/api/v1", "GET", "/status", ROUTE_STATUS, NULL, NULL, NULL},
        {"", "GET", "/lanes", ROUTE_LANES, NULL, NULL, NULL},
        {"", "POST", "/lanes/release", ROUTE_LANES_RELEASE, NULL, NULL, NULL},
        {"", "POST", "/lanes/discard", ROUTE_LANES_DISCARD, NULL, NULL, NULL},
        {"", "GET", "/lanes/release", ERR_METHOD, NULL, NULL, "POST"},
        {"", "POST", "/status", ERR_METHOD, NULL, NULL, "GET"},
        {"", "GET", "/users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "POST", "/users", ERR_NO_ROUTE, NULL, NULL, NULL},
        {"", "GET", "/users/a", ERR_NO_ROUTE, NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_case(LISTENER_ADMIN, &rows[i]);
}

static void every_route_that_asks_the_store_names_its_message(void **state)
{
    static const struct {
        const char *method, *target;
        bool asks;
        message_type_t message;
    } rows[] = {
        {"GET", "/livez", false, MSG_count},           {"GET", "/readyz", true, MSG_health},
        {"POST", "/users", true, MSG_user_create},     {"GET", "/users", true, MSG_user_list},
        {"GET", "/users/k", true, MSG_user_read},      {"PATCH", "/users/k", true, MSG_user_update},
        {"DELETE", "/users/k", true, MSG_user_delete},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        route_match_t match;
        assert_int_equal(
            route_match(&match, LISTENER_API, "", text_of(rows[i].method), text_of(rows[i].target)),
            0);
        assert_int_equal(match.info->asks_store, rows[i].asks);
        assert_int_equal(match.info->message, rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(api_routes),
        cmocka_unit_test(the_prefix_stands_before_users_only),
        cmocka_unit_test(the_operator_sees_no_users),
        cmocka_unit_test(every_route_that_asks_the_store_names_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
