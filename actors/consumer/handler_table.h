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

typedef struct handler_table {
    const processor_t *by_kind[EVENT_KIND_COUNT]; /* NULL: the queue has no row for it */
} handler_table_t;

/* Checks all rows and keeps those of the queue. ERR_BAD_SETTING: a row names an unknown event or
 * processor, or the event of another row again; *detail names the row and what is known. */
int handler_table_init(handler_table_t *out, const handler_t *handlers, size_t count,
                       const char *queue, detail_t *detail) __attribute__((warn_unused_result));

#endif
