/* SPDX-License-Identifier: Apache-2.0
 * letter_box.h - the dead letters of a queue, taken without being taken away: they are consumed and not
 * acked, so the broker puts back what is not acked when the connection ends, however it ends. A letter
 * is acked only when its replay is confirmed and routed, or when it is to be discarded.
 *
 * Bounds    LETTERS_MAX letters are looked at, and of those that are kept LETTERS_MAX_BYTES; what lies behind
 *           is for the next run.
 * Fails     a lost broker ends the command; letters whose ack was lost are still there, and a replay of
 *           them has the same message_id.
 */
#ifndef USERBUS_MANAGER_LETTER_BOX_H
#define USERBUS_MANAGER_LETTER_BOX_H

#include "actors/consumer/dead_letter.h" /* QUEUE_NAME_SIZE */
#include "manager/letter.h"
#include "manager/operator_broker.h"

enum { LETTERS_MAX = 65535, LETTERS_MAX_BYTES = 256 << 20 };

typedef struct letter_box {
    broker_connection_t *broker;
    const settings_t *settings; /* borrowed */
    const char *queue;          /* whose letters; borrowed */
    char name[QUEUE_NAME_SIZE]; /* of the dead letters' queue */
    uint32_t depth;             /* letters in it when it was opened */
    letter_t **letters;         /* those that are meant, in order of arrival at first */
    size_t count;
    size_t seen;     /* letters looked at */
    size_t bytes;    /* of those kept */
    bool is_partial; /* there are more behind what could be looked at */
} letter_box_t;

/* letter_box_close in both cases. `queue` is "user". */
int letter_box_open(letter_box_t *out, const settings_t *settings, const char *queue,
                    detail_t *detail) __attribute__((warn_unused_result));

/* Looks at the letters and keeps those that the filter means, with their bodies if that is asked for. */
int letter_box_read(letter_box_t *self, const letter_filter_t *filter, bool with_bodies,
                    detail_t *detail) __attribute__((warn_unused_result));

/* Deletes the first `count` of those kept. */
int letter_box_discard(letter_box_t *self, size_t count, detail_t *detail)
    __attribute__((warn_unused_result));

/* Publishes the first `count` of those kept, in the order of letters_plan, at most per_second (0: no
 * limit), and acks each when it is confirmed. Their states tell what became of them; on an error those
 * in flight may have arrived and are dead letters still. */
int letter_box_replay(letter_box_t *self, size_t count, int64_t per_second, detail_t *detail)
    __attribute__((warn_unused_result));

void letter_box_close(letter_box_t *self);

#endif
