/* SPDX-License-Identifier: Apache-2.0
 * retry_schedule.h - which of the waiting events may run now: a lane per user, one event of it at a time, in the
 * order of arrival. What failed is tried again after a pause, exponential with full jitter, and is dead after
 * the last try or at once when it failed for good; its lane stays held until the dead letter is confirmed.
 * Other lanes flow on.
 *
 * Every event has a runner, a small number: whoever is free asks for the next lane whose first event is for
 * him. The dead ones go to the runner RETRY_LETTERS.
 *
 * What is added counts at once, and can be taken back until it is kept, as the transaction that it stands in.
 *
 * Bound     the caller's: events are held in memory as a few numbers each.
 * Pure: plain data, the caller brings time (any one that only grows) and randomness.
 */
#ifndef USERBUS_ACTORS_CONSUMER_RETRY_SCHEDULE_H
#define USERBUS_ACTORS_CONSUMER_RETRY_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h" /* text_t */

enum { RETRY_LETTERS, RETRY_RUNNERS_MAX = 8 };

typedef struct retry_rules {
    int64_t base_ms, cap_ms; /* of the pauses */
    int64_t tries;           /* runs that may fail */
} retry_rules_t;

typedef struct retry_schedule retry_schedule_t;
typedef struct retry_lane retry_lane_t;

typedef struct retry_event {
    int64_t row; /* the caller's */
    int kind;    /* the caller's */
    unsigned runner;
    int64_t attempts; /* failed so far */
} retry_event_t;

/* What becomes of an event that failed. */
typedef struct retry_verdict {
    bool is_dead;
    int64_t attempts, pause_ms;
} retry_verdict_t;

retry_schedule_t *retry_schedule_new(const retry_rules_t *rules);

/* A NULL *self is fine. */
void retry_schedule_free(retry_schedule_t **self);

/* True while an event of the user waits, also one that runs. */
bool retry_schedule_holds(const retry_schedule_t *self, text_t user_key);

/* The newest event of its user, which may not run before at_ms. */
void retry_schedule_add(retry_schedule_t *self, text_t user_key, const retry_event_t *event,
                        int64_t at_ms);

/* What was added since the last of these calls stays, or goes. */
void retry_schedule_keep(retry_schedule_t *self, int64_t now_ms);
void retry_schedule_take_back(retry_schedule_t *self);

/* Lets go the lanes whose pause is over. */
void retry_schedule_wake(retry_schedule_t *self, int64_t now_ms);

/* When the next pause is over; INT64_MAX: there is none. */
int64_t retry_schedule_next_ms(const retry_schedule_t *self);

/* The next lane whose first event is for that runner, which has it until one of the calls below; NULL: there is
 * none. Lanes take turns. */
retry_lane_t *retry_schedule_take(retry_schedule_t *self, unsigned runner);

/* Its first event: the one that runs. */
const retry_event_t *retry_lane_event(const retry_lane_t *lane);

/* The event is done (or its dead letter confirmed) and gone; the next one of the lane may run. */
void retry_schedule_done(retry_schedule_t *self, retry_lane_t *lane, int64_t now_ms);

/* It was not run, for no fault of its own: its lane stands first again. */
void retry_schedule_put_back(retry_schedule_t *self, retry_lane_t *lane);

/* Changes nothing: what a failure would mean. */
retry_verdict_t retry_schedule_judge(const retry_schedule_t *self, const retry_lane_t *lane,
                                     bool permanent, uint64_t random);

void retry_schedule_failed(retry_schedule_t *self, retry_lane_t *lane,
                           const retry_verdict_t *verdict, int64_t now_ms);

size_t retry_schedule_events(const retry_schedule_t *self);
size_t retry_schedule_lanes(const retry_schedule_t *self);

/* The pause after so many failed runs: a random part of min(cap, base * 2^(attempts - 1)), at least 1. */
int64_t retry_pause_ms(const retry_rules_t *rules, int64_t attempts, uint64_t random);

#endif
