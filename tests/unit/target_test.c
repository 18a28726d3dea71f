/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * target_test.c - keys and queries as clients may write them, and as they must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "actors/http/target.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

#define SOME_ID "0190a5d2-7c1e-7abc-8def-0123456789ab"

static int parse_key(user_key_t *out, const char *segment)
{
    detail_t detail = {{0}};
    int error = user_key_parse(out, text_of(segment), &detail);
    print_message("%.80s: %s\n", segment, detail.text);
    assert_int_equal(error != 0, detail.text[0] != '\0');
    return error;
}

static void a_uuid_is_an_id(void **state)
{
    static const char *const forms[] = {
        SOME_ID,
        "0190A5D2-7C1E-7ABC-8DEF-0123456789AB",
        "%30190a5d2%2d7c1e-7abc-8def-0123456789a%62",
    };
    uint8_t expected[UUID_BYTES];
    (void)state;
    assert_true(uuid_parse(expected, TEXT(SOME_ID)));
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        user_key_t key;
        assert_int_equal(parse_key(&key, forms[i]), 0);
        assert_int_equal(key.id_size, UUID_BYTES);
        assert_int_equal(key.email_key_size, 0);
        assert_memory_equal(key.id, expected, UUID_BYTES);
    }
}

static void an_email_is_decoded_once_and_folded(void **state)
{
    static const struct {
        const char *segment, *key;
    } rows[] = {
        {"a@b", "a@b"},
        {"Ann@Example.ORG", "ann@example.org"},
        {"a%40b", "a@b"},
        {"a%2540@b", "a%40@b"},
        {"a%2Fb@c", "a/b@c"},
        {"a%3fb%23@c", "a?b#@c"},
        {"a+b@c", "a+b@c"},
        {"a%2Bb@c", "a+b@c"},
        {"%C3%84nn@b", "\xc3\xa4nn@b"},
        {"A%CC%88nn@b", "\xc3\xa4nn@b"}, /* decomposed: the same user */
        {"\xc3\x84nn@b", "\xc3\xa4nn@b"},
        {"stra%C3%9Fe@b", "strasse@b"},
        {"%E2%84%AA@b", "k@b"}, /* the kelvin sign */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        user_key_t key;
        assert_int_equal(parse_key(&key, rows[i].segment), 0);
        assert_int_equal(key.id_size, 0);
        assert_int_equal(key.email_key_size, strlen(rows[i].key));
        assert_memory_equal(key.email_key, rows[i].key, key.email_key_size);
    }
}

static void an_unreadable_key_is_a_bad_path(void **state)
{
    static const char *const segments[] = {
        "%",      "a@b%",   "a@b%4",    "a@b%4g",       "a@b%g4", "%%40",
        "a%00@b", "a%0a@b", "a%0D%0Ab", "a%1f@b",       "a%7F@b", "a%C2%85@b",
        "%ff@b",  "a@b%C3", "%C0%80",   "%ED%A0%80@b",  "a@\x01", "a\xff@b",
        "% 40",   "%+4",    "%-1",      "%F5%80%80%80",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        user_key_t key;
        assert_int_equal(parse_key(&key, segments[i]), ERR_BAD_PATH);
    }
}

static void what_no_user_can_have_is_not_found(void **state)
{
    static const char *const segments[] = {
        "ann", "@b", "a@", "a@b@c", "a%20b@c", "a%C2%A0b@c", "0190a5d2-7c1e-7abc-8def-0123456789a",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        user_key_t key;
        assert_int_equal(parse_key(&key, segments[i]), ERR_USER_NOT_FOUND);
    }
}

static void the_longest_email_has_254_bytes(void **state)
{
    char segment[600];
    user_key_t key;
    (void)state;
    memset(segment, 'x', sizeof(segment));
    segment[1] = '@';
    segment[254] = '\0';
    assert_int_equal(parse_key(&key, segment), 0);
    assert_int_equal(key.email_key_size, 254);
    segment[254] = 'x';
    segment[255] = '\0';
    assert_int_equal(parse_key(&key, segment), ERR_USER_NOT_FOUND);
    segment[255] = 'x';
    memcpy(segment + 590, "\xc3\xa4", 3); /* cut within a character: still just not found */
    assert_int_equal(parse_key(&key, segment), ERR_USER_NOT_FOUND);
    memcpy(segment + 590, "%00", 4); /* what is cut off is checked all the same */
    assert_int_equal(parse_key(&key, segment), ERR_BAD_PATH);
    memcpy(segment + 590, "%x0", 4);
    assert_int_equal(parse_key(&key, segment), ERR_BAD_PATH);
}

static int parse_query(list_query_t *out, const char *query, const char *named)
{
    detail_t detail = {{0}};
    int error = list_query_parse(out, text_of(query), &detail);
    print_message("%.80s: %s\n", query, detail.text);
    if (named != NULL)
        assert_non_null(strstr(detail.text, named));
    return error;
}

static void a_query_has_defaults(void **state)
{
    list_query_t list;
    (void)state;
    static const char *const empty[] = {"", "&", "&&&"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        assert_int_equal(parse_query(&list, empty[i], NULL), 0);
        assert_int_equal(list.limit, 20);
        assert_int_equal(list.cursor_size, 0);
    }
}

static void a_query_is_read(void **state)
{
    list_query_t list;
    uint8_t expected[UUID_BYTES];
    (void)state;
    assert_true(uuid_parse(expected, TEXT(SOME_ID)));
    assert_int_equal(parse_query(&list, "limit=1", NULL), 0);
    assert_int_equal(list.limit, 1);
    assert_int_equal(parse_query(&list, "cursor=" SOME_ID "&limit=100", NULL), 0);
    assert_int_equal(list.limit, 100);
    assert_int_equal(list.cursor_size, UUID_BYTES);
    assert_memory_equal(list.cursor, expected, UUID_BYTES);
    assert_int_equal(parse_query(&list, "&l%69mit=%35&", NULL), 0);
    assert_int_equal(list.limit, 5);
}

static void a_bad_query_names_the_parameter(void **state)
{
    static const struct {
        const char *query, *named;
    } rows[] = {
        {"limit=0", "'limit'"},
        {"limit=101", "'limit'"},
        {"limit=1000", "'limit'"},
        {"limit=-1", "'limit'"},
        {"limit=+1", "'limit'"},
        {"limit=1e1", "'limit'"},
        {"limit=", "'limit'"},
        {"limit", "'limit'"},
        {"limit=1%00", "'limit'"},
        {"limit=99999999999999999999", "'limit'"},
        {"limit=5&limit=5", "'limit'"},
        {"limit=5=5", "'limit'"},
        {"cursor=", "'cursor'"},
        {"cursor=abc", "'cursor'"},
        {"cursor=" SOME_ID "0", "'cursor'"},
        {"cursor=" SOME_ID "&cursor=" SOME_ID, "'cursor'"},
        {"offset=3", "'offset'"},
        {"Limit=3", "'Limit'"},
        {"limit=3&page=2", "'page'"},
        {"%00=3", "does not exist"},
        {"=3", "does not exist"},
        {"\xc3\xa4=3", "does not exist"},
        {"off%7fset=3", "does not exist"},
        {"thisnameismuchtoolongtobeshownagain=3", "does not exist"},
        {"limit=%", "two hexadecimal digits"},
        {"%zz=1", "two hexadecimal digits"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        list_query_t list;
        assert_int_equal(parse_query(&list, rows[i].query, rows[i].named), ERR_BAD_QUERY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uuid_is_an_id),
        cmocka_unit_test(an_email_is_decoded_once_and_folded),
        cmocka_unit_test(an_unreadable_key_is_a_bad_path),
        cmocka_unit_test(what_no_user_can_have_is_not_found),
        cmocka_unit_test(the_longest_email_has_254_bytes),
        cmocka_unit_test(a_query_has_defaults),
        cmocka_unit_test(a_query_is_read),
        cmocka_unit_test(a_bad_query_names_the_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
