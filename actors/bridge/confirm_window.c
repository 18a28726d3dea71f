/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/confirm_window.h"

#include <string.h>

#include "proto/errors.h"

void confirm_window_init(confirm_window_t *self, size_t max)
{
    must(max >= 1 && max <= CONFIRM_WINDOW_MAX);
    self->max = max;
    confirm_window_reset(self);
}

void confirm_window_reset(confirm_window_t *self)
{
    memset(self->ring, 0, sizeof(self->ring));
    self->first = self->next = 1;
}

size_t confirm_window_room(const confirm_window_t *self)
{
    return self->max - (size_t)(self->next - self->first);
}

bool confirm_window_empty(const confirm_window_t *self)
{
    return self->first == self->next;
}

void confirm_window_add(confirm_window_t *self, uint64_t tag, outgoing_event_t *event)
{
    must(tag == self->next && confirm_window_room(self) > 0);
    self->ring[tag % CONFIRM_RING].event = event;
    self->ring[tag % CONFIRM_RING].returned = false;
    self->next++;
}

void confirm_window_returned(confirm_window_t *self, const uint8_t id[ID_BYTES])
{
    for (uint64_t tag = self->first; tag < self->next; tag++) {
        const outgoing_event_t *event = self->ring[tag % CONFIRM_RING].event;
        if (event != NULL && memcmp(event->id, id, ID_BYTES) == 0) {
            self->ring[tag % CONFIRM_RING].returned = true;
            return;
        }
    }
}

outgoing_event_t *confirm_window_take(confirm_window_t *self, uint64_t tag, bool multiple,
                                      bool *returned)
{
    uint64_t at = multiple ? self->first : tag;
    if (tag >= self->next || at < self->first || at > tag)
        return NULL;
    outgoing_event_t *event = self->ring[at % CONFIRM_RING].event;
    *returned = self->ring[at % CONFIRM_RING].returned;
    self->ring[at % CONFIRM_RING].event = NULL;
    while (self->first < self->next && self->ring[self->first % CONFIRM_RING].event == NULL)
        self->first++;
    return event;
}
