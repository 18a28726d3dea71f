/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/parked_lanes.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/backoff.h"
#include "proto/errors.h"

/* --- finding a lane --------------------------------------------------------------------------- */

/* The last bytes of a UUIDv7 are random already. */
static size_t bucket_of(const uint8_t user_id[ID_BYTES])
{
    uint32_t bits;
    memcpy(&bits, user_id + ID_BYTES - sizeof(bits), sizeof(bits));
    return bits % PARKED_BUCKETS;
}

parked_lane_t *parked_lanes_find(const parked_lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    if (self->count == 0) /* as nearly always, and asked for with every event */
        return NULL;
    parked_lane_t *lane = self->buckets[bucket_of(user_id)];
    while (lane != NULL && memcmp(lane->facts.user_id, user_id, ID_BYTES) != 0)
        lane = lane->bucket_next;
    return lane;
}

void parked_lanes_each(const parked_lanes_t *self,
                       void (*visit)(void *context, const parked_lane_t *lane), void *context)
{
    for (size_t i = 0; self->count > 0 && i < PARKED_BUCKETS; i++)
        for (const parked_lane_t *lane = self->buckets[i]; lane != NULL; lane = lane->bucket_next)
            visit(context, lane);
}

/* --- the heap of those that wait -------------------------------------------------------------- */

static void heap_set(parked_lanes_t *self, size_t at, parked_lane_t *lane)
{
    self->heap[at] = lane;
    lane->heap_at = at;
}

/* Puts the lane where it belongs, from a place from which it may have to go up or down. */
static void heap_move(parked_lanes_t *self, size_t at, parked_lane_t *lane)
{
    while (at > 0 && self->heap[(at - 1) / 2]->facts.due_ms > lane->facts.due_ms) {
        heap_set(self, at, self->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < self->heap_size &&
            self->heap[child + 1]->facts.due_ms < self->heap[child]->facts.due_ms)
            child++;
        if (child >= self->heap_size || self->heap[child]->facts.due_ms >= lane->facts.due_ms)
            break;
        heap_set(self, at, self->heap[child]);
        at = child;
    }
    heap_set(self, at, lane);
}

static void heap_add(parked_lanes_t *self, parked_lane_t *lane)
{
    if (self->heap_size == self->heap_capacity) {
        self->heap_capacity = self->heap_capacity > 0 ? 2 * self->heap_capacity : 64;
        self->heap = reallocarray(self->heap, self->heap_capacity,
                                  sizeof(parked_lane_t *)); /* of pointers */
        must(self->heap != NULL);
    }
    self->heap_size++;
    heap_set(self, self->heap_size - 1, lane);
    heap_move(self, self->heap_size - 1, lane);
}

static void heap_remove(parked_lanes_t *self, const parked_lane_t *lane)
{
    size_t at = lane->heap_at;
    parked_lane_t *last = self->heap[--self->heap_size];
    if (last != lane)
        heap_move(self, at, last);
}

/* --- lists by state --------------------------------------------------------------------------- */

static void remove_opening(parked_lanes_t *self, const parked_lane_t *lane)
{
    size_t at = 0;
    while (self->opening[at] != lane)
        at++;
    self->opening[at] = self->opening[--self->opening_count];
}

static void enlist(parked_lanes_t *self, parked_lane_t *lane)
{
    if (lane->facts.state == PARKED_WAITING)
        heap_add(self, lane);
    if (lane->facts.state == PARKED_OPENING) {
        must(self->opening_count < OPENING_MAX);
        self->opening[self->opening_count++] = lane;
    }
    if (lane->facts.state == PARKED_QUARANTINED)
        self->summary.quarantined++;
    else
        self->summary.retrying++;
}

static void delist(parked_lanes_t *self, const parked_lane_t *lane)
{
    if (lane->facts.state == PARKED_WAITING)
        heap_remove(self, lane);
    if (lane->facts.state == PARKED_OPENING)
        remove_opening(self, lane);
    if (lane->facts.state == PARKED_QUARANTINED)
        self->summary.quarantined--;
    else
        self->summary.retrying--;
}

/* --- life ------------------------------------------------------------------------------------- */

void parked_lanes_init(parked_lanes_t *self, const parked_lanes_conf_t *conf)
{
    memset(self, 0, sizeof(*self));
    self->conf = *conf;
}

void parked_lanes_fini(parked_lanes_t *self)
{
    for (size_t i = 0; i < PARKED_BUCKETS; i++)
        for (parked_lane_t *lane = self->buckets[i], *next; lane != NULL; lane = next) {
            next = lane->bucket_next;
            free(lane);
        }
    free(self->heap);
    memset(self, 0, sizeof(*self));
}

static parked_lane_t *make_lane(parked_lanes_t *self, const uint8_t user_id[ID_BYTES])
{
    parked_lane_t **bucket = &self->buckets[bucket_of(user_id)];
    parked_lane_t *lane = calloc(1, sizeof(*lane));
    must(lane != NULL);
    lane->partition = partition_of(user_id);
    lane->bucket_next = *bucket;
    *bucket = lane;
    self->count++;
    return lane;
}

static void add_load(parked_lanes_t *self, parked_lane_t *lane, int64_t events, int64_t bytes)
{
    lane->events += events;
    lane->bytes += bytes;
    self->summary.events += events;
    self->summary.bytes += bytes;
    must(lane->events >= 0);
}

parked_lane_t *parked_lanes_put(parked_lanes_t *self, const lane_facts_t *facts, int64_t events,
                                int64_t bytes)
{
    parked_lane_t *lane = parked_lanes_find(self, facts->user_id);
    if (lane != NULL)
        delist(self, lane);
    else
        lane = make_lane(self, facts->user_id);
    lane->facts = *facts;
    enlist(self, lane);
    add_load(self, lane, events, bytes);
    return lane;
}

void parked_lanes_remove(parked_lanes_t *self, parked_lane_t *lane)
{
    parked_lane_t **at = &self->buckets[bucket_of(lane->facts.user_id)];
    must(lane->added_events == 0);
    delist(self, lane);
    add_load(self, lane, -lane->events, -lane->bytes);
    while (*at != lane)
        at = &(*at)->bucket_next;
    *at = lane->bucket_next;
    self->count--;
    free(lane);
}

/* --- new events of a user --------------------------------------------------------------------- */

bool parked_lane_takes(const parked_lane_t *lane)
{
    return lane->facts.state != PARKED_OPENING || lane->events > 0;
}

bool parked_lane_is_full(const parked_lanes_t *self, const parked_lane_t *lane)
{
    return parked_lane_takes(lane) && lane->events >= self->conf.max_events;
}

void parked_lanes_add(parked_lanes_t *self, parked_lane_t *lane, int64_t bytes)
{
    if (lane->added_events == 0) {
        lane->added_next = self->added;
        self->added = lane;
    }
    lane->added_events++;
    lane->added_bytes += bytes;
    add_load(self, lane, 1, bytes);
}

static void end_transaction(parked_lanes_t *self, bool committed)
{
    for (parked_lane_t *lane = self->added; lane != NULL; lane = lane->added_next) {
        if (!committed)
            add_load(self, lane, -lane->added_events, -lane->added_bytes);
        lane->added_events = lane->added_bytes = 0;
    }
    self->added = NULL;
}

void parked_lanes_commit(parked_lanes_t *self)
{
    end_transaction(self, true);
}

void parked_lanes_roll_back(parked_lanes_t *self)
{
    end_transaction(self, false);
}

/* --- facts to come ---------------------------------------------------------------------------- */

static int64_t retry_at(const parked_lanes_t *self, int failures, const lane_failure_t *failure)
{
    backoff_t backoff = {self->conf.retry_base_ms, self->conf.retry_cap_ms, failures};
    return failure->now_ms + backoff_next_ms(&backoff, failure->random);
}

lane_facts_t parked_lanes_failed(const parked_lanes_t *self, const uint8_t user_id[ID_BYTES],
                                 const lane_failure_t *failure)
{
    const parked_lane_t *lane = parked_lanes_find(self, user_id);
    lane_facts_t facts = {.since_us = failure->now_us};
    memcpy(facts.user_id, user_id, ID_BYTES);
    if (lane != NULL)
        facts = lane->facts;
    if (lane != NULL && facts.state != PARKED_OPENING)
        return facts; /* it is closed, and this is one of those that were on their way */
    if (lane != NULL) {
        facts.failures++;
        facts.tries += failure->counted;
    }
    facts.reason = failure->reason;
    facts.closed_at = failure->last;
    facts.due_ms = retry_at(self, facts.failures, failure);
    facts.state = facts.tries >= QUARANTINE_TRIES ? PARKED_QUARANTINED : PARKED_WAITING;
    return facts;
}

lane_facts_t parked_lane_probed(const parked_lane_t *lane, int64_t position)
{
    lane_facts_t facts = lane->facts;
    facts.state = PARKED_OPENING;
    facts.closed_at = position;
    return facts;
}

lane_facts_t parked_lane_stepped(const parked_lane_t *lane, int64_t position)
{
    lane_facts_t facts = parked_lane_probed(lane, position);
    facts.tries = facts.failures = 0;
    return facts;
}

lane_facts_t parked_lane_released(const parked_lane_t *lane, int64_t now_ms)
{
    lane_facts_t facts = lane->facts;
    facts.tries = facts.failures = 0;
    if (facts.state == PARKED_OPENING)
        return facts;
    facts.state = PARKED_WAITING;
    facts.due_ms = now_ms;
    return facts;
}

/* --- what to do ------------------------------------------------------------------------------- */

static bool is_settled(const parked_lane_t *lane, const int64_t confirmed[PARTITION_COUNT])
{
    return confirmed[lane->partition] >= lane->facts.closed_at;
}

static parked_lane_t *next_opening(const parked_lanes_t *self,
                                   const int64_t confirmed[PARTITION_COUNT])
{
    for (size_t i = 0; i < self->opening_count; i++)
        if (is_settled(self->opening[i], confirmed))
            return self->opening[i];
    return NULL;
}

/* One that waits for its position is looked at again later: it must not stand before others. */
static parked_lane_t *next_waiting(parked_lanes_t *self, const int64_t confirmed[PARTITION_COUNT],
                                   int64_t now_ms)
{
    while (self->opening_count < OPENING_MAX && self->heap_size > 0 &&
           self->heap[0]->facts.due_ms <= now_ms) {
        parked_lane_t *lane = self->heap[0];
        if (is_settled(lane, confirmed))
            return lane;
        lane->facts.due_ms = now_ms + SETTLE_MS;
        heap_move(self, 0, lane);
    }
    return NULL;
}

lane_action_t parked_lanes_next(parked_lanes_t *self, const int64_t confirmed[PARTITION_COUNT],
                                int64_t now_ms, parked_lane_t **lane)
{
    *lane = next_opening(self, confirmed);
    if (*lane != NULL)
        return (*lane)->events > 0 ? LANE_ACTION_STEP : LANE_ACTION_END;
    *lane = next_waiting(self, confirmed, now_ms);
    return *lane != NULL ? LANE_ACTION_PROBE : LANE_ACTION_NONE;
}

int64_t parked_lanes_due_ms(const parked_lanes_t *self)
{
    bool may_open = self->heap_size > 0 && self->opening_count < OPENING_MAX;
    return may_open ? self->heap[0]->facts.due_ms : INT64_MAX;
}
