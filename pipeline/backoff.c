/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/backoff.h"

#include <errno.h>
#include <sys/random.h>

#include "proto/errors.h"

int backoff_next_ms(backoff_t *self, uint64_t random)
{
    int64_t limit = self->base_ms;
    for (int i = 0; i < self->tries && limit < self->cap_ms; i++)
        limit *= 2;
    if (limit > self->cap_ms)
        limit = self->cap_ms;
    if (limit < self->cap_ms)
        self->tries++;
    return (int)(1 + random % (uint64_t)limit);
}

uint64_t random_bits(void)
{
    uint64_t bits;
    while (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        must(errno == EINTR);
    return bits;
}
