/* SPDX-License-Identifier: Apache-2.0
 * processors.h - what can be done with an event, by the names that the handler table uses.
 *
 * A processor works inside the transaction in which its message is marked as seen, and changes the
 * projection only. So it fails only as the database does, and then the whole batch is done again.
 */
#ifndef USERBUS_ACTORS_CONSUMER_PROCESSORS_H
#define USERBUS_ACTORS_CONSUMER_PROCESSORS_H

#include "actors/consumer/inbox_database.h"

typedef struct processor {
    const char *name;
    /* 0, ERR_STORE_UNAVAILABLE or ERR_DATABASE_FATAL. */
    int (*run)(inbox_database_t *database, const incoming_event_t *event);
} processor_t;

extern const processor_t processors[];
extern const size_t processor_count;

/* NULL: no processor has that name. */
const processor_t *processor_find(const char *name);

#endif
