/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/bridge_trouble.h"

#include "pipeline/broker_decode.h"

void bridge_trouble_init(bridge_trouble_t *self, int timeout_s)
{
    *self = (bridge_trouble_t){.timeout_s = timeout_s != 0 ? timeout_s : CONFIRM_TIMEOUT_S};
}

void bridge_trouble_lost(bridge_trouble_t *self, const detail_t *why)
{
    if (!self->holds)
        bridge_trouble_failed(self, why);
}

void bridge_trouble_failed(bridge_trouble_t *self, const detail_t *why)
{
    self->why = *why;
    self->holds = false;
    self->changed = true;
}

static void clear(bridge_trouble_t *self)
{
    self->changed = self->changed || self->why.text[0] != '\0';
    self->why.text[0] = '\0';
    self->holds = false;
}

void bridge_trouble_connected(bridge_trouble_t *self)
{
    if (!self->holds)
        clear(self);
}

void bridge_trouble_heard(bridge_trouble_t *self, int64_t now_ms)
{
    self->heard_ms = now_ms;
}

void bridge_trouble_confirmed(bridge_trouble_t *self)
{
    self->refused_since_ms = 0;
    clear(self);
}

static bool is_over(const bridge_trouble_t *self, int64_t since_ms, int64_t now_ms)
{
    return now_ms - since_ms >= self->timeout_s * INT64_C(1000);
}

bool bridge_trouble_is_silent(bridge_trouble_t *self, int64_t now_ms, const char *address)
{
    if (!is_over(self, self->heard_ms, now_ms))
        return false;
    detail_set(&self->why, 0, "the broker at %.100s answers and confirmed nothing for %d s; %s",
               address, self->timeout_s, broker_no_leader);
    self->holds = self->changed = true;
    return true;
}

bool bridge_trouble_refused(bridge_trouble_t *self, int64_t now_ms, const char *reason,
                            bool returned)
{
    if (self->refused_since_ms == 0)
        self->refused_since_ms = now_ms;
    if (!is_over(self, self->refused_since_ms, now_ms))
        return false;
    self->refused_since_ms = now_ms;
    detail_set(&self->why, 0, "nothing was confirmed for %d s, all came back (%.100s); %s",
               self->timeout_s, reason,
               returned ? "is the queue bound to the exchange?" : broker_no_leader);
    self->holds = self->changed = true;
    return true;
}
