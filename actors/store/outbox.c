/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/outbox.h"

#include <string.h>

#include "proto/errors.h"

enum { ACCEPT_BELOW_PERCENT = 90 };

void outbox_init(outbox_t *self, int64_t max_events, unsigned bridge_count, int64_t head,
                 const int64_t confirmed[PARTITION_COUNT])
{
    must(bridge_count >= 1 && bridge_count <= OUTBOX_BRIDGES_MAX);
    *self = (outbox_t){.max_events = max_events, .head = head, .bridge_count = bridge_count};
    memcpy(self->confirmed, confirmed, sizeof(self->confirmed));
}

int64_t outbox_size(const outbox_t *self)
{
    int64_t size = 0;
    for (unsigned i = 0; i < self->bridge_count; i++)
        size += self->bridges[i].unconfirmed;
    return size;
}

bool outbox_accepts(outbox_t *self)
{
    int64_t size = outbox_size(self);
    if (size >= self->max_events)
        self->full = true;
    else if (size < self->max_events / 100 * ACCEPT_BELOW_PERCENT)
        self->full = false;
    return !self->full;
}

static outbox_bridge_t *bridge_of(outbox_t *self, unsigned partition)
{
    must(partition < PARTITION_COUNT);
    return &self->bridges[partition % self->bridge_count];
}

int64_t outbox_append(outbox_t *self, unsigned partition)
{
    /* A partition that was idle has nothing unconfirmed before this event, or its old mark would
     * hold the low position back. */
    if (self->confirmed[partition] >= self->last[partition])
        self->confirmed[partition] = self->head;
    bridge_of(self, partition)->unconfirmed++;
    self->last[partition] = ++self->head;
    return self->head;
}

int outbox_hand_over(outbox_t *self, unsigned partition, int64_t position)
{
    outbox_bridge_t *bridge = bridge_of(self, partition);
    if (bridge->behind || bridge->credit == 0) {
        bridge->behind = true;
        return OUTBOX_NOBODY;
    }
    bridge->credit--;
    bridge->handed = position;
    return (int)(partition % self->bridge_count);
}

void outbox_count(outbox_t *self, unsigned partition, int64_t position)
{
    if (position <= self->confirmed[partition])
        return;
    bridge_of(self, partition)->unconfirmed++;
    if (position > self->last[partition])
        self->last[partition] = position;
}

bool outbox_attach(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t credit)
{
    must(bridge < self->bridge_count);
    outbox_bridge_t *at = &self->bridges[bridge];
    bool again = at->attach_id != 0;
    *at = (outbox_bridge_t){.attach_id = attach_id,
                            .credit = credit,
                            .unconfirmed = again ? 0 : at->unconfirmed,
                            .handed = outbox_low(self),
                            .behind = true};
    return again;
}

void outbox_credit(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t count)
{
    if (bridge >= self->bridge_count || self->bridges[bridge].attach_id != attach_id)
        return;
    outbox_bridge_t *at = &self->bridges[bridge];
    at->credit += count;
    at->unconfirmed = at->unconfirmed > count ? at->unconfirmed - count : 0;
}

void outbox_confirm(outbox_t *self, unsigned partition, int64_t position)
{
    must(position <= self->head);
    if (position <= self->confirmed[partition])
        return;
    self->confirmed[partition] = position;
    self->unsaved |= UINT64_C(1) << partition;
}

int64_t outbox_low(const outbox_t *self)
{
    int64_t low = self->head;
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        if (self->confirmed[i] < self->last[i] && self->confirmed[i] < low)
            low = self->confirmed[i];
    return low;
}

bool outbox_wants_log(const outbox_t *self, unsigned bridge)
{
    return self->bridges[bridge].behind && self->bridges[bridge].credit > 0;
}

bool outbox_take(outbox_t *self, unsigned bridge, unsigned partition, int64_t position)
{
    outbox_bridge_t *at = &self->bridges[bridge];
    at->handed = position;
    if (partition % self->bridge_count != bridge || position <= self->confirmed[partition])
        return false;
    must(at->credit > 0);
    at->credit--;
    return true;
}

void outbox_caught_up(outbox_t *self, unsigned bridge)
{
    self->bridges[bridge].behind = false;
    self->bridges[bridge].handed = self->head;
}
