/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/own_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/event.h"

#define HEAD "{\"created_at\": \"2026-11-23T21:39:48.123456\", \"queue\": \"user\", \"context\": "
#define USER                                                                                       \
    "{\"id\": \"u-1\", \"email\": \"ada@example.org\", \"first_name\": \"Ada\", "                  \
    "\"last_name\": \"Lovelace\", \"view_count\": 3, \"is_valid\": true, \"version\": 12, "        \
    "\"created_at\": \"c\", \"updated_at\": \"u\"}"

static void expect(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

static void what_the_service_writes_is_read(void **state)
{
    static const char *const names[] = {"Ada", "L\xc3\xb6velace", "\xe5\xa4\xaa\xe9\x83\x8e",
                                        "\xf0\x9f\x98\x80\x7f"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        user_t user = {.id = {1, 2, 3},
                       .email = "ada@example.org",
                       .is_valid = i % 2 == 0,
                       .view_count = (int64_t)i * 1000000007,
                       .version = (int64_t)i + 1,
                       .created_us = 1763934588123456,
                       .updated_us = 1763934588123457};
        text_buffer_t json = {0}, body = {0};
        body_told_t told;
        snprintf(user.first_name, sizeof(user.first_name), "%s", names[i]);
        snprintf(user.last_name, sizeof(user.last_name), "%s", names[i]);
        user_json(&json, &user);
        event_body_json(&body, 1763934588123458, "user", text_buffer_view(&json));
        assert_true(own_body_read(&told, text_buffer_view(&body)));
        expect(told.created_at, "2025-11-23T21:49:48.123458");
        expect(told.id, "01020300-0000-0000-0000-000000000000");
        expect(told.email, "ada@example.org");
        expect(told.first_name, names[i]);
        expect(told.last_name, names[i]);
        expect(told.user_created_at, "2025-11-23T21:49:48.123456Z");
        expect(told.user_updated_at, "2025-11-23T21:49:48.123457Z");
        assert_int_equal(told.validity, user.is_valid ? USER_VALID : USER_DISABLED);
        text_buffer_fini(&json);
        text_buffer_fini(&body);
    }
}

/* A copy of the exact size, so that a sanitizer sees any read behind it. */
static bool reads(const char *body, size_t size)
{
    body_told_t told;
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    char *at = copy + 1; /* so that an empty one has an address too */
    memcpy(at, body, size);
    bool taken = own_body_read(&told, (text_t){at, size});
    free(copy);
    return taken;
}

static void no_part_of_one_is_taken(void **state)
{
    static const char whole[] = HEAD USER "}";
    (void)state;
    assert_true(reads(whole, sizeof(whole) - 1));
    for (size_t size = 0; size < sizeof(whole) - 1; size++)
        assert_false(reads(whole, size));
    assert_false(reads(whole, sizeof(whole))); /* the NUL */
}

static void any_other_form_is_left_to_the_parser(void **state)
{
    static const struct {
        const char *from, *to;
    } changes[] = {
        {"\"queue\": ", "\"queue\":"},
        {"Ada", "A\\u0064a"},
        {"Ada", "A\nda"},
        {"Ada", "A\x1f"},
        {"Ada", "\xc3"},             /* cut in a character */
        {"Ada", "\xc0\x80"},         /* overlong */
        {"Ada", "\xed\xa0\x80"},     /* a surrogate */
        {"Ada", "\xf4\x90\x80\x80"}, /* beyond Unicode */
        {"\"Ada\"", "null"},
        {"\"first_name\"", "\"firstname\""},
        {": 3,", ": -3,"},
        {": 3,", ": 03,"},
        {": 3,", ": 3.0,"},
        {": 3,", ": ,"},
        {": 3,", ": 3000000000000000000,"}, /* 19 digits */
        {": 12,", ": 1e2,"},
        {": 12,", ": x,"},
        {"true", "null"},
        {"true", "1"},
        {"\"u\"}", "\"u\", \"more\": 1}"},
        {"\"u\"}}", "\"u\"}, \"more\": 1}"},
        {"\"u\"}}", "\"u\"}} "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        static const char whole[] = HEAD USER "}";
        char changed[1024];
        const char *at = strstr(whole, changes[i].from);
        assert_non_null(at);
        int size = snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - whole), whole,
                            changes[i].to, at + strlen(changes[i].from));
        if (reads(changed, (size_t)size))
            fail_msg("taken: %s", changed);
    }
    static const char disabled[] = HEAD "{\"id\": \"\", \"email\": \"\", \"first_name\": \"\", "
                                        "\"last_name\": \"\", \"view_count\": 0, "
                                        "\"is_valid\": false, \"version\": 999999999999999999, "
                                        "\"created_at\": \"\", \"updated_at\": \"\"}}";
    assert_true(reads(disabled, sizeof(disabled) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_service_writes_is_read),
        cmocka_unit_test(no_part_of_one_is_taken),
        cmocka_unit_test(any_other_form_is_left_to_the_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
