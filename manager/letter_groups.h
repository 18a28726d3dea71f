/* SPDX-License-Identifier: Apache-2.0
 * letter_groups.h - dead letters of the same cause together: by their fingerprint, or by their error when
 * they have none. Pure.
 */
#ifndef USERBUS_MANAGER_LETTER_GROUPS_H
#define USERBUS_MANAGER_LETTER_GROUPS_H

#include "manager/letter.h"

/* All texts are those of the group's latest letter. */
typedef struct letter_group {
    text_t fingerprint, error, event, reason;
    size_t count;
    int64_t first_us, last_us; /* of first failures; -1: no letter tells */
} letter_group_t;

/* Gives the groups, for free(), the largest first; *count of them. The letters are borrowed by them. */
letter_group_t *letter_groups(letter_t *const *letters, size_t letter_count, size_t *count);

#endif
