/* SPDX-License-Identifier: Apache-2.0
 * growth.h - room for one more item in an array whose length nobody knows beforehand.
 */
#ifndef USERBUS_MANAGER_GROWTH_H
#define USERBUS_MANAGER_GROWTH_H

#include <stdlib.h>

#include "proto/errors.h"

enum { GROWTH_FIRST = 64 };

/* The array, moved when its `count` items fill its *capacity of `size` bytes each. Out of memory aborts.
 * Freed with free(). */
static inline void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity > 0 ? *capacity * 2 : GROWTH_FIRST;
    void *grown = realloc(items, *capacity * size);
    must(grown != NULL);
    return grown;
}

#endif
