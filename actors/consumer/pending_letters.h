/* SPDX-License-Identifier: Apache-2.0
 * pending_letters.h - dead letters that were published and not yet confirmed, and which deliveries may be
 * acked around them. Pure.
 *
 * Bounds    A pending letter stands for an unacked delivery, so there are at most `prefetch`.
 */
#ifndef USERBUS_ACTORS_CONSUMER_PENDING_LETTERS_H
#define USERBUS_ACTORS_CONSUMER_PENDING_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pending_letter {
    uint64_t delivery_tag, publish_tag;
} pending_letter_t;

typedef struct pending_letters {
    pending_letter_t *letters; /* by ascending tags, both of them */
    size_t count, capacity;
} pending_letters_t;

typedef void (*ack_t)(void *context, uint64_t delivery_tag, bool multiple);

void pending_letters_init(pending_letters_t *self, size_t prefetch);
void pending_letters_fini(pending_letters_t *self);

/* Forgets all: the tags of a connection die with it. */
static inline void pending_letters_clear(pending_letters_t *self)
{
    self->count = 0;
}

/* False: there are `prefetch` already, so the broker delivers more than was asked for. */
bool pending_letters_add(pending_letters_t *self, uint64_t delivery_tag, uint64_t publish_tag)
    __attribute__((warn_unused_result));

/* The broker has the letter, or all up to it: their deliveries are acked one by one. */
void pending_letters_confirm(pending_letters_t *self, uint64_t publish_tag, bool multiple,
                             ack_t ack, void *context);

/* Acks the deliveries first..last, all of them done but those whose letter is pending, and nothing
 * before them that has one. */
void pending_letters_ack_batch(const pending_letters_t *self, uint64_t first, uint64_t last,
                               ack_t ack, void *context);

#endif
