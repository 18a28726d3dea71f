/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/late_table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, KEY_DIGITS = 64 / DIGIT_BITS };

void late_table_init(late_table_t *self, size_t max)
{
    must(max > 0 && max < UINT32_MAX / 4);
    *self = (late_table_t){.max = max, .slot_count = 1};
    while (self->slot_count < 2 * max)
        self->slot_count *= 2;
    self->young = calloc(max, sizeof(self->young[0]));
    self->old = calloc(max, sizeof(self->old[0]));
    self->slots = calloc(self->slot_count, sizeof(self->slots[0]));
    must(self->young != NULL && self->old != NULL && self->slots != NULL);
}

void late_table_fini(late_table_t *self)
{
    free(self->young);
    free(self->old);
    free(self->slots);
    free(self->changes);
    *self = (late_table_t){0};
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Rows follow each other, so keys are mixed (the multiplier is 2^64 over the golden ratio). */
static size_t slot_of(const late_table_t *self, int64_t key, size_t probes)
{
    uint64_t mixed = (uint64_t)key * UINT64_C(0x9e3779b97f4a7c15);
    return ((size_t)(mixed >> 32) + probes) & (self->slot_count - 1);
}

/* The first entry of the old generation whose key is not smaller. */
static size_t lower_bound(const late_table_t *self, int64_t key)
{
    size_t from = 0, to = self->old_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (self->old[middle].key < key)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static late_entry_t *next_of(const late_table_t *self, int64_t key, late_cursor_t *cursor)
{
    while (!cursor->in_old) {
        uint32_t slot = self->slots[slot_of(self, key, cursor->probes)];
        cursor->probes++;
        cursor->in_old = slot == 0;
        if (cursor->in_old)
            cursor->old_index = lower_bound(self, key);
        else if (self->young[slot - 1].key == key)
            return &self->young[slot - 1];
    }
    size_t index = cursor->old_index++;
    return index < self->old_count && self->old[index].key == key ? &self->old[index] : NULL;
}

bool late_table_next_of(const late_table_t *self, int64_t key, late_cursor_t *cursor,
                        int64_t *value)
{
    const late_entry_t *entry = next_of(self, key, cursor);
    if (entry != NULL)
        *value = entry->value;
    return entry != NULL;
}

bool late_table_get(const late_table_t *self, int64_t key, int64_t *value)
{
    late_cursor_t cursor = {0};
    return late_table_next_of(self, key, &cursor, value);
}

bool late_table_is_full(const late_table_t *self)
{
    return self->young_count == self->max;
}

size_t late_table_size(const late_table_t *self)
{
    return self->young_count + self->old_count - self->written;
}

/* --- changing --------------------------------------------------------------------------------- */

static void note(late_table_t *self, late_change_t change)
{
    if (self->change_count == self->change_capacity) {
        self->change_capacity = self->change_capacity > 0 ? 2 * self->change_capacity : 256;
        self->changes = realloc(self->changes, self->change_capacity * sizeof(self->changes[0]));
        must(self->changes != NULL);
    }
    self->changes[self->change_count++] = change;
}

bool late_table_add(late_table_t *self, int64_t key, int64_t value)
{
    size_t probes = 0;
    if (late_table_is_full(self))
        return false;
    while (self->slots[slot_of(self, key, probes)] != 0)
        probes++;
    self->young[self->young_count++] = (late_entry_t){key, value};
    self->slots[slot_of(self, key, probes)] = (uint32_t)self->young_count;
    note(self, (late_change_t){.what = LATE_ADDED});
    return true;
}

bool late_table_put(late_table_t *self, int64_t key, int64_t value)
{
    late_cursor_t cursor = {0};
    late_entry_t *entry = next_of(self, key, &cursor);
    bool is_old = cursor.in_old;
    if (entry == NULL || (is_old && !late_table_is_full(self)))
        return late_table_add(self, key, value);
    note(self, (late_change_t){is_old ? LATE_OLD_VALUE : LATE_YOUNG_VALUE,
                               (size_t)(entry - (is_old ? self->old : self->young)), entry->value});
    entry->value = value;
    return !is_old; /* it may be written already */
}

/* --- writing ---------------------------------------------------------------------------------- */

static size_t digit_of(int64_t key, int digit)
{
    uint64_t ordered = (uint64_t)key ^ (UINT64_C(1) << 63); /* negative numbers come first */
    return (size_t)(ordered >> (digit * DIGIT_BITS)) & (DIGITS - 1);
}

/* Stable; false, and nothing was done: all have the same digit. */
static bool sort_by_digit(late_entry_t *to, const late_entry_t *from, size_t count, int digit)
{
    size_t starts[DIGITS + 1] = {0};
    for (size_t i = 0; i < count; i++)
        starts[digit_of(from[i].key, digit) + 1]++;
    if (count == 0 || starts[digit_of(from[0].key, digit) + 1] == count)
        return false;
    for (size_t i = 1; i < DIGITS; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < count; i++)
        to[starts[digit_of(from[i].key, digit)]++] = from[i];
    return true;
}

void late_table_freeze(late_table_t *self)
{
    late_entry_t *sorted = self->young, *room = self->old;
    must(!self->frozen && self->change_count == 0);
    for (int digit = 0; digit < KEY_DIGITS; digit++) {
        if (!sort_by_digit(room, sorted, self->young_count, digit))
            continue;
        late_entry_t *other = sorted;
        sorted = room;
        room = other;
    }
    self->old = sorted;
    self->young = room;
    self->old_count = self->young_count;
    self->young_count = 0;
    self->written = self->written_before = 0;
    self->frozen = true;
    memset(self->slots, 0, self->slot_count * sizeof(self->slots[0]));
}

bool late_table_take(late_table_t *self, late_entry_t *out)
{
    if (self->written == self->old_count)
        return false;
    *out = self->old[self->written++];
    return true;
}

bool late_table_is_written(const late_table_t *self)
{
    return self->frozen && self->written == self->old_count;
}

void late_table_commit(late_table_t *self)
{
    self->change_count = 0;
    if (late_table_is_written(self)) {
        self->frozen = false;
        self->old_count = self->written = 0;
    }
    self->written_before = self->written;
}

/* The last that came leaves first, which gives each slot back as it was found. */
static void remove_last(late_table_t *self)
{
    size_t probes = 0;
    int64_t key = self->young[self->young_count - 1].key;
    while (self->slots[slot_of(self, key, probes)] != self->young_count)
        probes++;
    self->slots[slot_of(self, key, probes)] = 0;
    self->young_count--;
}

void late_table_roll_back(late_table_t *self)
{
    while (self->change_count > 0) {
        const late_change_t *change = &self->changes[--self->change_count];
        if (change->what == LATE_ADDED)
            remove_last(self);
        else
            (change->what == LATE_OLD_VALUE ? self->old : self->young)[change->index].value =
                change->value;
    }
    self->written = self->written_before;
}
