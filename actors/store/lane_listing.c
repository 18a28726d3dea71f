/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/lane_listing.h"

#include <stdlib.h>

#include "pipeline/clock.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

static void add_to_listing(void *context, const parked_lane_t *lane)
{
    lane_listing_t *listing = context;
    listing->lanes[listing->count++] = lane;
}

lane_listing_t lane_listing_of(const parked_lanes_t *lanes)
{
    lane_listing_t listing = {calloc(lanes->count + 1, sizeof(parked_lane_t *)), 0};
    must(listing.lanes != NULL);
    parked_lanes_each(lanes, add_to_listing, &listing);
    return listing;
}

static int by_age(const void *a, const void *b)
{
    const parked_lane_t *const *left = a, *const *right = b;
    int64_t x = (*left)->facts.since_us, y = (*right)->facts.since_us;
    return x < y ? -1 : x > y;
}

static void add_int(text_buffer_t *out, text_t name, int64_t value)
{
    text_add(out, name);
    text_add_int(out, value);
}

static void add_time(text_buffer_t *out, text_t name, int64_t us)
{
    char time[TIME_TEXT_SIZE];
    time_text(time, us);
    text_add(out, name);
    text_add_json_string(out, text_of(time));
}

static void add_lane(text_buffer_t *out, const parked_lane_t *lane)
{
    static const text_t states[PARKED_STATE_COUNT] = {
        [PARKED_WAITING] = {"waiting", 7},
        [PARKED_QUARANTINED] = {"quarantined", 11},
        [PARKED_OPENING] = {"opening", 7},
    };
    char user[UUID_TEXT_SIZE];
    uuid_text(user, lane->facts.user_id);
    text_add(out, TEXT("{\"user_id\": "));
    text_add_json_string(out, text_of(user));
    text_add(out, TEXT(", \"state\": "));
    text_add_json_string(out, states[lane->facts.state]);
    add_int(out, TEXT(", \"events\": "), lane->events);
    add_int(out, TEXT(", \"bytes\": "), lane->bytes);
    add_int(out, TEXT(", \"tries\": "), lane->facts.tries);
    add_int(out, TEXT(", \"reason\": "), lane->facts.reason);
    add_time(out, TEXT(", \"since\": "), lane->facts.since_us);
    if (lane->facts.state == PARKED_WAITING)
        add_time(out, TEXT(", \"next_try\": "),
                 clock_wall_us() + (lane->facts.due_ms - clock_mono_ms()) * 1000);
    else
        text_add(out, TEXT(", \"next_try\": null"));
    text_add(out, TEXT("}"));
}

void lane_listing_json(const parked_lanes_t *lanes, text_buffer_t *out, int64_t limit)
{
    lane_listing_t listing = lane_listing_of(lanes);
    if (listing.count > 1)
        qsort(listing.lanes, listing.count, sizeof(void *), by_age);
    text_add(out, TEXT("{\"lanes\": ["));
    for (size_t i = 0; i < listing.count && (int64_t)i < limit; i++) {
        text_add(out, i > 0 ? TEXT(", ") : TEXT(""));
        add_lane(out, listing.lanes[i]);
    }
    add_int(out, TEXT("], \"total\": "), (int64_t)listing.count);
    text_add(out, TEXT("}"));
    free(listing.lanes);
}
