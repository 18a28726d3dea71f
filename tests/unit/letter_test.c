/* rooms: manager */
/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/letter_groups.h"
#include "manager/pace.h"

#define T(text) TEXT(text)
#define NOW_US  INT64_C(1795514400000000) /* 2026-11-24T10:00:00Z */
#define BODY                                                                                       \
    "{\"context\": {\"id\": \"u-body\", \"email\": \"Ada@example.org\", \"first_name\": \"Ada\"}}"

enum { EVERYTHING = 8 };

static void expect_text(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

static const broker_header_t full_headers[] = {
    {{"userbus_error", 13}, {"processor-failed", 16}},
    {{"userbus_reason", 14}, {"no such table", 13}},
    {{"userbus_queue", 13}, {"user", 4}},
    {{"userbus_attempts", 16}, {"5", 1}},
    {{"userbus_fingerprint", 19}, {"00ff00ff00ff00ff", 16}},
    {{"userbus_first_failed_at", 23}, {"2026-11-24T09:59:00.000000Z", 27}},
    {{"userbus_user", 12}, {"u-header", 8}},
    {{"userbus_sequence", 16}, {"7", 1}},
    {{"cloudEvents_sequence", 20}, {"8", 1}},
    {{"mine", 4}, {"kept", 4}},
    {{"x-delivery-count", 16}, {"3", 1}}, /* the broker's, of the letter */
};

enum { FULL_COUNT = sizeof(full_headers) / sizeof(full_headers[0]) };

static letter_t *full_letter(bool with_body)
{
    const broker_message_t message = {.message_id = T("m-1"),
                                      .type = T("user.update"),
                                      .correlation_id = T("c-1"),
                                      .app_id = T("userbus"),
                                      .content_type = T("application/json"),
                                      .timestamp = 1234,
                                      .headers = full_headers,
                                      .header_count = FULL_COUNT,
                                      .body = TEXT(BODY)};
    return letter_new(&message, 9, 3, with_body);
}

static void test_what_a_letter_tells(void **state)
{
    (void)state;
    letter_t *letter = full_letter(true);
    assert_int_equal(letter->tag, 9);
    assert_int_equal(letter->arrival, 3);
    expect_text(letter->error, "processor-failed");
    expect_text(letter->reason, "no such table");
    expect_text(letter->queue, "user");
    expect_text(letter->attempts, "5");
    expect_text(letter->fingerprint, "00ff00ff00ff00ff");
    assert_string_equal(letter->user, "u-header");
    assert_string_equal(letter->email, "Ada@example.org");
    assert_int_equal(letter->sequence, 7);
    assert_int_equal(letter->first_failed_us, NOW_US - 60 * INT64_C(1000000));
    expect_text(letter->message.message_id, "m-1");
    expect_text(letter->message.correlation_id, "c-1");
    expect_text(letter->message.body, BODY);
    assert_int_equal(letter->message.timestamp, 1234);
    assert_ptr_not_equal(letter->message.headers, full_headers);
    letter_free(letter);
}

static void test_without_its_body(void **state)
{
    (void)state;
    letter_t *whole = full_letter(true), *light = full_letter(false);
    assert_int_equal(light->message.body.size, 0);
    assert_string_equal(light->email, "Ada@example.org");
    assert_int_equal(whole->bytes - light->bytes, strlen(BODY));
    letter_free(whole);
    letter_free(light);
}

static letter_t *letter_with(const broker_header_t *header, const char *body)
{
    const broker_message_t message = {
        .headers = header, .header_count = header != NULL ? 1 : 0, .body = text_of(body)};
    return letter_new(&message, 1, 0, true);
}

static void test_who_the_user_is(void **state)
{
    (void)state;
    static const broker_header_t subject = {{"cloudEvents_subject", 19}, {"u-subject", 9}};
    static const struct {
        const broker_header_t *header;
        const char *body, *user, *email;
    } rows[] = {
        {&subject, BODY, "u-subject", "Ada@example.org"},
        {&subject, "no json", "u-subject", ""},
        {NULL, BODY, "u-body", "Ada@example.org"},
        {NULL, "{\"context\": {\"email\": \"a@b.cd\"}}", "a@b.cd", "a@b.cd"},
        {NULL, "{\"context\": {\"id\": 3}}", "", ""},
        {NULL, "{\"context\": []}", "", ""},
        {NULL, "[]", "", ""},
        {NULL, "no json", "", ""},
        {NULL, "", "", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        letter_t *letter = letter_with(rows[i].header, rows[i].body);
        assert_string_equal(letter->user, rows[i].user);
        assert_string_equal(letter->email, rows[i].email);
        assert_int_equal(letter->sequence, 0);
        assert_int_equal(letter->first_failed_us, -1);
        letter_free(letter);
    }
}

static void test_a_body_that_is_too_large_is_not_read(void **state)
{
    enum { SIZE = 1 << 20 };
    (void)state;
    char *body = malloc(SIZE + 1);
    assert_non_null(body);
    memset(body, ' ', SIZE + 1);
    memcpy(body, BODY, sizeof(BODY) - 1);
    for (size_t size = SIZE; size <= SIZE + 1; size++) {
        const broker_message_t message = {.body = {body, size}};
        letter_t *letter = letter_new(&message, 1, 0, false);
        assert_string_equal(letter->user, size == SIZE ? "u-body" : "");
        letter_free(letter);
    }
    free(body);
}

static void test_a_user_key_that_is_too_long_is_none(void **state)
{
    (void)state;
    char key[LETTER_USER_SIZE + 1];
    memset(key, 'k', sizeof(key));
    const broker_header_t longest = {TEXT("userbus_user"), {key, LETTER_USER_SIZE - 1}};
    const broker_header_t longer = {TEXT("userbus_user"), {key, LETTER_USER_SIZE}};
    letter_t *letter = letter_with(&longest, "");
    assert_int_equal(strlen(letter->user), LETTER_USER_SIZE - 1);
    letter_free(letter);
    letter = letter_with(&longer, BODY);
    assert_string_equal(letter->user, "u-body");
    letter_free(letter);
}

static void test_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t sequence;
    } rows[] = {{"12", 12},
                {"0", 0},
                {"", 0},
                {"-3", 0},
                {"1x", 0},
                {"999999999999999999", INT64_C(999999999999999999)},
                {"9999999999999999999", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const broker_header_t header = {TEXT("cloudEvents_sequence"), text_of(rows[i].text)};
        letter_t *letter = letter_with(&header, "");
        assert_int_equal(letter->sequence, rows[i].sequence);
        letter_free(letter);
    }
}

#define ALL        .older_than_us = -1, .newer_than_us = -1
#define MINUTES(n) ((int64_t)(n)*60 * 1000000)

static void test_filters(void **state)
{
    (void)state;
    static const struct {
        letter_filter_t filter;
        bool meant;
    } rows[] = {
        {{ALL}, true},
        {{ALL, .event = {"user.update", 11}}, true},
        {{ALL, .event = {"user.read", 9}}, false},
        {{ALL, .user = {"u-header", 8}}, true},
        {{ALL, .user = {"u-body", 6}}, false},
        {{ALL, .user = {"ada@EXAMPLE.org", 15}}, true},
        {{ALL, .user = {"ada@example.or", 14}}, false},
        {{ALL, .user = {"bob@example.org", 15}}, false},
        {{ALL, .fingerprint = {"00ff00ff00ff00ff", 16}}, true},
        {{ALL, .fingerprint = {"00ff00ff00ff00f", 15}}, false},
        {{ALL, .id = {"m-1", 3}}, true},
        {{ALL, .id = {"m-2", 3}}, false},
        {{.older_than_us = 0, .newer_than_us = -1}, true},
        {{.older_than_us = MINUTES(1) - 1, .newer_than_us = -1}, true},
        {{.older_than_us = MINUTES(1), .newer_than_us = -1}, false},
        {{.older_than_us = -1, .newer_than_us = MINUTES(1) + 1}, true},
        {{.older_than_us = -1, .newer_than_us = MINUTES(1)}, false},
        {{.older_than_us = 0, .newer_than_us = MINUTES(2)}, true},
        {{ALL, .id = {"m-1", 3}, .event = {"user.read", 9}}, false},
    };
    letter_t *letter = full_letter(false), *ageless = letter_with(NULL, BODY);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (letter_matches(letter, &rows[i].filter, NOW_US) != rows[i].meant)
            fail_msg("row %zu", i);
    const letter_filter_t all = {ALL}, old = {.older_than_us = 0, .newer_than_us = -1},
                          new = {.older_than_us = -1, .newer_than_us = MINUTES(1000)};
    assert_true(letter_matches(ageless, &all, NOW_US));
    assert_false(letter_matches(ageless, &old, NOW_US));
    assert_false(letter_matches(ageless, &new, NOW_US));
    letter_free(letter);
    letter_free(ageless);
}

/* --- order ------------------------------------------------------------------------------------ */

static letter_t *letter_of(const char *user, const char *sequence, size_t arrival)
{
    const broker_header_t headers[] = {{TEXT("userbus_user"), text_of(user)},
                                       {TEXT("userbus_sequence"), text_of(sequence)}};
    const broker_message_t message = {.headers = headers, .header_count = 2};
    return letter_new(&message, arrival + 1, arrival, false);
}

static void test_the_plan_of_a_replay(void **state)
{
    (void)state;
    static const struct {
        const char *user, *sequence;
    } made[] = {{"b", "3"}, {"a", "2"},  {"", ""}, {"a", "1"},
                {"b", "2"}, {"a", "10"}, {"", ""}, {"c", ""}};
    static const struct {
        const char *user;
        int64_t sequence;
        size_t round;
    } planned[] = {{"", 0, 0},  {"a", 1, 0}, {"b", 2, 0}, {"", 0, 0},
                   {"c", 0, 0}, {"b", 3, 1}, {"a", 2, 1}, {"a", 10, 2}};
    letter_t *letters[EVERYTHING];
    for (size_t i = 0; i < EVERYTHING; i++)
        letters[i] = letter_of(made[i].user, made[i].sequence, i);
    letters_plan(letters, EVERYTHING);
    for (size_t i = 0; i < EVERYTHING; i++) {
        assert_string_equal(letters[i]->user, planned[i].user);
        assert_int_equal(letters[i]->sequence, planned[i].sequence);
        assert_int_equal(letters[i]->round, planned[i].round);
        assert_int_equal(letters[i]->before != NULL, planned[i].round > 0);
    }
    assert_ptr_equal(letters[7]->before, letters[6]); /* a: 10 behind 2 */
    assert_ptr_equal(letters[6]->before, letters[1]);
    for (size_t i = 0; i < EVERYTHING; i++)
        letter_free(letters[i]);
    letters_plan(letters, 0);
}

/* --- the replay ------------------------------------------------------------------------------- */

static void test_a_replayed_letter_is_the_original(void **state)
{
    (void)state;
    letter_t *letter = full_letter(true);
    replayed_letter_t made;
    assert_true(replayed_letter_make(&made, letter, T("exchange"), T("other"), NOW_US));
    expect_text(made.message.exchange, "exchange");
    expect_text(made.message.routing_key, "user");
    expect_text(made.message.message_id, "m-1");
    expect_text(made.message.body, BODY);
    assert_int_equal(made.message.delivery_mode, 2);
    static const char *const kept[][2] = {
        {"userbus_replayed_at", "2026-11-24T10:00:00.000000Z"},
        {"userbus_first_failed_at", "2026-11-24T09:59:00.000000Z"},
        {"cloudEvents_sequence", "8"},
        {"mine", "kept"}};
    assert_int_equal(made.message.header_count, 4);
    for (size_t i = 0; i < 4; i++) {
        expect_text(made.message.headers[i].key, kept[i][0]);
        expect_text(made.message.headers[i].value, kept[i][1]);
    }
    letter_free(letter);
    letter = letter_with(NULL, BODY);
    assert_true(replayed_letter_make(&made, letter, T("exchange"), T("other"), NOW_US));
    expect_text(made.message.routing_key, "other");
    letter_free(letter);
}

static void test_one_that_cannot_be_the_same_is_not_replayed(void **state)
{
    (void)state;
    broker_header_t headers[BROKER_PUBLISH_HEADERS_MAX];
    char names[BROKER_PUBLISH_HEADERS_MAX][8];
    for (size_t i = 0; i < BROKER_PUBLISH_HEADERS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "h%zu", i);
        headers[i] = (broker_header_t){text_of(names[i]), TEXT("v")};
    }
    broker_message_t message = {.headers = headers, .header_count = BROKER_PUBLISH_HEADERS_MAX - 1};
    replayed_letter_t made;
    letter_t *letter = letter_new(&message, 1, 0, true);
    assert_true(replayed_letter_make(&made, letter, T("e"), T("q"), NOW_US));
    letter_free(letter);
    message.header_count = BROKER_PUBLISH_HEADERS_MAX;
    letter = letter_new(&message, 1, 0, true);
    assert_false(replayed_letter_make(&made, letter, T("e"), T("q"), NOW_US));
    letter_free(letter);
    char *large = calloc(1, 101 * 1024);
    assert_non_null(large);
    message.header_count = 1;
    headers[0].value = (text_t){large, 101 * 1024};
    letter = letter_new(&message, 1, 0, true);
    assert_false(replayed_letter_make(&made, letter, T("e"), T("q"), NOW_US));
    letter_free(letter);
    free(large);
}

/* --- groups ----------------------------------------------------------------------------------- */

static letter_t *failed_letter(const char *fingerprint, const char *error, const char *reason,
                               const char *failed_at, size_t arrival)
{
    const broker_header_t headers[] = {{TEXT("userbus_fingerprint"), text_of(fingerprint)},
                                       {TEXT("userbus_error"), text_of(error)},
                                       {TEXT("userbus_reason"), text_of(reason)},
                                       {TEXT("userbus_first_failed_at"), text_of(failed_at)}};
    const broker_message_t message = {.headers = headers, .header_count = 4};
    return letter_new(&message, arrival + 1, arrival, false);
}

static void test_groups(void **state)
{
    (void)state;
    letter_t *letters[] = {
        failed_letter("f1", "x", "first", "2026-11-24T10:00:02Z", 0),
        failed_letter("", "bad-json", "at byte 1", "", 1),
        failed_letter("f2", "y", "other", "2026-11-24T10:00:00Z", 2),
        failed_letter("f1", "x", "latest", "2026-11-24T10:00:03Z", 3),
        failed_letter("", "no-email", "none", "2026-11-24T10:00:01Z", 4),
        failed_letter("f1", "x", "earliest", "2026-11-24T10:00:00Z", 5),
        failed_letter("", "bad-json", "at byte 2", "", 6),
    };
    size_t count = 0;
    letter_group_t *groups = letter_groups(letters, 7, &count);
    assert_int_equal(count, 4);
    expect_text(groups[0].fingerprint, "f1");
    expect_text(groups[0].reason, "latest");
    assert_int_equal(groups[0].count, 3);
    assert_int_equal(groups[0].first_us, NOW_US);
    assert_int_equal(groups[0].last_us, NOW_US + 3000000);
    expect_text(groups[1].error, "bad-json");
    assert_int_equal(groups[1].count, 2);
    assert_int_equal(groups[1].first_us, -1);
    expect_text(groups[2].error, "no-email");
    expect_text(groups[3].fingerprint, "f2");
    free(groups);
    groups = letter_groups(letters, 0, &count);
    assert_int_equal(count, 0);
    free(groups);
    for (size_t i = 0; i < 7; i++)
        letter_free(letters[i]);
}

static void test_the_pace(void **state)
{
    (void)state;
    pace_t pace = {.per_second = 10, .start_ms = 1000};
    assert_int_equal(pace_wait_ms(&pace, 1000), 0);
    pace.sent = 1;
    assert_int_equal(pace_wait_ms(&pace, 1000), 100);
    assert_int_equal(pace_wait_ms(&pace, 1099), 1);
    assert_int_equal(pace_wait_ms(&pace, 1100), 0);
    pace.sent = 100;
    assert_int_equal(pace_wait_ms(&pace, 1000), PACE_WAIT_MAX_MS);
    pace.per_second = 3;
    pace.sent = 1;
    assert_int_equal(pace_wait_ms(&pace, 1000), 334);
    pace.per_second = 0;
    assert_int_equal(pace_wait_ms(&pace, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_letter_tells),
        cmocka_unit_test(test_without_its_body),
        cmocka_unit_test(test_who_the_user_is),
        cmocka_unit_test(test_a_body_that_is_too_large_is_not_read),
        cmocka_unit_test(test_a_user_key_that_is_too_long_is_none),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_the_plan_of_a_replay),
        cmocka_unit_test(test_a_replayed_letter_is_the_original),
        cmocka_unit_test(test_one_that_cannot_be_the_same_is_not_replayed),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_the_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
