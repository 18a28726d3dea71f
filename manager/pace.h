/* SPDX-License-Identifier: Apache-2.0
 * pace.h - not more than so many messages a second, evenly. Pure: the caller brings the time.
 */
#ifndef USERBUS_MANAGER_PACE_H
#define USERBUS_MANAGER_PACE_H

#include <stdint.h>

enum { PACE_WAIT_MAX_MS = 1000 };

typedef struct pace {
    int64_t per_second; /* 0: as fast as it goes */
    int64_t start_ms;   /* monotonic */
    int64_t sent;
} pace_t;

/* Milliseconds until the next one may go: 0: now; at most PACE_WAIT_MAX_MS, then ask again. */
static inline int pace_wait_ms(const pace_t *self, int64_t now_ms)
{
    if (self->per_second == 0)
        return 0;
    int64_t due_ms = self->start_ms + (self->sent * 1000 + self->per_second - 1) / self->per_second;
    int64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    return wait_ms < PACE_WAIT_MAX_MS ? (int)wait_ms : PACE_WAIT_MAX_MS;
}

#endif
