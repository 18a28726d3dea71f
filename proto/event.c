/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/event.h"

#include "proto/uuid7.h"

static const char *const kind_names[EVENT_KIND_COUNT] = {
    [EVENT_USER_CREATE] = "user.create",
    [EVENT_USER_READ] = "user.read",
    [EVENT_USER_UPDATE] = "user.update",
    [EVENT_USER_DELETE] = "user.delete",
};

const char *event_kind_name(event_kind_t kind)
{
    return kind_names[kind];
}

int event_kind_parse(text_t name)
{
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
        if (text_equal(name, text_of(kind_names[kind])))
            return kind;
    return -1;
}

bool event_kind_is_read(event_kind_t kind)
{
    return kind == EVENT_USER_READ;
}

unsigned partition_of(const uint8_t user_id[ID_BYTES])
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */
    for (int i = 0; i < ID_BYTES; i++)
        hash = (hash ^ user_id[i]) * 0x100000001b3u;
    return (unsigned)(hash >> 32) % PARTITION_COUNT;
}

int64_t event_bytes(const msg_event_t *event)
{
    return (int64_t)(event->request_id.size + event->traceparent.size + event->tracestate.size +
                     event->body.size);
}

/* Writes `count` digits, leading zeros among them, and returns what follows. */
static char *put_digits(char *to, uint64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + count;
}

/* The date of a day counted from 1970-01-01, as "2026-11-23T". Days are counted from 0000-03-01 in eras of 400
 * years, so that a leap day ends a year (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"); gmtime_r
 * and snprintf cost ten times as much, and each event tells three times. */
static char *put_date(char *to, uint64_t days)
{
    enum { DAYS_TO_1970 = 719468, ERA_DAYS = 146097 };
    days += DAYS_TO_1970;
    uint64_t era = days / ERA_DAYS;
    uint64_t day_of_era = days % ERA_DAYS;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month_from_march = (5 * day_of_year + 2) / 153;
    uint64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint64_t year = 400 * era + year_of_era + (month <= 2);
    to = put_digits(to, year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    to = put_digits(to, day, 2);
    *to++ = 'T';
    return to;
}

void time_text(char out[TIME_TEXT_SIZE], int64_t us)
{
    uint64_t seconds = (uint64_t)us / 1000000;
    uint64_t second_of_day = seconds % 86400;
    out = put_date(out, seconds / 86400);
    out = put_digits(out, second_of_day / 3600, 2);
    *out++ = ':';
    out = put_digits(out, second_of_day / 60 % 60, 2);
    *out++ = ':';
    out = put_digits(out, second_of_day % 60, 2);
    *out++ = '.';
    out = put_digits(out, (uint64_t)us % 1000000, 6);
    *out++ = 'Z';
    *out = '\0';
}

static void add_text_member(text_buffer_t *out, text_t name_and_colon, const char *value)
{
    text_add(out, name_and_colon);
    text_add_json_string(out, text_of(value));
}

/* An id or a time: nothing in it needs escaping. */
static void add_plain_member(text_buffer_t *out, text_t name_colon_and_quote, const char *value,
                             size_t size)
{
    text_add(out, name_colon_and_quote);
    text_add(out, (text_t){value, size});
    text_add(out, TEXT("\""));
}

static void add_int_member(text_buffer_t *out, text_t name_and_colon, int64_t value)
{
    text_add(out, name_and_colon);
    text_add_int(out, value);
}

void user_json(text_buffer_t *out, const user_t *user)
{
    char id[UUID_TEXT_SIZE], time[TIME_TEXT_SIZE];
    uuid_text(id, user->id);
    add_plain_member(out, TEXT("{\"id\": \""), id, UUID_TEXT_SIZE - 1);
    add_text_member(out, TEXT(", \"email\": "), user->email);
    add_text_member(out, TEXT(", \"first_name\": "), user->first_name);
    add_text_member(out, TEXT(", \"last_name\": "), user->last_name);
    add_int_member(out, TEXT(", \"view_count\": "), user->view_count);
    text_add(out, user->is_valid ? TEXT(", \"is_valid\": true") : TEXT(", \"is_valid\": false"));
    add_int_member(out, TEXT(", \"version\": "), user->version);
    time_text(time, user->created_us);
    add_plain_member(out, TEXT(", \"created_at\": \""), time, TIME_TEXT_SIZE - 1);
    time_text(time, user->updated_us);
    add_plain_member(out, TEXT(", \"updated_at\": \""), time, TIME_TEXT_SIZE - 1);
    text_add(out, TEXT("}"));
}

void event_body_json(text_buffer_t *out, int64_t created_us, const char *queue, text_t user_json)
{
    char time[TIME_TEXT_SIZE];
    time_text(time, created_us);
    /* The original's form names no zone. */
    add_plain_member(out, TEXT("{\"created_at\": \""), time, TIME_TEXT_SIZE - 2);
    add_text_member(out, TEXT(", \"queue\": "), queue);
    text_add(out, TEXT(", \"context\": "));
    text_add(out, user_json);
    text_add(out, TEXT("}"));
}
