/* SPDX-License-Identifier: Apache-2.0
 * processors.c - the processors of users' events. What an event tells about its user was kept before, so
 * that none depends on another one having run: a worker may start long after the first users registered.
 */
#include "actors/consumer/processors.h"

#include <string.h>

static int register_processor(inbox_database_t *database, const incoming_event_t *event,
                              rejection_t *why)
{
    (void)why;
    return projection_register(database, event);
}

static int count_user_viewing_processor(inbox_database_t *database, const incoming_event_t *event,
                                        rejection_t *why)
{
    (void)why;
    return projection_count_view(database, event);
}

static int notify_user_update(inbox_database_t *database, const incoming_event_t *event,
                              rejection_t *why)
{
    (void)why;
    return projection_count_update(database, event);
}

static int disable_user_processor(inbox_database_t *database, const incoming_event_t *event,
                                  rejection_t *why)
{
    (void)why;
    return projection_disable(database, event);
}

const processor_t processors[] = {
    {"register_processor", register_processor, false, EFFECT_REGISTER},
    {"count_user_viewing_processor", count_user_viewing_processor, false, EFFECT_VIEW},
    {"notify_user_update", notify_user_update, false, EFFECT_UPDATE},
    {"disable_user_processor", disable_user_processor, false, EFFECT_DISABLE},
};

const size_t processor_count = sizeof(processors) / sizeof(processors[0]);

const processor_t *processor_find(const char *name)
{
    for (size_t i = 0; i < processor_count; i++)
        if (strcmp(processors[i].name, name) == 0)
            return &processors[i];
    return NULL;
}

/* Whatever the run did before it failed must not stay, while the rest of the transaction does. */
static int run_undoable(const processor_t *processor, inbox_database_t *database,
                        const incoming_event_t *event, rejection_t *why)
{
    int error = inbox_savepoint(database);
    if (error != 0)
        return error;
    int outcome = processor->run(database, event, why);
    if (is_processor_failure(outcome))
        error = inbox_undo(database);
    if (error == 0 && (outcome == 0 || is_processor_failure(outcome)))
        error = inbox_release(database);
    return error != 0 ? error : outcome;
}

int processor_run(const processor_t *processor, inbox_database_t *database,
                  const incoming_event_t *event, rejection_t *why)
{
    if (processor->may_fail)
        return run_undoable(processor, database, event, why);
    int error = processor->run(database, event, why);
    must(!is_processor_failure(error));
    return error;
}
