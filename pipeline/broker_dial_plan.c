/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_dial_plan.h"

#include <string.h>

#include "proto/errors.h"

/* Fisher and Yates; the numbers come from one by a linear congruence, which is fair enough for this. */
static void shuffle(broker_dial_plan_t *self, uint64_t random)
{
    for (size_t i = self->count - 1; i > 0; i--) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t other = (size_t)(random >> 33) % (i + 1);
        size_t held = self->order[i];
        self->order[i] = self->order[other];
        self->order[other] = held;
    }
}

void broker_dial_plan_init(broker_dial_plan_t *self, size_t count, uint64_t random)
{
    must(count >= 1 && count <= BROKERS_MAX);
    *self = (broker_dial_plan_t){.count = count};
    for (size_t i = 0; i < count; i++) {
        self->order[i] = i;
        self->brokers[i].backoff = (backoff_t){.base_ms = DIAL_BASE_MS, .cap_ms = DIAL_CAP_MS};
    }
    shuffle(self, random);
}

int broker_dial_plan_next(const broker_dial_plan_t *self, int64_t now_ms)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->brokers[self->order[i]].due_ms <= now_ms)
            return (int)self->order[i];
    return -1;
}

int64_t broker_dial_plan_due_ms(const broker_dial_plan_t *self)
{
    int64_t soonest = self->brokers[0].due_ms;
    for (size_t i = 1; i < self->count; i++)
        if (self->brokers[i].due_ms < soonest)
            soonest = self->brokers[i].due_ms;
    return soonest;
}

static void move_to_end(broker_dial_plan_t *self, size_t broker)
{
    size_t place = 0;
    while (self->order[place] != broker)
        place++;
    memmove(&self->order[place], &self->order[place + 1],
            (self->count - 1 - place) * sizeof(self->order[0]));
    self->order[self->count - 1] = broker;
}

bool broker_error_needs_a_person(int error)
{
    return error == ERR_TOPOLOGY || error == ERR_BROKER_REFUSED;
}

int broker_dial_plan_failed(broker_dial_plan_t *self, size_t broker, int error, int64_t now_ms,
                            uint64_t random)
{
    int delay_ms = backoff_next_ms(&self->brokers[broker].backoff, random);
    if (broker_error_needs_a_person(error))
        delay_ms = DIAL_CAP_MS;
    self->brokers[broker].due_ms = now_ms + delay_ms;
    move_to_end(self, broker);
    return delay_ms;
}

void broker_dial_plan_connected(broker_dial_plan_t *self, size_t broker, int64_t now_ms)
{
    self->brokers[broker].connected_ms = now_ms;
}

int broker_dial_plan_lost(broker_dial_plan_t *self, size_t broker, int error, int64_t now_ms,
                          uint64_t random)
{
    if (now_ms - self->brokers[broker].connected_ms >= DIAL_CAP_MS)
        backoff_reset(&self->brokers[broker].backoff);
    return broker_dial_plan_failed(self, broker, error, now_ms, random);
}
