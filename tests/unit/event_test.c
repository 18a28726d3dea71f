/* rooms: proto PkgConfig::JANSSON */
/* SPDX-License-Identifier: Apache-2.0
 * event_test.c - the JSON that goes out, read back by jansson; ids, partitions and times.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* after those above, as it asks */
#include <cmocka.h>
#include <jansson.h>

#include "proto/event.h"
#include "proto/uuid7.h"

static const user_t sample = {
    .id = {0x01, 0x93, 0x5a, 0x00, 0x00, 0x01, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0xff},
    .email = "Ada@Example.org",
    .first_name = "A\"d\\a\t",
    .last_name = "L\xc3\xb6velace",
    .view_count = 7,
    .is_valid = true,
    .version = 3,
    .created_us = 1763934588123456,
    .updated_us = 0,
};

static void a_user_is_written_to_the_letter(void **unused)
{
    (void)unused;
    text_buffer_t out = {0};
    user_t plain = sample;
    strcpy(plain.first_name, "Ada");
    user_json(&out, &plain);
    static const char expected[] =
        "{\"id\": \"01935a00-0001-7000-8000-0000000000ff\", \"email\": \"Ada@Example.org\", "
        "\"first_name\": \"Ada\", \"last_name\": \"L\xc3\xb6velace\", \"view_count\": 7, "
        "\"is_valid\": true, "
        "\"version\": 3, \"created_at\": \"2025-11-23T21:49:48.123456Z\", "
        "\"updated_at\": \"1970-01-01T00:00:00.000000Z\"}";
    assert_int_equal(out.size, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.size);
    text_buffer_fini(&out);
}

static void a_disabled_user_says_so(void **unused)
{
    (void)unused;
    text_buffer_t out = {0};
    user_t disabled = sample;
    disabled.is_valid = false;
    user_json(&out, &disabled);
    json_t *user = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_false(json_object_get(user, "is_valid")));
    json_decref(user);
    text_buffer_fini(&out);
}

static void a_body_has_the_original_s_form(void **unused)
{
    (void)unused;
    text_buffer_t user = {0}, out = {0};
    user_json(&user, &sample);
    event_body_json(&out, 1763934588123456, "user", text_buffer_view(&user));
    json_error_t error;
    json_t *body = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(body);
    assert_int_equal(json_object_size(body), 3);
    assert_string_equal(json_string_value(json_object_get(body, "created_at")),
                        "2025-11-23T21:49:48.123456");
    assert_string_equal(json_string_value(json_object_get(body, "queue")), "user");
    json_t *context = json_object_get(body, "context");
    assert_string_equal(json_string_value(json_object_get(context, "first_name")),
                        sample.first_name);
    assert_string_equal(json_string_value(json_object_get(context, "last_name")), sample.last_name);
    json_decref(body);
    text_buffer_fini(&user);
    text_buffer_fini(&out);
}

/* Against the C library, over all years that the four digits hold. */
static void times_are_those_of_the_calendar(void **unused)
{
    (void)unused;
    static const int64_t edges_s[] = {0,          951782399,  951782400,   951868800,  951955199,
                                      1078012800, 4107542399, 4107542400,  4133980799, 13574563200,
                                      1764068123, 1767225599, 253402300799};
    const int64_t last_s = 253402300799; /* the end of 9999 */
    for (int64_t i = 0; i < 200000; i++) {
        int64_t edge_count = (int64_t)(sizeof(edges_s) / sizeof(edges_s[0]));
        time_t seconds =
            (time_t)(i < edge_count ? edges_s[i] : (int64_t)(i * INT64_C(1267011504) % last_s));
        struct tm utc;
        char expected[80], got[TIME_TEXT_SIZE];
        gmtime_r(&seconds, &utc);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                 utc.tm_sec, (int)(i * 7919 % 1000000));
        time_text(got, (int64_t)seconds * 1000000 + i * 7919 % 1000000);
        assert_string_equal(got, expected);
    }
}

static void numbers_are_written_whole(void **unused)
{
    (void)unused;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, 99, 100, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char expected[32];
        text_buffer_t out = {0};
        int size = snprintf(expected, sizeof(expected), "%" PRId64, numbers[i]);
        text_add_int(&out, numbers[i]);
        assert_int_equal(out.size, size);
        assert_memory_equal(out.data, expected, out.size);
        text_buffer_fini(&out);
    }
}

static void every_byte_survives_as_json(void **unused)
{
    (void)unused;
    for (unsigned byte = 1; byte < 0x80; byte++) {
        char text[] = {'a', (char)byte, 'z', '\0'};
        text_buffer_t out = {0};
        text_add(&out, TEXT("["));
        text_add_json_string(&out, text_of(text));
        text_add(&out, TEXT("]"));
        json_error_t error;
        json_t *list = json_loadb(out.data, out.size, 0, &error);
        assert_non_null(list);
        assert_string_equal(json_string_value(json_array_get(list, 0)), text);
        json_decref(list);
        text_buffer_fini(&out);
    }
}

static void kinds_have_names_both_ways(void **unused)
{
    (void)unused;
    assert_string_equal(event_kind_name(EVENT_USER_DELETE), "user.delete");
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
        assert_int_equal(event_kind_parse(text_of(event_kind_name((event_kind_t)kind))), kind);
    assert_int_equal(event_kind_parse(TEXT("user.creat")), -1);
    assert_int_equal(event_kind_parse(TEXT("")), -1);
    assert_true(event_kind_is_read(EVENT_USER_READ));
    assert_false(event_kind_is_read(EVENT_USER_UPDATE));
}

/* Positions are stored per partition: a change of the hash would mix up stored positions. */
static void the_partition_of_an_id_never_changes(void **unused)
{
    (void)unused;
    assert_int_equal(partition_of(sample.id), 30);
    unsigned used[PARTITION_COUNT] = {0};
    for (int i = 0; i < 64000; i++) {
        uint8_t id[ID_BYTES];
        uuid7_make(id, 1763934588123 + i / 10);
        used[partition_of(id)]++;
    }
    for (int i = 0; i < PARTITION_COUNT; i++)
        assert_in_range(used[i], 800, 1200);
}

static void uuids_are_of_version_7_and_parse_back(void **unused)
{
    (void)unused;
    uint8_t id[UUID_BYTES], other[UUID_BYTES], back[UUID_BYTES];
    char text[UUID_TEXT_SIZE];
    uuid7_make(id, 0x0123456789ab);
    uuid7_make(other, 0x0123456789ab);
    assert_memory_not_equal(id, other, UUID_BYTES);
    uuid_text(text, id);
    assert_memory_equal(text, "01234567-89ab-7", 15);
    assert_non_null(strchr("89ab", text[19]));
    assert_true(uuid_parse(back, text_of(text)));
    assert_memory_equal(id, back, UUID_BYTES);
    assert_true(uuid_parse(back, TEXT("ABCDEF01-2345-4678-9ABC-DEF012345678")));
    static const char *const bad[] = {"",
                                      "01234567-89ab-7",
                                      "01234567-89ab-7000-8000-00000000000",
                                      "01234567-89ab-7000-8000-0000000000000",
                                      "01234567089ab-7000-8000-000000000000",
                                      "0123456g-89ab-7000-8000-000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(uuid_parse(back, text_of(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_written_to_the_letter),
        cmocka_unit_test(a_disabled_user_says_so),
        cmocka_unit_test(a_body_has_the_original_s_form),
        cmocka_unit_test(times_are_those_of_the_calendar),
        cmocka_unit_test(numbers_are_written_whole),
        cmocka_unit_test(every_byte_survives_as_json),
        cmocka_unit_test(kinds_have_names_both_ways),
        cmocka_unit_test(the_partition_of_an_id_never_changes),
        cmocka_unit_test(uuids_are_of_version_7_and_parse_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
