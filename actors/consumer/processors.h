/* SPDX-License-Identifier: Apache-2.0
 * processors.h - what can be done with an event, by the names that the handler table uses.
 *
 * A processor works inside the transaction in which its message is marked as seen, and changes the
 * projection only, where the user is kept already. When it fails as the database does, the whole batch is done
 * again. When it fails by itself, what it did is undone and the event waits and is tried again, or goes to the
 * dead letters. It must be quick: other users' events stand behind it.
 */
#ifndef USERBUS_ACTORS_CONSUMER_PROCESSORS_H
#define USERBUS_ACTORS_CONSUMER_PROCESSORS_H

#include "actors/consumer/inbox_database.h"
#include "proto/errors.h"

typedef struct processor {
    const char *name;
    /* 0; ERR_PROCESSOR_RETRY or ERR_PROCESSOR_DEAD with *why; ERR_STORE_UNAVAILABLE or
     * ERR_DATABASE_FATAL. */
    int (*run)(inbox_database_t *database, const incoming_event_t *event, rejection_t *why);
    bool may_fail; /* by itself: it then runs behind a savepoint, which costs time */
    projection_effect_t
        effect; /* what run does, all of it, if projection_keep knows a name for it */
} processor_t;

/* Runs it, and takes back what it did when it fails by itself. Gives what it gave. */
int processor_run(const processor_t *processor, inbox_database_t *database,
                  const incoming_event_t *event, rejection_t *why)
    __attribute__((warn_unused_result));

static inline bool is_processor_failure(int error)
{
    return error == ERR_PROCESSOR_RETRY || error == ERR_PROCESSOR_DEAD;
}

extern const processor_t processors[];
extern const size_t processor_count;

/* NULL: no processor has that name. */
const processor_t *processor_find(const char *name);

#endif
