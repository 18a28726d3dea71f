/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/pending_letters.h"

#include <stdlib.h>

#include "proto/errors.h"

void pending_letters_init(pending_letters_t *self, size_t prefetch)
{
    *self = (pending_letters_t){.letters = calloc(prefetch, sizeof(pending_letter_t)),
                                .capacity = prefetch};
    must(self->letters != NULL);
}

void pending_letters_fini(pending_letters_t *self)
{
    free(self->letters);
    *self = (pending_letters_t){0};
}

bool pending_letters_add(pending_letters_t *self, uint64_t delivery_tag, uint64_t publish_tag)
{
    if (self->count == self->capacity)
        return false;
    self->letters[self->count++] = (pending_letter_t){delivery_tag, publish_tag};
    return true;
}

void pending_letters_confirm(pending_letters_t *self, uint64_t publish_tag, bool multiple,
                             ack_t ack, void *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        const pending_letter_t letter = self->letters[i];
        if (letter.publish_tag == publish_tag || (multiple && letter.publish_tag < publish_tag))
            ack(context, letter.delivery_tag, false);
        else
            self->letters[kept++] = letter;
    }
    self->count = kept;
}

void pending_letters_ack_batch(const pending_letters_t *self, uint64_t first, uint64_t last,
                               ack_t ack, void *context)
{
    size_t next = 0;
    bool may_cover = self->count == 0 || self->letters[0].delivery_tag >= first;
    uint64_t covered_to = self->count > 0 && self->letters[0].delivery_tag <= last
                              ? self->letters[0].delivery_tag - 1
                              : last;
    if (may_cover && covered_to >= first)
        ack(context, covered_to, true);
    for (uint64_t tag = may_cover ? covered_to + 1 : first; tag <= last; tag++) {
        while (next < self->count && self->letters[next].delivery_tag < tag)
            next++;
        if (next == self->count || self->letters[next].delivery_tag != tag)
            ack(context, tag, false);
    }
}
