/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/bugs.h"

#include <string.h>

#include "actors/bridge/confirm_window.h"
#include "actors/bridge/lanes.h"
#include "actors/bridge/progress.h"
#include "actors/consumer/pending_letters.h"
#include "actors/store/outbox.h"
#include "tests/simulation/plan.h"

static const char *const names[BUG_COUNT] = {
    [BUG_NONE] = "none",
    [BUG_ANSWER_BEFORE_COMMIT] = "answer-before-commit",
    [BUG_POSITION_PAST_HOLE] = "position-past-hole",
    [BUG_SENT_ON_RETURN] = "sent-on-return",
    [BUG_NACK_AS_ACK] = "nack-as-ack",
    [BUG_REQUEUE_REVERSED] = "requeue-reversed",
    [BUG_WRITES_TOGETHER] = "writes-together",
    [BUG_CREDIT_TWICE] = "credit-twice",
    [BUG_CREDIT_OF_FORMER_LIFE] = "credit-of-former-life",
    [BUG_FAILED_FORGOTTEN] = "failed-forgotten",
    [BUG_APPLIED_TWICE] = "applied-twice",
    [BUG_ACK_BEFORE_COMMIT] = "ack-before-commit",
    [BUG_FORMER_LIFE_FED] = "former-life-fed",
    [BUG_FORMER_LIFE_BETWEEN] = "former-life-between",
    [BUG_ATTACH_BACK] = "attach-back",
    [BUG_LETTER_ACKED_EARLY] = "letter-acked-early",
};

static bug_t present = BUG_NONE;

const char *bug_name(bug_t bug)
{
    return names[bug];
}

bug_t bug_find(const char *name)
{
    int bug = 0;
    while (bug < BUG_COUNT && strcmp(names[bug], name) != 0)
        bug++;
    return (bug_t)bug;
}

void bug_set(bug_t bug)
{
    present = bug;
}

bool bug_is(bug_t bug)
{
    return present == bug;
}

/* --- wrapped calls into the cores ------------------------------------------------------------------- */

bool __real_progress_take(progress_t *self, unsigned partition, int64_t *position);
bool __wrap_progress_take(progress_t *self, unsigned partition, int64_t *position);
bool __wrap_progress_take(progress_t *self, unsigned partition, int64_t *position)
{
    bool moved = __real_progress_take(self, partition, position);
    if (bug_is(BUG_POSITION_PAST_HOLE))
        *position = self->partitions[partition].newest;
    return moved;
}

outgoing_event_t *__real_confirm_window_take(confirm_window_t *self, uint64_t tag, bool multiple,
                                             bool *returned);
outgoing_event_t *__wrap_confirm_window_take(confirm_window_t *self, uint64_t tag, bool multiple,
                                             bool *returned);
outgoing_event_t *__wrap_confirm_window_take(confirm_window_t *self, uint64_t tag, bool multiple,
                                             bool *returned)
{
    outgoing_event_t *event = __real_confirm_window_take(self, tag, multiple, returned);
    if (bug_is(BUG_SENT_ON_RETURN))
        *returned = false;
    return event;
}

static void reverse(lane_t *lane)
{
    outgoing_event_t *event = lane->first;
    lane->first = lane->last;
    lane->last = event;
    while (event != NULL) {
        outgoing_event_t *next = event->lane_next;
        event->lane_next = event->lane_before;
        event->lane_before = next;
        event = next;
    }
}

void __real_lanes_requeue_all(lanes_t *self);
void __wrap_lanes_requeue_all(lanes_t *self);
void __wrap_lanes_requeue_all(lanes_t *self)
{
    if (bug_is(BUG_REQUEUE_REVERSED))
        for (size_t i = 0; i < LANE_BUCKETS; i++)
            for (lane_t *lane = self->buckets[i]; lane != NULL; lane = lane->bucket_next)
                reverse(lane);
    __real_lanes_requeue_all(self);
}

bool __real_event_kind_is_read(event_kind_t kind);
bool __wrap_event_kind_is_read(event_kind_t kind);
bool __wrap_event_kind_is_read(event_kind_t kind)
{
    return bug_is(BUG_WRITES_TOGETHER) || __real_event_kind_is_read(kind);
}

void __real_lanes_failed(lanes_t *self, outgoing_event_t *event, int reason, int64_t now_ms,
                         uint64_t random);
void __wrap_lanes_failed(lanes_t *self, outgoing_event_t *event, int reason, int64_t now_ms,
                         uint64_t random);
void __wrap_lanes_failed(lanes_t *self, outgoing_event_t *event, int reason, int64_t now_ms,
                         uint64_t random)
{
    outgoing_event_t *next = event->lane->next;
    __real_lanes_failed(self, event, reason, now_ms, random);
    if (bug_is(BUG_FAILED_FORGOTTEN) && next != NULL && event->lane->state == LANE_PARKED)
        event->lane->next = next;
}

void __real_outbox_credit(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t events,
                          int64_t bytes);
void __wrap_outbox_credit(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t events,
                          int64_t bytes);
void __wrap_outbox_credit(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t events,
                          int64_t bytes)
{
    if (bug_is(BUG_CREDIT_OF_FORMER_LIFE) && bridge < self->bridge_count)
        attach_id = self->bridges[bridge].attach_id;
    __real_outbox_credit(self, bridge, attach_id, events, bytes);
    if (bug_is(BUG_CREDIT_TWICE))
        __real_outbox_credit(self, bridge, attach_id, events, bytes);
}

bool __real_outbox_is_late(const outbox_t *self, unsigned bridge, int64_t attach_id);
bool __wrap_outbox_is_late(const outbox_t *self, unsigned bridge, int64_t attach_id);
bool __wrap_outbox_is_late(const outbox_t *self, unsigned bridge, int64_t attach_id)
{
    return !bug_is(BUG_ATTACH_BACK) && __real_outbox_is_late(self, bridge, attach_id);
}

bool __real_pending_letters_add(pending_letters_t *self, uint64_t delivery_tag,
                                uint64_t publish_tag);
bool __wrap_pending_letters_add(pending_letters_t *self, uint64_t delivery_tag,
                                uint64_t publish_tag);
bool __wrap_pending_letters_add(pending_letters_t *self, uint64_t delivery_tag,
                                uint64_t publish_tag)
{
    /* those of the batch, whose number is the prefetch; others belong to events that wait */
    bool of_batch = self->capacity <= PLAN_PREFETCH_MAX;
    return (bug_is(BUG_LETTER_ACKED_EARLY) && of_batch) ||
           __real_pending_letters_add(self, delivery_tag, publish_tag);
}
