/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/incoming_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static incoming_event_t event;
static rejection_t why;

static int tear_down(void **state)
{
    (void)state;
    incoming_event_fini(&event);
    return 0;
}

static void expect_text(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

static void parse(const broker_message_t *message)
{
    if (!incoming_event_parse(&event, message, &why))
        fail_msg("refused as %s: %s", why.slug, why.reason.text);
}

static void one_of_ours_is_read_whole(void **state)
{
    const broker_header_t headers[] = {
        {TEXT("cloudEvents_id"), TEXT("x")},
        {TEXT("cloudEvents_sequence"), TEXT("7")},
    };
    const broker_message_t message = {
        .message_id = TEXT("m-1"),
        .type = TEXT("user.update"),
        .headers = headers,
        .header_count = 2,
        .body = TEXT("{\"created_at\": \"2026-11-23T21:39:48.123456\", \"queue\": \"user\", "
                     "\"context\": {\"id\": \"u-1\", \"email\": \"ada@example.org\", "
                     "\"first_name\": \"Ada\", \"last_name\": \"Lovelace\", \"view_count\": 3, "
                     "\"is_valid\": true, \"version\": 2, \"created_at\": \"c\", "
                     "\"updated_at\": \"u\"}}"),
    };
    (void)state;
    parse(&message);
    expect_text(event.message_id, "m-1");
    assert_int_equal(event.kind, EVENT_USER_UPDATE);
    expect_text(event.user_key, "u-1");
    expect_text(event.email, "ada@example.org");
    expect_text(event.first_name, "Ada");
    expect_text(event.last_name, "Lovelace");
    assert_int_equal(event.validity, USER_VALID);
    expect_text(event.registered_at, "c");
    expect_text(event.occurred_at, "u");
    assert_int_equal(event.sequence, 7);
}

static void the_original_producer_is_understood(void **state)
{
    const broker_message_t message = {
        .body = TEXT("{\"created_at\": \"2026-11-23T21:39:48.123456\", \"queue\": \"user\", "
                     "\"context\": {\"email\": \"ada@example.org\", \"first_name\": \"Ada\", "
                     "\"last_name\": \"Lovelace\", \"view_count\": 0, \"is_valid\": true}}"),
    };
    (void)state;
    parse(&message);
    assert_int_equal(event.kind, EVENT_USER_CREATE);
    expect_text(event.user_key, "ada@example.org");
    expect_text(event.registered_at, "2026-11-23T21:39:48.123456");
    expect_text(event.occurred_at, "2026-11-23T21:39:48.123456");
    assert_int_equal(event.sequence, 0);
}

/* The digest is that of `printf '{"context":{"email":"a@b"}}' | sha256sum`. */
static void the_content_is_the_identity_of_a_message_without_one(void **state)
{
    broker_message_t message = {.body = TEXT("{\"context\":{\"email\":\"a@b\"}}")};
    (void)state;
    parse(&message);
    expect_text(event.message_id,
                "sha256:ad118ce9a3a6428a523fe4710d82427c1b629ec47668a6955a5dea9cd149b2aa");
    incoming_event_fini(&event);
    message.type = TEXT("user.read"); /* of the same user as it was: another event */
    parse(&message);
    expect_text(event.message_id,
                "sha256:4d798bbb3482acf92a7102377ba4e0d26c4150cb2e1e1aa22cea6cd4b7856c0b");
}

static void without_a_type_the_body_decides(void **state)
{
    static const struct {
        const char *context;
        event_kind_t kind;
        validity_t validity;
    } cases[] = {
        {"{\"context\": {\"email\": \"a@b\"}}", EVENT_USER_CREATE, VALIDITY_UNTOLD},
        {"{\"context\": {\"email\": \"a@b\", \"is_valid\": true}}", EVENT_USER_CREATE, USER_VALID},
        {"{\"context\": {\"email\": \"a@b\", \"is_valid\": false}}", EVENT_USER_DELETE,
         USER_DISABLED},
        {"{\"context\": {\"email\": \"a@b\", \"is_valid\": 0}}", EVENT_USER_CREATE,
         VALIDITY_UNTOLD},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const broker_message_t message = {.body = text_of(cases[i].context)};
        parse(&message);
        assert_int_equal(event.kind, cases[i].kind);
        assert_int_equal(event.validity, cases[i].validity);
        incoming_event_fini(&event);
    }
}

static void with_a_type_the_body_does_not_decide(void **state)
{
    const broker_message_t message = {
        .type = TEXT("user.read"),
        .body = TEXT("{\"context\": {\"email\": \"a@b\", \"is_valid\": false}}")};
    (void)state;
    parse(&message);
    assert_int_equal(event.kind, EVENT_USER_READ);
}

static void what_is_no_text_counts_as_untold(void **state)
{
    const broker_message_t message = {
        .body = TEXT("{\"created_at\": 5, \"context\": {\"id\": 17, \"email\": \"a@b\", "
                     "\"first_name\": null, \"last_name\": [], \"created_at\": {\"$date\": 1}}}")};
    (void)state;
    parse(&message);
    expect_text(event.user_key, "a@b");
    assert_int_equal(event.first_name.size, 0);
    assert_int_equal(event.last_name.size, 0);
    assert_int_equal(event.registered_at.size, 0);
    assert_int_equal(event.occurred_at.size, 0);
}

static void a_time_that_is_too_long_counts_as_untold(void **state)
{
    const broker_message_t message = {
        .body = TEXT("{\"created_at\": "
                     "\"2026-11-23T21:39:48.123456789123456789123456789123456789123456789\", "
                     "\"context\": {\"email\": \"a@b\"}}")};
    (void)state;
    parse(&message);
    assert_int_equal(event.registered_at.size, 0);
    assert_int_equal(event.occurred_at.size, 0);
}

static void a_strange_sequence_counts_as_untold(void **state)
{
    static const struct {
        const char *header;
        int64_t sequence;
    } cases[] = {
        {"", 0},    {"0", 0},   {"1", 1},  {"999999999999999999", 999999999999999999},
        {"-1", 0},  {"1x", 0},  {" 1", 0}, {"1000000000000000000", 0},
        {"1.5", 0}, {"007", 7}, {"+1", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const broker_header_t header = {TEXT("cloudEvents_sequence"), text_of(cases[i].header)};
        const broker_message_t message = {.headers = &header,
                                          .header_count = 1,
                                          .body = TEXT("{\"context\": {\"email\": \"a@b\"}}")};
        parse(&message);
        assert_int_equal(event.sequence, cases[i].sequence);
        incoming_event_fini(&event);
    }
}

static void what_cannot_be_processed_says_why(void **state)
{
    static const struct {
        const char *type, *body, *slug, *reason;
    } cases[] = {
        {"", "", "bad-json", "not valid JSON"},
        {"", "hello", "bad-json", "not valid JSON"},
        {"", "{\"context\": {\"email\": \"a@b\"}} x", "bad-json", "byte"},
        {"", "{\"context\": {\"email\": \"a\", \"email\": \"b\"}}", "bad-json", "duplicate"},
        {"", "{\"context\": {\"email\": \"\xff\"}}", "bad-json", "decode byte"},
        {"", "{\"context\": {\"email\": \"a\\u0000b\"}}", "bad-json", "\\u0000"},
        {"", "[]", "no-context", "context"},
        {"", "{}", "no-context", "context"},
        {"", "{\"context\": \"x\"}", "no-context", "context"},
        {"", "{\"context\": {}}", "no-email", "context.email"},
        {"", "{\"context\": {\"email\": \"\"}}", "no-email", "context.email"},
        {"", "{\"context\": {\"email\": 5}}", "no-email", "context.email"},
        {"user.created", "{\"context\": {\"email\": \"a@b\"}}", "unknown-type", "user.created"},
        {"user.0123456789012345678901234567890123456789012345678901234567890123456789",
         "{\"context\": {\"email\": \"a@b\"}}", "unknown-type",
         "'user.01234567890123456789012345678901234567890123456789012345678' is none"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const broker_message_t message = {.type = text_of(cases[i].type),
                                          .body = text_of(cases[i].body)};
        if (incoming_event_parse(&event, &message, &why))
            fail_msg("taken: %s", cases[i].body);
        incoming_event_fini(&event);
        assert_string_equal(why.slug, cases[i].slug);
        if (strstr(why.reason.text, cases[i].reason) == NULL)
            fail_msg("'%s' does not name '%s'", why.reason.text, cases[i].reason);
    }
}

/* A body of `size` bytes whose email has `email_size`. */
static char *body_of(size_t size, size_t email_size)
{
    static const char head[] = "{\"context\": {\"email\": \"", tail[] = "\"}}";
    char *body = malloc(size);
    assert_non_null(body);
    memset(body, ' ', size);
    memcpy(body, head, sizeof(head) - 1);
    memset(body + sizeof(head) - 1, 'e', email_size);
    memcpy(body + sizeof(head) - 1 + email_size, tail, sizeof(tail) - 1);
    return body;
}

static void bounds_are_kept_to_the_byte(void **state)
{
    static const struct {
        size_t size, email_size;
        const char *slug; /* NULL: it is taken */
    } cases[] = {
        {INCOMING_BODY_MAX_BYTES, 5, NULL},
        {INCOMING_BODY_MAX_BYTES + 1, 5, "body-too-large"},
        {1000, EMAIL_MAX_BYTES, NULL},
        {1000, EMAIL_MAX_BYTES + 1, "text-too-long"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *body = body_of(cases[i].size, cases[i].email_size);
        const broker_message_t message = {.body = {body, cases[i].size}};
        assert_int_equal(incoming_event_parse(&event, &message, &why), cases[i].slug == NULL);
        if (cases[i].slug != NULL)
            assert_string_equal(why.slug, cases[i].slug);
        incoming_event_fini(&event);
        free(body);
    }
}

/* A message that breaks off anywhere is refused, and nothing is read beyond its end. */
static void every_truncation_is_refused(void **state)
{
    static const char whole[] = "{\"created_at\": \"t\", \"context\": {\"email\": \"a@b\", "
                                "\"is_valid\": false}}";
    (void)state;
    for (size_t size = 0; size < sizeof(whole) - 1; size++) {
        char *part = malloc(size > 0 ? size : 1);
        assert_non_null(part);
        memcpy(part, whole, size);
        const broker_message_t message = {.body = {part, size}};
        assert_false(incoming_event_parse(&event, &message, &why));
        incoming_event_fini(&event);
        free(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_of_ours_is_read_whole, tear_down),
        cmocka_unit_test_teardown(the_original_producer_is_understood, tear_down),
        cmocka_unit_test_teardown(the_content_is_the_identity_of_a_message_without_one, tear_down),
        cmocka_unit_test_teardown(without_a_type_the_body_decides, tear_down),
        cmocka_unit_test_teardown(with_a_type_the_body_does_not_decide, tear_down),
        cmocka_unit_test_teardown(what_is_no_text_counts_as_untold, tear_down),
        cmocka_unit_test_teardown(a_time_that_is_too_long_counts_as_untold, tear_down),
        cmocka_unit_test_teardown(a_strange_sequence_counts_as_untold, tear_down),
        cmocka_unit_test_teardown(what_cannot_be_processed_says_why, tear_down),
        cmocka_unit_test_teardown(bounds_are_kept_to_the_byte, tear_down),
        cmocka_unit_test_teardown(every_truncation_is_refused, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
