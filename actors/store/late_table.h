/* SPDX-License-Identifier: Apache-2.0
 * late_table.h - what a table of the database is to hold, kept in memory until it is written in the order of its
 * keys. One row at a time, keys from all over a large table dirty a page each; many at once share pages.
 *
 * There are two generations. What comes goes to the young one. When that is full it is frozen: sorted, and written
 * a few entries with each transaction, while another one grows. Whoever asks is answered from both.
 *
 * A transaction that fails takes back what was added, changed and written in it. What a crash takes is found again
 * elsewhere in the database: that is the owner's business.
 *
 * Bound     `max` entries a generation. What does not fit is for the caller to write at once.
 * Pure: plain data, no database.
 */
#ifndef USERBUS_ACTORS_STORE_LATE_TABLE_H
#define USERBUS_ACTORS_STORE_LATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct late_entry {
    int64_t key, value;
} late_entry_t;

/* How one change is undone. */
typedef struct late_change {
    enum { LATE_ADDED, LATE_YOUNG_VALUE, LATE_OLD_VALUE } what;
    size_t index;
    int64_t value; /* before */
} late_change_t;

typedef struct late_table {
    size_t max;
    late_entry_t *young; /* in order of arrival */
    size_t young_count;
    uint32_t *slots; /* by the key's hash: 1 + an index of young; 0: free */
    size_t slot_count;
    late_entry_t *old;                         /* in order of key */
    size_t old_count, written, written_before; /* the first `written` of old are in the table */
    bool frozen;            /* there is an old generation, an empty one perhaps */
    late_change_t *changes; /* of this transaction */
    size_t change_count, change_capacity;
} late_table_t;

void late_table_init(late_table_t *self, size_t max);

/* Also of a zeroed one. */
void late_table_fini(late_table_t *self);

/* One more entry, whatever else has its key. False: there is no room. */
bool late_table_add(late_table_t *self, int64_t key, int64_t value)
    __attribute__((warn_unused_result));

/* The only entry with that key. False: there is no room, so the caller writes it to the table now. */
bool late_table_put(late_table_t *self, int64_t key, int64_t value)
    __attribute__((warn_unused_result));

/* The latest value that was put. */
bool late_table_get(const late_table_t *self, int64_t key, int64_t *value);

/* Goes through the values of one key; zeroed before the first call. */
typedef struct late_cursor {
    size_t probes, old_index;
    bool in_old;
} late_cursor_t;

/* False: there are no more. */
bool late_table_next_of(const late_table_t *self, int64_t key, late_cursor_t *cursor,
                        int64_t *value);

bool late_table_is_full(const late_table_t *self);

/* Entries that are not in the table yet. */
size_t late_table_size(const late_table_t *self);

/* The young generation becomes the old one; there is none, and no change is open. */
void late_table_freeze(late_table_t *self);

/* The next entry to be written, in order of key; it counts as written. False: the old generation is. */
bool late_table_take(late_table_t *self, late_entry_t *out);

/* Is all of the old generation? Also of an empty one. */
bool late_table_is_written(const late_table_t *self);

/* The transaction is committed; an old generation that is written is gone. */
void late_table_commit(late_table_t *self);

/* The transaction is undone. */
void late_table_roll_back(late_table_t *self);

#endif
