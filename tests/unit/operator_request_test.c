/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/operator_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/errors.h"

#define USER "01a20e72-2b15-7370-8c75-b0a11a1b00a5"

static void only_addresses_are_asked_by(void **state)
{
    static const struct {
        const char *host;
        int error;
    } rows[] = {
        {"127.0.0.1:5001", 0},
        {"127.0.0.1", 0},
        {"localhost", 0},
        {"localhost:5001", 0},
        {"[::1]:5001", 0},
        {"10.0.0.7:80", 0},
        {"evil.example", ERR_FOREIGN},
        {"localhost.evil.example", ERR_FOREIGN},
        {"", ERR_FOREIGN},
        {"127.0.0.1.nip.io:5001", ERR_FOREIGN},
        {"[::1].evil.example", ERR_FOREIGN},
        {"abcdef", ERR_FOREIGN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (operator_request_check(text_of(rows[i].host), (text_t){NULL, 0}, NULL) != rows[i].error)
            fail_msg("'%s'", rows[i].host);
    assert_int_equal(operator_request_check((text_t){"10.0.0.7\0", 9}, (text_t){NULL, 0}, NULL),
                     ERR_FOREIGN);
}

static void no_web_page_asks(void **state)
{
    (void)state;
    assert_int_equal(operator_request_check(TEXT("127.0.0.1"), TEXT("http://x"), NULL),
                     ERR_FOREIGN);
    assert_int_equal(operator_request_check(TEXT("127.0.0.1"), TEXT("null"), NULL), ERR_FOREIGN);
    assert_int_equal(operator_request_check(TEXT("127.0.0.1"), TEXT(""), NULL), ERR_FOREIGN);
}

static void a_choice_is_one_user_or_all(void **state)
{
    static const struct {
        const char *body;
        bool all_allowed;
        int error;
        size_t size;
    } rows[] = {
        {"{\"user_id\": \"" USER "\"}", false, 0, UUID_BYTES},
        {"{\"user_id\": \"" USER "\"}", true, 0, UUID_BYTES},
        {"{\"all\": true}", true, 0, 0},
        {"{\"all\": true}", false, ERR_BAD_JSON, 0},
        {"{\"all\": false}", true, ERR_BAD_JSON, 0},
        {"{\"all\": true, \"user_id\": \"" USER "\"}", true, ERR_BAD_JSON, 0},
        {"{\"user_id\": \"me\"}", true, ERR_BAD_JSON, 0},
        {"{\"user_id\": 3}", true, ERR_BAD_JSON, 0},
        {"{}", true, ERR_BAD_JSON, 0},
        {"[]", true, ERR_BAD_JSON, 0},
        {"", true, ERR_BAD_JSON, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        lane_choice_t choice;
        detail_t detail;
        int error = lane_choice_parse(&choice, text_of(rows[i].body), rows[i].all_allowed, &detail);
        if (error != rows[i].error || (error == 0 && choice.user_id_size != rows[i].size))
            fail_msg("%s: %d", rows[i].body, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_are_asked_by),
        cmocka_unit_test(no_web_page_asks),
        cmocka_unit_test(a_choice_is_one_user_or_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
