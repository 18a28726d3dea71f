/* SPDX-License-Identifier: Apache-2.0
 * strays.h - the events that left the log's order because the broker did not take them: parked, appended to
 * the log again, or discarded; and the users whose lanes are parked. For commands that walk the log.
 *
 * Order     read the positions first, then this, then the log: so an event that the positions pass is
 *           in one of the places where it is looked for.
 * Memory    56 bytes per event that left its lane within event_retention, or is parked.
 */
#ifndef USERBUS_MANAGER_STRAYS_H
#define USERBUS_MANAGER_STRAYS_H

#include "actors/store/database.h"

typedef struct stray {
    stray_row_t row;
    bool is_counted; /* the caller's mark: the log may have it twice */
} stray_t;

typedef uint8_t stray_user_t[ID_BYTES];

/* Zero-initialised is empty. */
typedef struct strays {
    stray_t *items; /* in order of id */
    size_t count, capacity;
    stray_user_t *users; /* with a parked lane, in order */
    size_t user_count, user_capacity;
    int64_t quarantined_lanes, quarantined_events;
} strays_t;

/* Replaces what it holds. An error of the database. */
int strays_load(strays_t *self, database_t *database) __attribute__((warn_unused_result));
void strays_fini(strays_t *self);

/* NULL: the event stands in the log once, or was never there. */
stray_t *strays_find(const strays_t *self, const uint8_t id[ID_BYTES]);

/* Is the user's lane parked? */
bool strays_has_user(const strays_t *self, const uint8_t user_id[ID_BYTES]);

#endif
