/* SPDX-License-Identifier: Apache-2.0
 * backoff.h - when to try again: exponential, capped, with full jitter.
 *
 * The delay is a random number of 0..min(cap, base * 2^tries), so that many who failed together do
 * not come back together. Plain data: the caller brings the randomness.
 */
#ifndef USERBUS_PIPELINE_BACKOFF_H
#define USERBUS_PIPELINE_BACKOFF_H

#include <stdint.h>

typedef struct backoff {
    int base_ms, cap_ms;
    int tries; /* failed so far */
} backoff_t;

/* Counts a failure and gives the delay before the next try, 1..cap_ms. `random` is any uniformly
 * distributed number. */
int backoff_next_ms(backoff_t *self, uint64_t random);

/* After a success. */
static inline void backoff_reset(backoff_t *self)
{
    self->tries = 0;
}

/* 64 random bits from the kernel. */
uint64_t random_bits(void);

#endif
