/* SPDX-License-Identifier: Apache-2.0
 * retry_schedule.c - a lane is in one of four places: nowhere yet (all of its events were just added), in the list
 * of its runner, in the heap of those that pause, or out with its runner.
 */
#include "actors/consumer/retry_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

enum { BUCKETS = 16384, FIRST_CAPACITY = 64 };

typedef struct node {
    retry_event_t event;
    int64_t at_ms; /* not before */
    struct node *before, *next;
} node_t;

typedef enum place { LANE_NEW, LANE_READY, LANE_PAUSED, LANE_OUT } place_t;

struct retry_lane {
    char *user_key;
    size_t user_key_size;
    retry_lane_t *bucket_next;
    node_t *first, *last;
    place_t place;
    retry_lane_t *ready_next;
};

typedef struct ready_list {
    retry_lane_t *first, *last;
} ready_list_t;

typedef struct lane_array {
    retry_lane_t **lanes;
    size_t count, capacity;
} lane_array_t;

struct retry_schedule {
    retry_rules_t rules;
    retry_lane_t *buckets[BUCKETS];
    ready_list_t ready[RETRY_RUNNERS_MAX];
    lane_array_t paused; /* a heap: the first is the next */
    lane_array_t added;  /* of each event that is not kept yet */
    size_t events, lanes;
};

/* --- arrays and the heap ---------------------------------------------------------------------- */

static void push(lane_array_t *array, retry_lane_t *lane)
{
    if (array->count == array->capacity) {
        array->capacity = array->capacity > 0 ? 2 * array->capacity : FIRST_CAPACITY;
        array->lanes = realloc(array->lanes, array->capacity * sizeof(retry_lane_t *));
        must(array->lanes != NULL);
    }
    array->lanes[array->count++] = lane;
}

static bool is_before(const lane_array_t *heap, size_t a, size_t b)
{
    return heap->lanes[a]->first->at_ms < heap->lanes[b]->first->at_ms;
}

static void swap(lane_array_t *heap, size_t a, size_t b)
{
    retry_lane_t *lane = heap->lanes[a];
    heap->lanes[a] = heap->lanes[b];
    heap->lanes[b] = lane;
}

static void heap_push(lane_array_t *heap, retry_lane_t *lane)
{
    push(heap, lane);
    for (size_t at = heap->count - 1; at > 0 && is_before(heap, at, (at - 1) / 2);
         at = (at - 1) / 2)
        swap(heap, at, (at - 1) / 2);
}

static retry_lane_t *heap_pop(lane_array_t *heap)
{
    retry_lane_t *popped = heap->lanes[0];
    heap->lanes[0] = heap->lanes[--heap->count];
    for (size_t at = 0, least = 0;; at = least) {
        size_t left = 2 * at + 1, right = left + 1;
        if (left < heap->count && is_before(heap, left, least))
            least = left;
        if (right < heap->count && is_before(heap, right, least))
            least = right;
        if (least == at)
            return popped;
        swap(heap, at, least);
    }
}

/* --- lanes ------------------------------------------------------------------------------------ */

/* FNV-1a. */
static size_t bucket_of(text_t user_key)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < user_key.size; i++)
        hash = (hash ^ (unsigned char)user_key.data[i]) * 0x100000001b3;
    return hash % BUCKETS;
}

static text_t key_of(const retry_lane_t *lane)
{
    return (text_t){lane->user_key, lane->user_key_size};
}

static retry_lane_t *find(const retry_schedule_t *self, text_t user_key)
{
    retry_lane_t *lane = self->lanes > 0 ? self->buckets[bucket_of(user_key)] : NULL;
    while (lane != NULL && !text_equal(key_of(lane), user_key))
        lane = lane->bucket_next;
    return lane;
}

static retry_lane_t *make(retry_schedule_t *self, text_t user_key)
{
    retry_lane_t *lane = calloc(1, sizeof(*lane));
    must(lane != NULL);
    lane->user_key = malloc(user_key.size + 1);
    must(lane->user_key != NULL);
    if (user_key.size > 0)
        memcpy(lane->user_key, user_key.data, user_key.size);
    lane->user_key_size = user_key.size;
    retry_lane_t **bucket = &self->buckets[bucket_of(user_key)];
    lane->bucket_next = *bucket;
    *bucket = lane;
    self->lanes++;
    return lane;
}

static void drop(retry_schedule_t *self, retry_lane_t *lane)
{
    retry_lane_t **at = &self->buckets[bucket_of(key_of(lane))];
    while (*at != lane)
        at = &(*at)->bucket_next;
    *at = lane->bucket_next;
    self->lanes--;
    free(lane->user_key);
    free(lane);
}

static void stand_last(ready_list_t *list, retry_lane_t *lane)
{
    lane->ready_next = NULL;
    if (list->last != NULL)
        list->last->ready_next = lane;
    else
        list->first = lane;
    list->last = lane;
}

static void stand_first(ready_list_t *list, retry_lane_t *lane)
{
    lane->ready_next = list->first;
    list->first = lane;
    if (list->last == NULL)
        list->last = lane;
}

/* By what its first event is to wait for. */
static void place(retry_schedule_t *self, retry_lane_t *lane, int64_t now_ms)
{
    const node_t *first = lane->first;
    if (first->at_ms > now_ms) {
        lane->place = LANE_PAUSED;
        heap_push(&self->paused, lane);
        return;
    }
    lane->place = LANE_READY;
    stand_last(&self->ready[first->event.runner], lane);
}

/* --- coming ----------------------------------------------------------------------------------- */

bool retry_schedule_holds(const retry_schedule_t *self, text_t user_key)
{
    return find(self, user_key) != NULL;
}

void retry_schedule_add(retry_schedule_t *self, text_t user_key, const retry_event_t *event,
                        int64_t at_ms)
{
    retry_lane_t *lane = find(self, user_key);
    if (lane == NULL)
        lane = make(self, user_key);
    node_t *node = calloc(1, sizeof(*node));
    must(node != NULL && event->runner < RETRY_RUNNERS_MAX);
    *node = (node_t){.event = *event, .at_ms = at_ms, .before = lane->last};
    if (lane->last != NULL)
        lane->last->next = node;
    else
        lane->first = node;
    lane->last = node;
    self->events++;
    push(&self->added, lane);
}

void retry_schedule_keep(retry_schedule_t *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->added.count; i++)
        if (self->added.lanes[i]->place == LANE_NEW)
            place(self, self->added.lanes[i], now_ms);
    self->added.count = 0;
}

void retry_schedule_take_back(retry_schedule_t *self)
{
    while (self->added.count > 0) {
        retry_lane_t *lane = self->added.lanes[--self->added.count];
        node_t *last = lane->last;
        lane->last = last->before;
        if (lane->last != NULL)
            lane->last->next = NULL;
        else
            drop(self, lane);
        free(last);
        self->events--;
    }
}

/* --- going ------------------------------------------------------------------------------------ */

void retry_schedule_wake(retry_schedule_t *self, int64_t now_ms)
{
    while (retry_schedule_next_ms(self) <= now_ms)
        place(self, heap_pop(&self->paused), now_ms);
}

int64_t retry_schedule_next_ms(const retry_schedule_t *self)
{
    return self->paused.count > 0 ? self->paused.lanes[0]->first->at_ms : INT64_MAX;
}

retry_lane_t *retry_schedule_take(retry_schedule_t *self, unsigned runner)
{
    ready_list_t *list = &self->ready[runner];
    retry_lane_t *lane = list->first;
    if (lane == NULL)
        return NULL;
    list->first = lane->ready_next;
    if (list->first == NULL)
        list->last = NULL;
    lane->place = LANE_OUT;
    return lane;
}

const retry_event_t *retry_lane_event(const retry_lane_t *lane)
{
    return &lane->first->event;
}

void retry_schedule_done(retry_schedule_t *self, retry_lane_t *lane, int64_t now_ms)
{
    node_t *done = lane->first;
    must(lane->place == LANE_OUT && self->added.count == 0);
    lane->first = done->next;
    free(done);
    self->events--;
    if (lane->first == NULL) {
        drop(self, lane);
        return;
    }
    lane->first->before = NULL;
    place(self, lane, now_ms);
}

void retry_schedule_put_back(retry_schedule_t *self, retry_lane_t *lane)
{
    must(lane->place == LANE_OUT);
    lane->place = LANE_READY;
    stand_first(&self->ready[lane->first->event.runner], lane);
}

int64_t retry_pause_ms(const retry_rules_t *rules, int64_t attempts, uint64_t random)
{
    int64_t most = rules->base_ms;
    for (int64_t i = 1; i < attempts && most < rules->cap_ms; i++)
        most *= 2;
    if (most > rules->cap_ms)
        most = rules->cap_ms;
    return 1 + (int64_t)(random % (uint64_t)most);
}

retry_verdict_t retry_schedule_judge(const retry_schedule_t *self, const retry_lane_t *lane,
                                     bool permanent, uint64_t random)
{
    int64_t attempts = lane->first->event.attempts + 1;
    bool is_dead = permanent || attempts >= self->rules.tries;
    return (retry_verdict_t){
        .is_dead = is_dead,
        .attempts = attempts,
        .pause_ms = is_dead ? 0 : retry_pause_ms(&self->rules, attempts, random),
    };
}

void retry_schedule_failed(retry_schedule_t *self, retry_lane_t *lane,
                           const retry_verdict_t *verdict, int64_t now_ms)
{
    node_t *first = lane->first;
    must(lane->place == LANE_OUT);
    first->event.attempts = verdict->attempts;
    first->at_ms = now_ms + verdict->pause_ms;
    if (verdict->is_dead)
        first->event.runner = RETRY_LETTERS;
    place(self, lane, now_ms);
}

size_t retry_schedule_events(const retry_schedule_t *self)
{
    return self->events;
}

size_t retry_schedule_lanes(const retry_schedule_t *self)
{
    return self->lanes;
}

/* --- life ------------------------------------------------------------------------------------- */

retry_schedule_t *retry_schedule_new(const retry_rules_t *rules)
{
    retry_schedule_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->rules = *rules;
    return self;
}

static void free_lane(retry_lane_t *lane)
{
    while (lane->first != NULL) {
        node_t *node = lane->first;
        lane->first = node->next;
        free(node);
    }
    free(lane->user_key);
    free(lane);
}

void retry_schedule_free(retry_schedule_t **self)
{
    retry_schedule_t *schedule = *self;
    if (schedule == NULL)
        return;
    *self = NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (schedule->buckets[i] != NULL) {
            retry_lane_t *lane = schedule->buckets[i];
            schedule->buckets[i] = lane->bucket_next;
            free_lane(lane);
        }
    }
    free(schedule->paused.lanes);
    free(schedule->added.lanes);
    free(schedule);
}
