/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/event_range.h"

typedef struct probe {
    int rows;
    int64_t newest_us; /* -1: none */
} probe_t;

static bool look(void *context, const msg_event_t *event)
{
    probe_t *self = context;
    if (event->created_us > self->newest_us)
        self->newest_us = event->created_us;
    return ++self->rows < EVENT_PROBE_ROWS;
}

static int newest_in_log(void *context, int64_t after, int64_t *newest_us)
{
    database_t *database = context;
    probe_t probe = {.newest_us = -1};
    int error = database->class->event_walk(database, after, look, &probe);
    *newest_us = probe.newest_us;
    return error;
}

int event_range_bisect(int64_t lo, int64_t hi, int64_t us, event_newest_t *newest, void *context,
                       int64_t *out)
{
    while (lo < hi) {
        int64_t middle = lo + (hi - lo) / 2, newest_us = -1;
        int error = newest(context, middle, &newest_us);
        if (error != 0)
            return error;
        if (newest_us >= 0 && newest_us < us)
            lo = middle + 1;
        else
            hi = middle;
    }
    *out = lo;
    return 0;
}

static bool keep_first(void *context, const msg_event_t *event)
{
    *(int64_t *)context = event->position;
    return false;
}

int event_range_find(event_range_t *self, database_t *database)
{
    int64_t first = 0;
    int error = database->class->positions_load(database, &self->positions);
    if (error == 0)
        error = database->class->event_walk(database, 0, keep_first, &first);
    self->after = first > 0 ? first - 1 : self->positions.head;
    self->last = self->positions.head;
    if (error == 0)
        error = event_range_bisect(self->after, self->last, self->from_us, newest_in_log, database,
                                   &self->after);
    if (error == 0)
        error = event_range_bisect(self->after, self->last, self->to_us, newest_in_log, database,
                                   &self->last);
    /* What a probe saw as older may begin with rows that are not yet: their times tell. */
    self->last = self->last + EVENT_PROBE_ROWS < self->positions.head
                     ? self->last + EVENT_PROBE_ROWS
                     : self->positions.head;
    return error;
}
