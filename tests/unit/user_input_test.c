/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * user_input_test.c - bodies in, members or the list of what is wrong with them out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "actors/http/user_input.h"
#include "proto/errors.h"

#define ANN "\"email\":\"Ann@B.org\",\"first_name\":\"Ann\",\"last_name\":\"Lee\""

static int parse_sized(user_input_t *out, input_kind_t kind, text_t body)
{
    detail_t detail = {{0}};
    int error = user_input_parse(out, kind, body, &detail);
    print_message("%.70s -> %d %s\n", body.data != NULL ? body.data : "", error, detail.text);
    for (size_t i = 0; i < out->invalid_count; i++)
        print_message("    %.*s %s\n", (int)out->invalid[i].name.size,
                      out->invalid[i].name.data != NULL ? out->invalid[i].name.data : "",
                      out->invalid[i].detail);
    assert_int_equal(error == ERR_INVALID_USER, out->invalid_count > 0);
    assert_int_equal(error == ERR_BAD_JSON, detail.text[0] != '\0');
    return error;
}

static int parse(user_input_t *out, input_kind_t kind, const char *body)
{
    return parse_sized(out, kind, text_of(body));
}

static void check_text(text_t got, const char *expected)
{
    assert_true(text_equal(got, text_of(expected)));
}

static void a_user_is_read(void **state)
{
    user_input_t input;
    (void)state;
    assert_int_equal(parse(&input, INPUT_CREATE, " {" ANN "}\n"), 0);
    check_text(input.email, "Ann@B.org");
    check_text(input.email_key, "ann@b.org");
    check_text(input.first_name, "Ann");
    check_text(input.last_name, "Lee");
    assert_int_equal(input.is_valid, -1);
    user_input_fini(&input);
    assert_int_equal(parse(&input, INPUT_CREATE, "{" ANN ",\"is_valid\":false}"), 0);
    assert_int_equal(input.is_valid, 0);
    user_input_fini(&input);
    assert_int_equal(parse(&input, INPUT_CREATE, "{" ANN ",\"is_valid\":true}"), 0);
    assert_int_equal(input.is_valid, 1);
    user_input_fini(&input);
}

static void a_patch_gives_what_it_names(void **state)
{
    user_input_t input;
    (void)state;
    assert_int_equal(parse(&input, INPUT_PATCH, "{}"), 0);
    assert_null(input.email.data);
    assert_null(input.email_key.data);
    assert_null(input.first_name.data);
    assert_null(input.last_name.data);
    assert_int_equal(input.is_valid, -1);
    user_input_fini(&input);
    assert_int_equal(parse(&input, INPUT_PATCH, "{\"last_name\":\"M\\u00fcller\"}"), 0);
    check_text(input.last_name, "M\xc3\xbcller");
    assert_null(input.email.data);
    user_input_fini(&input);
    assert_int_equal(parse(&input, INPUT_PATCH, "{\"email\":\"\xc3\x84@b\",\"is_valid\":true}"), 0);
    check_text(input.email, "\xc3\x84@b");
    check_text(input.email_key, "\xc3\xa4@b");
    assert_int_equal(input.is_valid, 1);
    user_input_fini(&input);
}

static void what_is_not_json_is_told_apart(void **state)
{
    static const struct {
        text_t body;
        const char *says;
    } rows[] = {
        {{NULL, 0}, "ends too early"},
        {{" ", 1}, "ends too early"},
        {{"{", 1}, "ends too early"},
        {{"{\"email\":\"a", 11}, "ends too early"},
        {{"{}x", 3}, "goes on behind its end"},
        {{"{}\0", 3}, "goes on behind its end"},
        {{"{'a':1}", 7}, "is not JSON"},
        {{"{\"a\":1,}", 8}, "is not JSON"},
        {{"{\"a\":01}", 8}, "is not JSON"},
        {{"nope", 4}, "is not JSON"},
        {{"{\"a\":\"\xff\"}", 9}, "is not UTF-8"},
        {{"{\"a\":\"\n\"}", 9}, "is not JSON"},
        {{"{\"a\":1e999}", 11}, "number that is too large"},
        {{"{\"a\":1,\"a\":2}", 13}, "names a member twice"},
        {{"{\"b\":{\"a\":1,\"\\u0061\":2}}", 24}, "names a member twice"},
        {{"{\"a\\u0000\":1}", 13}, "NUL in the name"},
        {{"{\"a\":\"\\ud800\"}", 14}, "is not JSON"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        user_input_t input;
        detail_t detail = {{0}};
        assert_int_equal(user_input_parse(&input, INPUT_PATCH, rows[i].body, &detail),
                         ERR_BAD_JSON);
        print_message("%s\n", detail.text);
        assert_non_null(strstr(detail.text, rows[i].says));
        user_input_fini(&input);
    }
}

static void deep_nesting_is_refused(void **state)
{
    enum { DEPTH = 60000 };
    user_input_t input;
    char *body = malloc(DEPTH);
    (void)state;
    memset(body, '[', DEPTH);
    assert_int_equal(parse_sized(&input, INPUT_PATCH, (text_t){body, DEPTH}), ERR_BAD_JSON);
    user_input_fini(&input);
    free(body);
}

/* One bad member: its name and a part of what is said. */
static void check_one_invalid(input_kind_t kind, const char *body, const char *name,
                              const char *says)
{
    user_input_t input;
    assert_int_equal(parse(&input, kind, body), ERR_INVALID_USER);
    assert_int_equal(input.invalid_count, 1);
    if (name == NULL)
        assert_null(input.invalid[0].name.data);
    else
        check_text(input.invalid[0].name, name);
    assert_non_null(strstr(input.invalid[0].detail, says));
    user_input_fini(&input);
}

static void a_body_is_an_object(void **state)
{
    static const char *const bodies[] = {"[]", "null", "true", "1", "1.5", "\"x\"", "[{}]"};
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        check_one_invalid(INPUT_CREATE, bodies[i], NULL, "object");
        check_one_invalid(INPUT_PATCH, bodies[i], NULL, "object");
    }
}

static void a_bad_email_says_why(void **state)
{
    static const struct {
        const char *value, *says;
    } rows[] = {
        {"\"\"", "hold an @"},
        {"\"ann\"", "hold an @"},
        {"\"@b\"", "both sides"},
        {"\"a@\"", "both sides"},
        {"\"@\"", "both sides"},
        {"\"a@b@c\"", "only one @"},
        {"\"a b@c\"", "white space"},
        {"\" a@c\"", "white space"},
        {"\"a\\u00a0@c\"", "white space"},
        {"\"a\\u3000@c\"", "white space"},
        {"\"a\\t@c\"", "control"},
        {"\"a\\u0000@c\"", "control"},
        {"\"a\\u007f@c\"", "control"},
        {"\"a\\u0085@c\"", "control"},
        {"1", "a string"},
        {"true", "a string"},
        {"[\"a@b\"]", "a string"},
        {"{}", "a string"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), "{\"email\":%s}", rows[i].value);
        check_one_invalid(INPUT_PATCH, body, "email", rows[i].says);
    }
}

static void an_email_has_at_most_254_bytes(void **state)
{
    char body[400];
    user_input_t input;
    (void)state;
    for (int size = 254; size <= 255; size++) {
        int at = snprintf(body, sizeof(body), "{\"email\":\"a@");
        memset(body + at, 'b', (size_t)size - 2);
        strcpy(body + at + size - 2, "\"}");
        if (size == 254)
            assert_int_equal(parse(&input, INPUT_PATCH, body), 0);
        else
            check_one_invalid(INPUT_PATCH, body, "email", "254");
    }
    user_input_fini(&input);
    /* Folding may lengthen it; whatever fits as an email must fit as a key. */
    int at = snprintf(body, sizeof(body), "{\"email\":\"a@");
    for (int i = 0; i < 126; i++)
        memcpy(body + at + 2 * i, "\xc7\xb0", 2); /* j with caron: three bytes when folded */
    strcpy(body + at + 252, "\"}");
    assert_int_equal(parse(&input, INPUT_PATCH, body), 0);
    assert_in_range(input.email_key.size, 3, EMAIL_KEY_MAX_BYTES);
    user_input_fini(&input);
}

static int parse_name_of(const char *character, int count)
{
    static char body[1000];
    user_input_t input;
    strcpy(body, "{\"first_name\":\"");
    for (int i = 0; i < count; i++)
        strcat(body, character);
    strcat(body, "\"}");
    int error = parse(&input, INPUT_PATCH, body);
    if (error == 0)
        assert_in_range(input.first_name.size, 2, NAME_MAX_BYTES);
    else
        check_text(input.invalid[0].name, "first_name");
    user_input_fini(&input);
    return error;
}

static void a_name_has_2_to_100_characters(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
        assert_int_equal(parse_name_of(characters[i], 0), ERR_INVALID_USER);
        assert_int_equal(parse_name_of(characters[i], 1), ERR_INVALID_USER);
        assert_int_equal(parse_name_of(characters[i], 2), 0);
        assert_int_equal(parse_name_of(characters[i], 100), 0);
        assert_int_equal(parse_name_of(characters[i], 101), ERR_INVALID_USER);
    }
    check_one_invalid(INPUT_PATCH, "{\"last_name\":\"a\\u0000b\"}", "last_name", "control");
    check_one_invalid(INPUT_PATCH, "{\"last_name\":\"a\\nb\"}", "last_name", "control");
    check_one_invalid(INPUT_PATCH, "{\"last_name\":7}", "last_name", "a string");
}

static void nothing_can_be_removed(void **state)
{
    static const char *const names[] = {"email", "first_name", "last_name", "is_valid"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char body[64];
        snprintf(body, sizeof(body), "{\"%s\":null}", names[i]);
        check_one_invalid(INPUT_PATCH, body, names[i], "removed");
    }
    check_one_invalid(INPUT_CREATE, "{" ANN ",\"is_valid\":null}", "is_valid", "true or false");
    check_one_invalid(INPUT_PATCH, "{\"is_valid\":1}", "is_valid", "true or false");
    check_one_invalid(INPUT_PATCH, "{\"is_valid\":\"true\"}", "is_valid", "true or false");
}

static void members_that_cannot_be_written_are_named(void **state)
{
    static const char *const names[] = {"id", "view_count", "version", "created_at", "updated_at"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char body[200];
        snprintf(body, sizeof(body), "{" ANN ",\"%s\":null}", names[i]);
        check_one_invalid(INPUT_CREATE, body, names[i], "read-only");
        snprintf(body, sizeof(body), "{\"%s\":1}", names[i]);
        check_one_invalid(INPUT_PATCH, body, names[i], "read-only");
    }
    check_one_invalid(INPUT_PATCH, "{\"Email\":\"a@b\"}", "Email", "not a member");
    check_one_invalid(INPUT_PATCH, "{\"\":1}", "", "not a member");
    check_one_invalid(INPUT_CREATE, "{" ANN ",\"a/b~c\":1}", "a/b~c", "not a member");
}

static void all_bad_members_are_listed(void **state)
{
    user_input_t input;
    (void)state;
    assert_int_equal(parse(&input, INPUT_CREATE, "{}"), ERR_INVALID_USER);
    assert_int_equal(input.invalid_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(input.invalid[i].detail, "is required");
    user_input_fini(&input);
    assert_int_equal(
        parse(&input, INPUT_CREATE,
              "{\"email\":1,\"first_name\":\"A\",\"is_valid\":0,\"age\":3,\"id\":\"x\"}"),
        ERR_INVALID_USER);
    assert_int_equal(input.invalid_count, 6); /* the five, and last_name is required */
    user_input_fini(&input);
}

static void the_list_of_bad_members_is_bounded(void **state)
{
    char body[4000] = "{";
    user_input_t input;
    (void)state;
    for (int i = 0; i < 100; i++)
        sprintf(body + strlen(body), "%s\"m%d\":0", i > 0 ? "," : "", i);
    strcat(body, "}");
    assert_int_equal(parse(&input, INPUT_CREATE, body), ERR_INVALID_USER);
    assert_int_equal(input.invalid_count, INVALID_MEMBERS_MAX);
    user_input_fini(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_read),
        cmocka_unit_test(a_patch_gives_what_it_names),
        cmocka_unit_test(what_is_not_json_is_told_apart),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_body_is_an_object),
        cmocka_unit_test(a_bad_email_says_why),
        cmocka_unit_test(an_email_has_at_most_254_bytes),
        cmocka_unit_test(a_name_has_2_to_100_characters),
        cmocka_unit_test(nothing_can_be_removed),
        cmocka_unit_test(members_that_cannot_be_written_are_named),
        cmocka_unit_test(all_bad_members_are_listed),
        cmocka_unit_test(the_list_of_bad_members_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
