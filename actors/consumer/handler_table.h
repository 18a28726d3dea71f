/* SPDX-License-Identifier: Apache-2.0
 * handler_table.h - which processor runs for which event of one queue, from the rows of the settings.
 *
 * An event without a row is acked and counted, but not marked as seen: the table says that nothing is to
 * be done with it, which is no failure and no dead letter, and a replay finds it new when the table has
 * got a row for it.
 */
#ifndef USERBUS_ACTORS_CONSUMER_HANDLER_TABLE_H
#define USERBUS_ACTORS_CONSUMER_HANDLER_TABLE_H

#include "actors/consumer/processors.h"
#include "pipeline/settings.h" /* handler_t */

/* A processor that is a program: "exec:COMMAND". */
#define EXEC_PREFIX "exec:"

/* All texts are the rows'. An event has a processor of the database or a child, or neither: the queue has no row
 * for it. */
typedef struct handler_table {
    const processor_t *by_kind[EVENT_KIND_COUNT];
    int child_of_kind[EVENT_KIND_COUNT];    /* index of its command; -1: none */
    const char *commands[EVENT_KIND_COUNT]; /* each once */
    const char *names[EVENT_KIND_COUNT]; /* the processor as the row names it; "" without a row */
    size_t command_count;
} handler_table_t;

/* Processors beside those of processors.h, which tests bring along. */
typedef struct more_processors {
    const processor_t *processors;
    size_t count;
} more_processors_t;

/* Checks all rows and keeps those of the queue. ERR_BAD_SETTING: a row names an unknown event or
 * processor, or the event of another row again; *detail names the row and what is known. */
int handler_table_init(handler_table_t *out, const handler_t *handlers, size_t count,
                       const char *queue, const more_processors_t *more, detail_t *detail)
    __attribute__((warn_unused_result));

static inline bool handler_table_has(const handler_table_t *self, event_kind_t kind)
{
    return self->by_kind[kind] != NULL || self->child_of_kind[kind] >= 0;
}

#endif
