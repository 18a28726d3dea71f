/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/verification.h"

#include <stdlib.h>
#include <string.h>

#include "manager/growth.h"
#include "proto/errors.h"

void verification_fini(verification_t *self)
{
    free(self->hours);
    free(self->suspects);
    *self = (verification_t){0};
}

/* Events come nearly in order of time, so the hour is mostly the last one. */
static verified_hour_t *hour_of(verification_t *self, int64_t created_us)
{
    int64_t hour_us = created_us - created_us % VERIFY_HOUR_US;
    size_t at = self->hour_count;
    while (at > 0 && self->hours[at - 1].hour_us > hour_us)
        at--;
    if (at > 0 && self->hours[at - 1].hour_us == hour_us)
        return &self->hours[at - 1];
    self->hours = grow(self->hours, self->hour_count, &self->hour_capacity, sizeof(*self->hours));
    memmove(&self->hours[at + 1], &self->hours[at], (self->hour_count - at) * sizeof(*self->hours));
    self->hour_count++;
    self->hours[at] = (verified_hour_t){.hour_us = hour_us};
    return &self->hours[at];
}

static void count(verification_t *self, event_kind_t kind, int64_t created_us, event_place_t place,
                  int64_t by)
{
    hour_of(self, created_us)->counts[kind][place] += by;
    self->totals[place] += by;
}

void verification_add(verification_t *self, const uint8_t id[ID_BYTES], event_kind_t kind,
                      int64_t created_us, event_place_t place)
{
    count(self, kind, created_us, place, 1);
    if (place != PLACE_UNSEEN || self->suspect_count == VERIFY_SUSPECTS_MAX)
        return;
    self->suspects =
        grow(self->suspects, self->suspect_count, &self->suspect_capacity, sizeof(*self->suspects));
    suspect_t *suspect = &self->suspects[self->suspect_count++];
    *suspect = (suspect_t){.created_us = created_us, .kind = kind};
    memcpy(suspect->id, id, ID_BYTES);
}

void verification_clear(verification_t *self, size_t suspect, event_place_t place)
{
    const suspect_t cleared = self->suspects[suspect];
    count(self, cleared.kind, cleared.created_us, PLACE_UNSEEN, -1);
    count(self, cleared.kind, cleared.created_us, place, 1);
    self->suspect_count--;
    memmove(&self->suspects[suspect], &self->suspects[suspect + 1],
            (self->suspect_count - suspect) * sizeof(*self->suspects));
}

verdict_t verification_verdict(const verification_t *self, const queue_view_t *queue,
                               int64_t *missing)
{
    int64_t unseen = self->totals[PLACE_UNSEEN];
    *missing = 0;
    if (unseen == 0)
        return self->totals[PLACE_UNSENT] + self->totals[PLACE_PARKED] == 0 ? VERDICT_COMPLETE
                                                                            : VERDICT_ON_THE_WAY;
    if (!queue->answers)
        return VERDICT_ON_THE_WAY;
    bool nobody_holds_any = queue->consumers == 0 || queue->is_settled;
    if (!nobody_holds_any || queue->messages >= unseen)
        return VERDICT_ON_THE_WAY;
    *missing = unseen - queue->messages;
    return queue->messages == 0 ? VERDICT_MISSING : VERDICT_SOME_MISSING;
}
