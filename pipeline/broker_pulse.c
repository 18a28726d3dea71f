/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_pulse.h"

void broker_pulse_init(broker_pulse_t *self, int heartbeat_s, int64_t now_ms)
{
    *self = (broker_pulse_t){
        .heartbeat_ms = heartbeat_s * INT64_C(1000), .received_ms = now_ms, .sent_ms = now_ms};
}

int64_t broker_pulse_limit_ms(const broker_pulse_t *self)
{
    return 2 * self->heartbeat_ms - BROKER_IDLE_MAX_MS;
}

void broker_pulse_sent(broker_pulse_t *self, bool all, int64_t now_ms)
{
    self->sent_ms = now_ms;
    self->stuck_ms = all ? 0 : now_ms;
}

void broker_pulse_stuck(broker_pulse_t *self, int64_t now_ms)
{
    if (self->stuck_ms == 0)
        self->stuck_ms = now_ms;
}

void broker_pulse_set_blocked(broker_pulse_t *self, bool blocked, int64_t now_ms)
{
    self->blocked = blocked;
    if (self->stuck_ms != 0)
        self->stuck_ms = now_ms;
}

bool broker_pulse_beat_is_due(const broker_pulse_t *self, int64_t now_ms)
{
    return now_ms - self->sent_ms >= self->heartbeat_ms / 2;
}

broker_pulse_verdict_t broker_pulse_judge(const broker_pulse_t *self, int64_t now_ms)
{
    int64_t limit_ms = broker_pulse_limit_ms(self);
    if (now_ms - self->received_ms >= limit_ms)
        return PULSE_SILENT;
    if (!self->blocked && self->stuck_ms != 0 && now_ms - self->stuck_ms >= limit_ms)
        return PULSE_STUCK;
    return PULSE_ALIVE;
}
