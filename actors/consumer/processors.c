/* SPDX-License-Identifier: Apache-2.0
 * processors.c - every processor first keeps what the event tells about its user, so that none depends
 * on another having run before: a worker may start long after the first users registered.
 */
#include "actors/consumer/processors.h"

#include <string.h>

static int register_processor(inbox_database_t *database, const incoming_event_t *event)
{
    int error = projection_keep_user(database, event);
    return error != 0 ? error : projection_register(database, event);
}

static int count_user_viewing_processor(inbox_database_t *database, const incoming_event_t *event)
{
    int error = projection_keep_user(database, event);
    return error != 0 ? error : projection_count_view(database, event);
}

static int notify_user_update(inbox_database_t *database, const incoming_event_t *event)
{
    int error = projection_keep_user(database, event);
    return error != 0 ? error : projection_count_update(database, event);
}

static int disable_user_processor(inbox_database_t *database, const incoming_event_t *event)
{
    int error = projection_keep_user(database, event);
    return error != 0 ? error : projection_disable(database, event);
}

const processor_t processors[] = {
    {"register_processor", register_processor},
    {"count_user_viewing_processor", count_user_viewing_processor},
    {"notify_user_update", notify_user_update},
    {"disable_user_processor", disable_user_processor},
};

const size_t processor_count = sizeof(processors) / sizeof(processors[0]);

const processor_t *processor_find(const char *name)
{
    for (size_t i = 0; i < processor_count; i++)
        if (strcmp(processors[i].name, name) == 0)
            return &processors[i];
    return NULL;
}
