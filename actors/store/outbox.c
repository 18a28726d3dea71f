/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/outbox.h"

#include <string.h>

#include "proto/errors.h"

enum { ACCEPT_BELOW_PERCENT = 90 };

void outbox_init(outbox_t *self, outbox_load_t max, unsigned bridge_count, int64_t head,
                 const int64_t confirmed[PARTITION_COUNT])
{
    must(bridge_count >= 1 && bridge_count <= OUTBOX_BRIDGES_MAX);
    *self = (outbox_t){.max = max, .head = head, .bridge_count = bridge_count};
    memcpy(self->confirmed, confirmed, sizeof(self->confirmed));
}

static void add_load(outbox_load_t *load, int64_t events, int64_t bytes)
{
    load->events += events;
    load->bytes += bytes;
}

static int64_t at_least_0(int64_t value)
{
    return value > 0 ? value : 0;
}

outbox_load_t outbox_load(const outbox_t *self)
{
    outbox_load_t load = self->parked;
    for (unsigned i = 0; i < self->bridge_count; i++)
        add_load(&load, self->bridges[i].unconfirmed.events, self->bridges[i].unconfirmed.bytes);
    return load;
}

int64_t outbox_size(const outbox_t *self)
{
    return outbox_load(self).events;
}

bool outbox_accepts(outbox_t *self)
{
    const outbox_load_t load = outbox_load(self);
    if (load.events >= self->max.events || load.bytes >= self->max.bytes)
        self->full = true;
    else if (load.events < self->max.events / 100 * ACCEPT_BELOW_PERCENT &&
             load.bytes < self->max.bytes / 100 * ACCEPT_BELOW_PERCENT)
        self->full = false;
    return !self->full;
}

void outbox_park(outbox_t *self, int64_t events, int64_t bytes)
{
    add_load(&self->parked, events, bytes);
    must(self->parked.events >= 0 && self->parked.bytes >= 0);
}

static outbox_bridge_t *bridge_of(outbox_t *self, unsigned partition)
{
    must(partition < PARTITION_COUNT);
    return &self->bridges[partition % self->bridge_count];
}

int64_t outbox_append(outbox_t *self, unsigned partition, int64_t bytes)
{
    /* A partition that was idle has nothing unconfirmed before this event, or its old mark would
     * hold the low position back. */
    if (self->confirmed[partition] >= self->last[partition])
        self->confirmed[partition] = self->head;
    add_load(&bridge_of(self, partition)->unconfirmed, 1, bytes);
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

void outbox_count(outbox_t *self, unsigned partition, int64_t position, int64_t bytes)
{
    if (position <= self->confirmed[partition])
        return;
    add_load(&bridge_of(self, partition)->unconfirmed, 1, bytes);
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
                            .unconfirmed = again ? (outbox_load_t){0} : at->unconfirmed,
                            .handed = outbox_low(self),
                            .behind = true};
    return again;
}

bool outbox_is_late(const outbox_t *self, unsigned bridge, int64_t attach_id)
{
    return bridge < self->bridge_count && attach_id < self->bridges[bridge].attach_id;
}

bool outbox_is_life(const outbox_t *self, unsigned bridge, int64_t attach_id)
{
    return bridge < self->bridge_count && self->bridges[bridge].attach_id == attach_id;
}

void outbox_credit(outbox_t *self, unsigned bridge, int64_t attach_id, int64_t events,
                   int64_t bytes)
{
    if (!outbox_is_life(self, bridge, attach_id))
        return;
    outbox_bridge_t *at = &self->bridges[bridge];
    at->credit += events;
    at->unconfirmed.events = at_least_0(at->unconfirmed.events - events);
    at->unconfirmed.bytes = at_least_0(at->unconfirmed.bytes - bytes);
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
