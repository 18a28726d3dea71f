/* SPDX-License-Identifier: Apache-2.0
 * randomness.h - the simulation's own random numbers (xorshift64*, seeded by splitmix64), so that a seed
 * gives the same run on every machine.
 */
#ifndef USERBUS_TESTS_SIMULATION_RANDOMNESS_H
#define USERBUS_TESTS_SIMULATION_RANDOMNESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct randomness {
    uint64_t state; /* never 0 */
} randomness_t;

static inline randomness_t randomness_of(uint64_t seed)
{
    uint64_t mixed = seed + UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return (randomness_t){mixed != 0 ? mixed : 1};
}

static inline uint64_t random_next(randomness_t *self)
{
    self->state ^= self->state >> 12;
    self->state ^= self->state << 25;
    self->state ^= self->state >> 27;
    return self->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* lo..hi, both of them possible. */
static inline int64_t random_between(randomness_t *self, int64_t lo, int64_t hi)
{
    return lo + (int64_t)((random_next(self) >> 11) % (uint64_t)(hi - lo + 1));
}

static inline bool random_chance(randomness_t *self, int percent)
{
    return random_between(self, 0, 99) < percent;
}

#endif
