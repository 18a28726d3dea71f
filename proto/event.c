/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/event.h"

#include <stdio.h>
#include <time.h>

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

void time_text(char out[TIME_TEXT_SIZE], int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    /* The casts bound the fields for the compiler, which cannot know gmtime_r's ranges. */
    snprintf(out, TIME_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
             (unsigned)(utc.tm_year + 1900) % 10000u, (unsigned)(utc.tm_mon + 1) % 100u,
             (unsigned)utc.tm_mday % 100u, (unsigned)utc.tm_hour % 100u,
             (unsigned)utc.tm_min % 100u, (unsigned)utc.tm_sec % 100u,
             (unsigned)(us % 1000000) % 1000000u);
}

static void add_text_member(text_buffer_t *out, text_t name_and_colon, const char *value)
{
    text_add(out, name_and_colon);
    text_add_json_string(out, text_of(value));
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
    add_text_member(out, TEXT("{\"id\": "), id);
    add_text_member(out, TEXT(", \"email\": "), user->email);
    add_text_member(out, TEXT(", \"first_name\": "), user->first_name);
    add_text_member(out, TEXT(", \"last_name\": "), user->last_name);
    add_int_member(out, TEXT(", \"view_count\": "), user->view_count);
    text_add(out, user->is_valid ? TEXT(", \"is_valid\": true") : TEXT(", \"is_valid\": false"));
    add_int_member(out, TEXT(", \"version\": "), user->version);
    time_text(time, user->created_us);
    add_text_member(out, TEXT(", \"created_at\": "), time);
    time_text(time, user->updated_us);
    add_text_member(out, TEXT(", \"updated_at\": "), time);
    text_add(out, TEXT("}"));
}

void event_body_json(text_buffer_t *out, int64_t created_us, const char *queue, text_t user_json)
{
    char time[TIME_TEXT_SIZE];
    time_text(time, created_us);
    time[TIME_TEXT_SIZE - 2] = '\0'; /* the original's form names no zone */
    add_text_member(out, TEXT("{\"created_at\": "), time);
    add_text_member(out, TEXT(", \"queue\": "), queue);
    text_add(out, TEXT(", \"context\": "));
    text_add(out, user_json);
    text_add(out, TEXT("}"));
}
