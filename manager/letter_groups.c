/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/letter_groups.h"

#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

static int compare_texts(text_t a, text_t b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_causes(const letter_t *a, const letter_t *b)
{
    int order = compare_texts(a->fingerprint, b->fingerprint);
    return order != 0 || a->fingerprint.size > 0 ? order : compare_texts(a->error, b->error);
}

static int by_cause(const void *left, const void *right)
{
    const letter_t *a = *(letter_t *const *)left, *b = *(letter_t *const *)right;
    int order = compare_causes(a, b);
    return order != 0 ? order : (a->arrival > b->arrival) - (a->arrival < b->arrival);
}

static int largest_first(const void *left, const void *right)
{
    const letter_group_t *a = left, *b = right;
    return a->count != b->count ? (a->count < b->count) - (a->count > b->count)
                                : compare_texts(a->fingerprint, b->fingerprint);
}

static void add_letter(letter_group_t *group, const letter_t *letter)
{
    int64_t us = letter->first_failed_us;
    group->count++;
    if (us >= 0 && (group->first_us < 0 || us < group->first_us))
        group->first_us = us;
    if (us >= group->last_us) {
        group->last_us = us;
        group->fingerprint = letter->fingerprint;
        group->error = letter->error;
        group->event = letter->message.type;
        group->reason = letter->reason;
    }
}

letter_group_t *letter_groups(letter_t *const *letters, size_t letter_count, size_t *count)
{
    letter_group_t *groups = calloc(letter_count + 1, sizeof(*groups));
    letter_t **sorted = calloc(letter_count + 1, sizeof(void *));
    must(groups != NULL && sorted != NULL);
    *count = 0;
    for (size_t i = 0; i < letter_count; i++)
        sorted[i] = letters[i];
    qsort(sorted, letter_count, sizeof(void *), by_cause);
    for (size_t i = 0; i < letter_count; i++) {
        if (i == 0 || compare_causes(sorted[i], sorted[i - 1]) != 0)
            groups[(*count)++] = (letter_group_t){.first_us = -1, .last_us = -1};
        add_letter(&groups[*count - 1], sorted[i]);
    }
    qsort(groups, *count, sizeof(*groups), largest_first);
    free(sorted);
    return groups;
}
