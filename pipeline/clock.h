/* SPDX-License-Identifier: Apache-2.0
 * clock.h - monotonic time for logic, wall clock only for what is shown or stored.
 */
#ifndef USERBUS_PIPELINE_CLOCK_H
#define USERBUS_PIPELINE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of a clock that never steps; its zero means nothing. */
static inline int64_t clock_mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Microseconds of the same clock. */
static inline int64_t clock_mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Microseconds since 1970 UTC. */
static inline int64_t clock_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
