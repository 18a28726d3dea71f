/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/open_requests.h"

#include <stdlib.h>

#include "proto/errors.h"

void open_requests_init(open_requests_t *table, size_t size)
{
    must(size >= 1 && size <= 65536);
    *table = (open_requests_t){.size = (uint32_t)size};
    table->slots = calloc(size, sizeof(*table->slots));
    must(table->slots != NULL);
    for (uint32_t i = 0; i < table->size; i++)
        table->slots[i].next_free = i + 1;
}

void open_requests_fini(open_requests_t *table)
{
    free(table->slots);
    *table = (open_requests_t){0};
}

uint64_t open_requests_take(open_requests_t *table, struct exchange *waiting, int64_t deadline_ms)
{
    uint32_t index = table->first_free;
    if (index == table->size)
        return 0;
    open_slot_t *slot = &table->slots[index];
    table->first_free = slot->next_free;
    table->taken++;
    if (++slot->generation == 0)
        slot->generation = 1; /* with slot 0 it would make the mark 0 */
    slot->taken = true;
    slot->waiting = waiting;
    slot->deadline_ms = deadline_ms;
    return (uint64_t)slot->generation << 32 | index;
}

static open_slot_t *find(open_requests_t *table, uint64_t corr)
{
    uint32_t index = (uint32_t)corr;
    if (index >= table->size)
        return NULL;
    open_slot_t *slot = &table->slots[index];
    return slot->taken && slot->generation == corr >> 32 ? slot : NULL;
}

bool open_requests_settle(open_requests_t *table, uint64_t corr, struct exchange **waiting)
{
    open_slot_t *slot = find(table, corr);
    *waiting = NULL;
    if (slot == NULL)
        return false;
    *waiting = slot->waiting;
    slot->waiting = NULL;
    slot->taken = false;
    slot->next_free = table->first_free;
    table->first_free = (uint32_t)corr;
    table->taken--;
    return true;
}

void open_requests_abandon(open_requests_t *table, uint64_t corr)
{
    open_slot_t *slot = find(table, corr);
    if (slot != NULL)
        slot->waiting = NULL;
}

struct exchange *open_requests_expire(open_requests_t *table, int64_t now_ms, uint32_t *cursor)
{
    while (*cursor < table->size) {
        open_slot_t *slot = &table->slots[(*cursor)++];
        struct exchange *waiting = slot->waiting;
        if (waiting == NULL || slot->deadline_ms > now_ms)
            continue;
        slot->waiting = NULL;
        return waiting;
    }
    return NULL;
}
