/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/strays.h"

#include <stdlib.h>
#include <string.h>

#include "actors/store/parked_lanes.h"
#include "manager/growth.h"
#include "proto/errors.h"

static bool take_stray(void *context, const stray_row_t *row)
{
    strays_t *self = context;
    self->items = grow(self->items, self->count, &self->capacity, sizeof(*self->items));
    self->items[self->count++] = (stray_t){.row = *row};
    return true;
}

static bool take_lane(void *context, const lane_row_t *lane)
{
    strays_t *self = context;
    self->users = grow(self->users, self->user_count, &self->user_capacity, sizeof(*self->users));
    memcpy(self->users[self->user_count++], lane->user_id, ID_BYTES);
    if (lane->state == PARKED_QUARANTINED) {
        self->quarantined_lanes++;
        self->quarantined_events += lane->events;
    }
    return true;
}

/* Of ids, which all begin what is compared. */
static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, ID_BYTES);
}

int strays_load(strays_t *self, database_t *database)
{
    strays_fini(self);
    int error = database->class->stray_walk(database, take_stray, self);
    if (error == 0)
        error = database->class->lane_walk(database, take_lane, self);
    if (self->user_count > 1)
        qsort(self->users, self->user_count, sizeof(*self->users), by_id);
    return error;
}

void strays_fini(strays_t *self)
{
    free(self->items);
    free(self->users);
    *self = (strays_t){0};
}

stray_t *strays_find(const strays_t *self, const uint8_t id[ID_BYTES])
{
    _Static_assert(offsetof(stray_t, row.id) == 0, "by_id compares what an item begins with");
    return self->count > 0 ? bsearch(id, self->items, self->count, sizeof(*self->items), by_id)
                           : NULL;
}

bool strays_has_user(const strays_t *self, const uint8_t user_id[ID_BYTES])
{
    return self->user_count > 0 &&
           bsearch(user_id, self->users, self->user_count, sizeof(*self->users), by_id) != NULL;
}
