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

static lane_t *find_lane(lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    lane_t *lane = *bucket_of(self, user_id);
    while (lane != NULL && memcmp(lane->user_id, user_id, ID_BYTES) != 0)
        lane = lane->bucket_next;
    return lane;
}

static lane_t *take_spare(lanes_t *self)
{
    lane_t *lane = self->spare;
    if (lane != NULL) {
        self->spare = lane->bucket_next;
        self->spare_count--;
        return lane;
    }
    lane = malloc(sizeof(*lane));
    must(lane != NULL);
    return lane;
}

static void keep_spare(lanes_t *self, lane_t *lane)
{
    if (self->spare_count == LANES_SPARE_MAX) {
        free(lane);
        return;
    }
    lane->bucket_next = self->spare;
    self->spare = lane;
    self->spare_count++;
}

static lane_t *lane_of(lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    lane_t **bucket = bucket_of(self, user_id);
    lane_t *lane = find_lane(self, user_id);
    if (lane != NULL)
        return lane;
    lane = take_spare(self);
    *lane = (lane_t){.bucket_next = *bucket,
                     .backoff = {.base_ms = PARK_BASE_MS, .cap_ms = PARK_CAP_MS}};
    memcpy(lane->user_id, user_id, ID_BYTES);
    *bucket = lane;
    return lane;
}

/* --- the rule --------------------------------------------------------------------------------- */

static bool may_publish(const lane_t *lane)
{
    if (lane->next == NULL || lane->state != LANE_FLOWING || lane->write_in_flight)
        return false;
    return event_kind_is_read(lane->next->kind) || lane->reads_in_flight == 0;
}

static bool flies(const lane_t *lane)
{
    return lane->write_in_flight || lane->reads_in_flight > 0;
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

static void unlist_as_ready(lanes_t *self, lane_t *lane)
{
    lane_t *before = NULL;
    for (lane_t *at = self->ready_first; at != lane; at = at->ready_next)
        before = at;
    if (before != NULL)
        before->ready_next = lane->ready_next;
    else
        self->ready_first = lane->ready_next;
    if (self->ready_last == lane)
        self->ready_last = before;
    lane->ready = false;
}

static void free_lane(lanes_t *self, lane_t *lane)
{
    lane_t **at = bucket_of(self, lane->user_id);
    must(lane->first == NULL && lane->state == LANE_FLOWING);
    if (lane->ready) /* from before it was closed */
        unlist_as_ready(self, lane);
    while (*at != lane)
        at = &(*at)->bucket_next;
    *at = lane->bucket_next;
    keep_spare(self, lane);
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

/* --- states ----------------------------------------------------------------------------------- */

static void list_as_parked(lanes_t *self, lane_t *lane)
{
    lane->parked_before = NULL;
    lane->parked_next = self->parked;
    if (self->parked != NULL)
        self->parked->parked_before = lane;
    self->parked = lane;
    self->parked_count++;
    if (lane->wake_ms < self->next_wake_ms)
        self->next_wake_ms = lane->wake_ms;
}

static void unlist_as_parked(lanes_t *self, lane_t *lane)
{
    if (lane->parked_before != NULL)
        lane->parked_before->parked_next = lane->parked_next;
    else
        self->parked = lane->parked_next;
    if (lane->parked_next != NULL)
        lane->parked_next->parked_before = lane->parked_before;
    self->parked_count--;
}

static void list_as_left(lanes_t *self, lane_t *lane)
{
    lane->left_next = NULL;
    if (self->left_last != NULL)
        self->left_last->left_next = lane;
    else
        self->left_first = lane;
    self->left_last = lane;
}

static void unlist_as_left(lanes_t *self, lane_t *lane)
{
    lane_t *before = NULL;
    for (lane_t *at = self->left_first; at != lane; at = at->left_next)
        before = at;
    if (before != NULL)
        before->left_next = lane->left_next;
    else
        self->left_first = lane->left_next;
    if (self->left_last == lane)
        self->left_last = before;
}

/* wake_ms is set before a lane is parked. */
static void set_state(lanes_t *self, lane_t *lane, lane_state_t next)
{
    static const unsigned from[LANE_STATE_COUNT] = {
        [LANE_FLOWING] = 1 << LANE_PARKED | 1 << LANE_CLOSED,
        [LANE_PARKED] = 1 << LANE_FLOWING,
        [LANE_LEAVING] = 1 << LANE_FLOWING | 1 << LANE_PARKED,
        [LANE_CLOSED] = 1 << LANE_FLOWING | 1 << LANE_LEAVING,
    };
    must((from[next] >> lane->state & 1) != 0);
    if (lane->state == LANE_PARKED)
        unlist_as_parked(self, lane);
    lane->state = next;
    if (next == LANE_PARKED)
        list_as_parked(self, lane);
    if (next == LANE_CLOSED && lane->first != NULL)
        list_as_left(self, lane);
    set_ready(self, lane);
}

static void leave(lanes_t *self, lane_t *lane, bool counted)
{
    lane->counted = counted;
    set_state(self, lane, LANE_LEAVING);
    if (!flies(lane))
        set_state(self, lane, LANE_CLOSED);
}

/* After an outcome. */
static void close_when_landed(lanes_t *self, lane_t *lane)
{
    if (lane->state == LANE_LEAVING && !flies(lane))
        set_state(self, lane, LANE_CLOSED);
}

/* --- events come and go ----------------------------------------------------------------------- */

void lanes_init(lanes_t *self)
{
    memset(self, 0, sizeof(*self));
    self->next_wake_ms = INT64_MAX;
}

static void append(lane_t *lane, outgoing_event_t *event)
{
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
    lane->held++;
}

void lanes_add(lanes_t *self, outgoing_event_t *event)
{
    lane_t *lane = lane_of(self, event->user_id);
    append(lane, event);
    self->events++;
    if (lane->state == LANE_CLOSED && lane->held == 1)
        list_as_left(self, lane);
    else if (lane->state == LANE_PARKED && lane->tries > 0 && lane->held > LANE_HELD_MAX)
        leave(self, lane, true);
    else
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
        event->round = lane->round;
        /* Behind one that failed others may be in flight still. */
        do
            lane->next = lane->next->lane_next;
        while (lane->next != NULL && lane->next->in_flight);
        set_ready(self, lane);
        return event;
    }
    return NULL;
}

/* Takes the event out of its lane. */
static void unlink_event(lanes_t *self, outgoing_event_t *event)
{
    lane_t *lane = event->lane;
    if (event->lane_before != NULL)
        event->lane_before->lane_next = event->lane_next;
    else
        lane->first = event->lane_next;
    if (event->lane_next != NULL)
        event->lane_next->lane_before = event->lane_before;
    else
        lane->last = event->lane_before;
    lane->held--;
    self->events--;
}

/* The lane's trouble is over when all that failed went through, not when something else did. */
static void forget_failure(lane_t *lane, const outgoing_event_t *event)
{
    if (!event->has_failed || --lane->failing > 0)
        return;
    lane->tries = 0;
    backoff_reset(&lane->backoff);
}

void lanes_confirmed(lanes_t *self, outgoing_event_t *event)
{
    lane_t *lane = event->lane;
    set_in_flight(self, event, false);
    unlink_event(self, event);
    forget_failure(lane, event);
    outgoing_event_free(&self->shelf, event);
    self->confirmed++;
    lane->own++;
    if (lane->first == NULL) {
        free_lane(self, lane);
        return;
    }
    set_ready(self, lane);
    close_when_landed(self, lane);
}

/* --- failures --------------------------------------------------------------------------------- */

/* trouble: it had some before. */
static void park(lanes_t *self, lane_t *lane, bool trouble, int64_t wake_ms)
{
    int64_t passed = self->confirmed - lane->own;
    lane->round++;
    lane->tries += trouble && passed > lane->passed;
    lane->passed = passed;
    lane->wake_ms = wake_ms;
    if (lane->tries >= LANE_TRIES)
        leave(self, lane, true);
    else
        set_state(self, lane, LANE_PARKED);
}

void lanes_failed(lanes_t *self, outgoing_event_t *event, int reason, int64_t now_ms,
                  uint64_t random)
{
    lane_t *lane = event->lane;
    bool trouble = lane->failing > 0;
    set_in_flight(self, event, false);
    lane->failing += !event->has_failed;
    event->has_failed = true;
    lane->reason = reason;
    if (lane->next == NULL || event->position < lane->next->position)
        lane->next = event;
    if (event->round == lane->round)
        park(self, lane, trouble, now_ms + backoff_next_ms(&lane->backoff, random));
    set_ready(self, lane);
    close_when_landed(self, lane);
}

void lanes_wake(lanes_t *self, int64_t now_ms)
{
    if (now_ms < self->next_wake_ms)
        return;
    self->next_wake_ms = INT64_MAX;
    for (lane_t *lane = self->parked, *next; lane != NULL; lane = next) {
        next = lane->parked_next;
        if (lane->wake_ms <= now_ms)
            set_state(self, lane, LANE_FLOWING);
        else if (lane->wake_ms < self->next_wake_ms)
            self->next_wake_ms = lane->wake_ms;
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
    close_when_landed(self, lane);
}

void lanes_requeue_all(lanes_t *self)
{
    each_lane(self, requeue);
    must(self->in_flight == 0);
}

/* --- lanes that leave ------------------------------------------------------------------------- */

outgoing_event_t *lanes_take_left(lanes_t *self, departure_t *how)
{
    lane_t *lane = self->left_first;
    if (lane == NULL)
        return NULL;
    outgoing_event_t *event = lane->first;
    unlink_event(self, event);
    event->lane = NULL;
    lane->next = lane->first;
    if (lane->first == NULL)
        unlist_as_left(self, lane);
    *how = (departure_t){.counted = lane->counted, .reason = lane->reason};
    return event;
}

bool lanes_yield(lanes_t *self)
{
    lane_t *most = NULL;
    size_t held = 0;
    for (lane_t *lane = self->parked; lane != NULL; lane = lane->parked_next) {
        held += lane->held;
        if (most == NULL || lane->held > most->held)
            most = lane;
    }
    if (self->in_flight > 0 || most == NULL || held < self->events)
        return false;
    leave(self, most, false);
    return true;
}

void lanes_close(lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    lane_t *lane = lane_of(self, user_id);
    if (lane->state == LANE_FLOWING || lane->state == LANE_PARKED)
        leave(self, lane, false);
}

void lanes_open(lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    lane_t *lane = find_lane(self, user_id);
    if (lane == NULL || lane->state != LANE_CLOSED)
        return;
    if (lane->first != NULL)
        unlist_as_left(self, lane);
    for (outgoing_event_t *event = lane->first; event != NULL; event = event->lane_next)
        event->has_failed = false;
    lane->failing = 0;
    lane->tries = 0;
    backoff_reset(&lane->backoff);
    set_state(self, lane, LANE_FLOWING);
    if (lane->first == NULL)
        free_lane(self, lane);
}

static void free_all(lanes_t *self, lane_t *lane)
{
    for (outgoing_event_t *event = lane->first, *next; event != NULL; event = next) {
        next = event->lane_next;
        outgoing_event_free(&self->shelf, event);
    }
    free(lane);
}

void lanes_fini(lanes_t *self)
{
    each_lane(self, free_all);
    while (self->spare != NULL)
        free(take_spare(self));
    event_shelf_fini(&self->shelf);
    lanes_init(self);
}
