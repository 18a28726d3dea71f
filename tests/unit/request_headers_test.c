/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * request_headers_test.c - which header values are taken and which are ignored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "actors/http/request_headers.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void request_ids(void **state)
{
    char longest[65];
    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_true(request_id_is_usable(TEXT("a")));
    assert_true(request_id_is_usable(TEXT("!~\"{}")));
    assert_true(request_id_is_usable((text_t){longest, 64}));
    assert_false(request_id_is_usable((text_t){longest, 65}));
    assert_false(request_id_is_usable((text_t){NULL, 0}));
    assert_false(request_id_is_usable(TEXT("a b")));
    assert_false(request_id_is_usable(TEXT("a\tb")));
    assert_false(request_id_is_usable(TEXT("a\x7f")));
    assert_false(request_id_is_usable(TEXT("a\0b")));
    assert_false(request_id_is_usable(TEXT("\xc3\xa4")));
}

static void traceparents(void **state)
{
    static const char *const bad[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        PARENT "0",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47g6-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa 0a902b7-01",
    };
    (void)state;
    assert_true(traceparent_is_valid(TEXT(PARENT)));
    assert_true(
        traceparent_is_valid(TEXT("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(traceparent_is_valid(text_of(bad[i])));
}

static void tracestates(void **state)
{
    char longest[513];
    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_true(tracestate_is_usable(TEXT("a=1, b=2")));
    assert_true(tracestate_is_usable((text_t){longest, 512}));
    assert_false(tracestate_is_usable((text_t){longest, 513}));
    assert_false(tracestate_is_usable((text_t){NULL, 0}));
    assert_false(tracestate_is_usable(TEXT("a\0b")));
    assert_false(tracestate_is_usable(TEXT("a=\xc3\xa4")));
}

static void media_types(void **state)
{
    static const struct {
        const char *value;
        bool is_json;
    } rows[] = {
        {"application/json", true},
        {"Application/JSON", true},
        {"application/json; charset=utf-8", true},
        {"application/json \t;charset=utf-8", true},
        {"application/json;", true},
        {"application/json  ", true},
        {"", false},
        {";", false},
        {"text/json", false},
        {"application/jsonx", false},
        {"application/jso", false},
        {"application/jsom", false},
        {"application/json-patch+json", false},
        {"application/json, text/plain", false},
        {"text/plain; application/json", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(content_type_is(text_of(rows[i].value), "application/json"),
                         rows[i].is_json);
    assert_false(content_type_is((text_t){NULL, 0}, "application/json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_ids),
        cmocka_unit_test(traceparents),
        cmocka_unit_test(tracestates),
        cmocka_unit_test(media_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
