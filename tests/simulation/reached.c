/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/reached.h"

#include <string.h>

#include "actors/bridge/confirm_window.h"
#include "actors/bridge/lanes.h"
#include "actors/store/outbox.h"

static const char *const names[REACHED_COUNT] = {
    [REACHED_WINDOW_FULL] = "window full",
    [REACHED_CREDIT_SPENT] = "credit spent",
    [REACHED_LANE_YIELDED] = "lane yielded",
};

static int64_t times[REACHED_COUNT];

const char *reached_name(reached_t what)
{
    return names[what];
}

void reached_begin(void)
{
    memset(times, 0, sizeof(times));
}

int64_t reached_times(reached_t what)
{
    return times[what];
}

/* --- wrapped calls into the cores ------------------------------------------------------------------- */

void __real_confirm_window_add(confirm_window_t *self, uint64_t tag, outgoing_event_t *event);
void __wrap_confirm_window_add(confirm_window_t *self, uint64_t tag, outgoing_event_t *event);
void __wrap_confirm_window_add(confirm_window_t *self, uint64_t tag, outgoing_event_t *event)
{
    __real_confirm_window_add(self, tag, event);
    times[REACHED_WINDOW_FULL] += confirm_window_room(self) == 0;
}

static void look_at_credit(const outbox_t *outbox, unsigned bridge)
{
    times[REACHED_CREDIT_SPENT] += outbox->bridges[bridge].credit == 0;
}

int __real_outbox_hand_over(outbox_t *self, unsigned partition, int64_t position);
int __wrap_outbox_hand_over(outbox_t *self, unsigned partition, int64_t position);
int __wrap_outbox_hand_over(outbox_t *self, unsigned partition, int64_t position)
{
    int bridge = __real_outbox_hand_over(self, partition, position);
    if (bridge != OUTBOX_NOBODY)
        look_at_credit(self, (unsigned)bridge);
    return bridge;
}

bool __real_outbox_take(outbox_t *self, unsigned bridge, unsigned partition, int64_t position);
bool __wrap_outbox_take(outbox_t *self, unsigned bridge, unsigned partition, int64_t position);
bool __wrap_outbox_take(outbox_t *self, unsigned bridge, unsigned partition, int64_t position)
{
    bool taken = __real_outbox_take(self, bridge, partition, position);
    if (taken)
        look_at_credit(self, bridge);
    return taken;
}

bool __real_lanes_yield(lanes_t *self);
bool __wrap_lanes_yield(lanes_t *self);
bool __wrap_lanes_yield(lanes_t *self)
{
    bool yielded = __real_lanes_yield(self);
    times[REACHED_LANE_YIELDED] += yielded;
    return yielded;
}
