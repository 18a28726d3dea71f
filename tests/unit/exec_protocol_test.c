/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/exec_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static text_buffer_t line;
static exec_answer_t answer;
static detail_t why;

static void expect_line(const exec_request_t *request, const char *expected)
{
    text_buffer_clear(&line);
    exec_request_line(&line, request);
    if (!text_equal(text_buffer_view(&line), text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)line.size, line.data, expected);
}

static void a_request_is_one_line_whatever_the_body(void **state)
{
    const broker_header_t headers[] = {{TEXT("other"), TEXT("x")},
                                       {TEXT("traceparent"), TEXT("00-1")}};
    const broker_message_t message = {.headers = headers,
                                      .header_count = 2,
                                      .body = TEXT("{\n  \"a\": 1.50,\r\n\t\"b\": \"\\n\"\n}\n")};
    const exec_request_t request = {.message_id = TEXT("m-\"1"),
                                    .type = "user.create",
                                    .queue = "user",
                                    .sequence = 7,
                                    .attempt = 2,
                                    .message = &message};
    (void)state;
    expect_line(&request,
                "{\"message_id\": \"m-\\\"1\", \"type\": \"user.create\", \"queue\": \"user\", "
                "\"sequence\": 7, \"attempt\": 2, \"traceparent\": \"00-1\", \"event\": "
                "{   \"a\": 1.50,  \t\"b\": \"\\n\" } }\n");
}

static void a_trace_that_is_no_text_is_left_out(void **state)
{
    const broker_header_t headers[] = {{TEXT("traceparent"), TEXT("\xff")}};
    const broker_message_t message = {.headers = headers, .header_count = 1, .body = TEXT("{}")};
    const exec_request_t request = {
        .message_id = TEXT("m"), .type = "t", .queue = "q", .attempt = 1, .message = &message};
    (void)state;
    expect_line(&request,
                "{\"message_id\": \"m\", \"type\": \"t\", \"queue\": \"q\", \"sequence\": "
                "0, \"attempt\": 1, \"traceparent\": \"\", \"event\": {}}\n");
}

static void ids_must_come_back_as_they_were(void **state)
{
    char longest[EXEC_ID_MAX_BYTES + 1];
    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_true(exec_id_is_sayable(TEXT("caf\xc3\xa9 \"\\\n")));
    assert_true(exec_id_is_sayable((text_t){longest, EXEC_ID_MAX_BYTES}));
    assert_false(exec_id_is_sayable((text_t){longest, EXEC_ID_MAX_BYTES + 1}));
    assert_false(exec_id_is_sayable(TEXT("")));
    assert_false(exec_id_is_sayable(TEXT("caf\xe9")));
    assert_false(exec_id_is_sayable((text_t){"a\0b", 3}));
}

static bool parse(const char *text)
{
    exec_answer_fini(&answer);
    why = (detail_t){{0}};
    return exec_answer_parse(&answer, text_of(text), &why);
}

static void the_three_results_are_understood(void **state)
{
    static const struct {
        const char *line;
        exec_result_t result;
        const char *error;
    } cases[] = {
        {"{\"message_id\": \"m\", \"result\": \"done\"}", EXEC_DONE, ""},
        {"{\"result\": \"retry\", \"error\": \"later\", \"message_id\": \"m\"}\r", EXEC_RETRY,
         "later"},
        {" {\"message_id\": \"m\", \"result\": \"dead\", \"error\": 7, \"more\": []} ", EXEC_DEAD,
         ""},
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(parse(cases[i].line));
        assert_int_equal(answer.result, cases[i].result);
        assert_true(text_equal(answer.message_id, TEXT("m")));
        assert_true(text_equal(answer.error, text_of(cases[i].error)));
    }
}

static void anything_else_is_no_answer(void **state)
{
    static const char *const lines[] = {
        "",
        "done",
        "[]",
        "\"done\"",
        "{",
        "{}",
        "{\"message_id\": \"m\"}",
        "{\"message_id\": \"m\", \"result\": \"Done\"}",
        "{\"message_id\": \"m\", \"result\": 1}",
        "{\"message_id\": \"m\", \"message_id\": \"n\", \"result\": \"done\"}",
        "{\"message_id\": \"m\", \"result\": \"done\"} {}",
        "{\"message_id\": \"\xff\", \"result\": \"done\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (parse(lines[i]))
            fail_msg("taken for an answer: %s", lines[i]);
        assert_int_not_equal(why.text[0], '\0');
    }
    assert_true(parse("{\"result\": \"done\"}")); /* of nobody */
    assert_int_equal(answer.message_id.size, 0);
}

static int tear_down(void **state)
{
    (void)state;
    exec_answer_fini(&answer);
    text_buffer_fini(&line);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_one_line_whatever_the_body),
        cmocka_unit_test(a_trace_that_is_no_text_is_left_out),
        cmocka_unit_test(ids_must_come_back_as_they_were),
        cmocka_unit_test(the_three_results_are_understood),
        cmocka_unit_test(anything_else_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
