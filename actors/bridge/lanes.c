/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/lanes.h"

#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

/* --- finding a lane --------------------------------------------------------------------------- */

/* The last bytes of a UUIDv7 are random already. */
static lane_t **bucket_of(lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    uint32_t bits;
    memcpy(&bits, user_id + ID_BYTES - sizeof(bits), sizeof(bits));
    return &self->buckets[bits % LANE_BUCKETS];
}

static lane_t *lane_of(lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    lane_t **bucket = bucket_of(self, user_id);
    for (lane_t *lane = *bucket; lane != NULL; lane = lane->bucket_next)
        if (memcmp(lane->user_id, user_id, ID_BYTES) == 0)
            return lane;
    lane_t *lane = calloc(1, sizeof(*lane));
    must(lane != NULL);
    memcpy(lane->user_id, user_id, ID_BYTES);
    lane->backoff = (backoff_t){.base_ms = PARK_BASE_MS, .cap_ms = PARK_CAP_MS};
    lane->bucket_next = *bucket;
    *bucket = lane;
    return lane;
}

static void free_lane(lanes_t *self, lane_t *lane)
{
    lane_t **at = bucket_of(self, lane->user_id);
    must(!lane->ready && lane->parked_until_ms == 0);
    while (*at != lane)
        at = &(*at)->bucket_next;
    *at = lane->bucket_next;
    free(lane);
}

/* --- the rule --------------------------------------------------------------------------------- */

static bool may_publish(const lane_t *lane)
{
    if (lane->next == NULL || lane->parked_until_ms != 0 || lane->write_in_flight)
        return false;
    return event_kind_is_read(lane->next->kind) || lane->reads_in_flight == 0;
}

/* Puts the lane into the ready list when it belongs there. One that no longer does is passed over
 * when its turn comes. */
static void set_ready(lanes_t *self, lane_t *lane)
{
    if (lane->ready || !may_publish(lane))
        return;
    lane->ready = true;
    lane->ready_next = NULL;
    if (self->ready_last != NULL)
        self->ready_last->ready_next = lane;
    else
        self->ready_first = lane;
    self->ready_last = lane;
}

static lane_t *take_ready(lanes_t *self)
{
    lane_t *lane = self->ready_first;
    if (lane == NULL)
        return NULL;
    self->ready_first = lane->ready_next;
    if (self->ready_first == NULL)
        self->ready_last = NULL;
    lane->ready = false;
    return lane;
}

static void set_in_flight(lanes_t *self, outgoing_event_t *event, bool in_flight)
{
    lane_t *lane = event->lane;
    must(event->in_flight != in_flight);
    event->in_flight = in_flight;
    self->in_flight += in_flight ? 1 : (size_t)-1;
    if (event_kind_is_read(event->kind))
        lane->reads_in_flight += in_flight ? 1 : (size_t)-1;
    else
        lane->write_in_flight = in_flight;
}

/* --- events come and go ----------------------------------------------------------------------- */

void lanes_init(lanes_t *self)
{
    memset(self, 0, sizeof(*self));
    self->next_wake_ms = INT64_MAX;
}

void lanes_add(lanes_t *self, outgoing_event_t *event)
{
    lane_t *lane = lane_of(self, event->user_id);
    event->lane = lane;
    event->lane_before = lane->last;
    event->lane_next = NULL;
    if (lane->last != NULL)
        lane->last->lane_next = event;
    else
        lane->first = event;
    lane->last = event;
    if (lane->next == NULL)
        lane->next = event;
    self->events++;
    set_ready(self, lane);
}

outgoing_event_t *lanes_next(lanes_t *self)
{
    lane_t *lane;
    while ((lane = take_ready(self)) != NULL) {
        if (!may_publish(lane))
            continue;
        outgoing_event_t *event = lane->next;
        set_in_flight(self, event, true);
        /* Behind one that failed others may be in flight still. */
        do
            lane->next = lane->next->lane_next;
        while (lane->next != NULL && lane->next->in_flight);
        set_ready(self, lane);
        return event;
    }
    return NULL;
}

void lanes_confirmed(lanes_t *self, outgoing_event_t *event)
{
    lane_t *lane = event->lane;
    set_in_flight(self, event, false);
    if (event->lane_before != NULL)
        event->lane_before->lane_next = event->lane_next;
    else
        lane->first = event->lane_next;
    if (event->lane_next != NULL)
        event->lane_next->lane_before = event->lane_before;
    else
        lane->last = event->lane_before;
    free(event);
    self->events--;
    backoff_reset(&lane->backoff);
    if (lane->first == NULL)
        free_lane(self, lane);
    else
        set_ready(self, lane);
}

/* --- failures --------------------------------------------------------------------------------- */

static void park(lanes_t *self, lane_t *lane, int64_t until_ms)
{
    if (lane->parked_until_ms == 0) {
        lane->parked_next = self->parked;
        self->parked = lane;
        self->parked_count++;
    }
    lane->parked_until_ms = until_ms;
    if (until_ms < self->next_wake_ms)
        self->next_wake_ms = until_ms;
}

void lanes_failed(lanes_t *self, outgoing_event_t *event, int64_t now_ms, uint64_t random)
{
    lane_t *lane = event->lane;
    set_in_flight(self, event, false);
    if (lane->next == NULL || event->position < lane->next->position)
        lane->next = event;
    park(self, lane, now_ms + backoff_next_ms(&lane->backoff, random));
}

void lanes_wake(lanes_t *self, int64_t now_ms)
{
    if (now_ms < self->next_wake_ms)
        return;
    lane_t **at = &self->parked;
    self->next_wake_ms = INT64_MAX;
    while (*at != NULL) {
        lane_t *lane = *at;
        if (lane->parked_until_ms > now_ms) {
            if (lane->parked_until_ms < self->next_wake_ms)
                self->next_wake_ms = lane->parked_until_ms;
            at = &lane->parked_next;
            continue;
        }
        *at = lane->parked_next;
        self->parked_count--;
        lane->parked_until_ms = 0;
        set_ready(self, lane);
    }
}

static void each_lane(lanes_t *self, void (*visit)(lanes_t *self, lane_t *lane))
{
    for (size_t i = 0; i < LANE_BUCKETS; i++)
        for (lane_t *lane = self->buckets[i], *next; lane != NULL; lane = next) {
            next = lane->bucket_next;
            visit(self, lane);
        }
}

static void requeue(lanes_t *self, lane_t *lane)
{
    for (outgoing_event_t *event = lane->first; event != NULL; event = event->lane_next)
        if (event->in_flight)
            set_in_flight(self, event, false);
    lane->next = lane->first;
    set_ready(self, lane);
}

void lanes_requeue_all(lanes_t *self)
{
    each_lane(self, requeue);
    must(self->in_flight == 0);
}

static void free_all(lanes_t *self, lane_t *lane)
{
    (void)self;
    for (outgoing_event_t *event = lane->first, *next; event != NULL; event = next) {
        next = event->lane_next;
        free(event);
    }
    free(lane);
}

void lanes_fini(lanes_t *self)
{
    each_lane(self, free_all);
    lanes_init(self);
}
