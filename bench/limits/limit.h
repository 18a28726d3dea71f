/* SPDX-License-Identifier: Apache-2.0
 * limit.h - what the programs that measure a limit share: two clocks, a way to fail, and their output, lines of a
 * name and a number, which bench/measure/limits.py reads.
 */
#ifndef USERBUS_BENCH_LIMITS_LIMIT_H
#define USERBUS_BENCH_LIMITS_LIMIT_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static inline double wall_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

static inline double cpu_us(void)
{
    return clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

static inline void tell(const char *name, double value)
{
    printf("%s %.6f\n", name, value);
}

/* A positive number of the command line, or the end. */
static inline long count_argument(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || value < 1) {
        fprintf(stderr, "not a count: %s\n", text);
        exit(64);
    }
    return value;
}

/* Always on: a limit that was not reached is not told. */
#define need(expression)                                                                           \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #expression);                \
            exit(70);                                                                              \
        }                                                                                          \
    } while (0)

#endif
