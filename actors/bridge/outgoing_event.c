/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/outgoing_event.h"

#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

/* Copies a text to *at and moves it on. */
static text_t keep(char **at, text_t text)
{
    text_t kept = {*at, text.size};
    if (text.size > 0)
        memcpy(*at, text.data, text.size);
    *at += text.size;
    return kept;
}

static outgoing_event_t *take_slot(event_shelf_t *shelf)
{
    outgoing_event_t *event = shelf->spare;
    if (event == NULL)
        return malloc(EVENT_SLOT_BYTES);
    shelf->spare = event->lane_next;
    shelf->count--;
    return event;
}

void outgoing_event_free(event_shelf_t *shelf, outgoing_event_t *event)
{
    if (!event->has_slot || shelf->count == EVENT_SPARE_MAX) {
        free(event);
        return;
    }
    event->lane_next = shelf->spare;
    shelf->spare = event;
    shelf->count++;
}

void event_shelf_fini(event_shelf_t *shelf)
{
    while (shelf->spare != NULL)
        free(take_slot(shelf));
    must(shelf->count == 0);
}

outgoing_event_t *outgoing_event_new(event_shelf_t *shelf, const msg_event_t *message)
{
    size_t texts = message->request_id.size + message->traceparent.size + message->tracestate.size +
                   message->body.size;
    size_t bytes = sizeof(outgoing_event_t) + texts;
    bool has_slot = shelf != NULL && bytes <= EVENT_SLOT_BYTES;
    outgoing_event_t *self = has_slot ? take_slot(shelf) : malloc(bytes);
    must(self != NULL);
    *self = (outgoing_event_t){.position = message->position,
                               .sequence = message->sequence,
                               .created_us = message->created_us,
                               .bytes = event_bytes(message),
                               .partition = (unsigned)message->partition,
                               .kind = (event_kind_t)message->kind,
                               .has_slot = has_slot};
    memcpy(self->id, message->id.data, ID_BYTES);
    memcpy(self->user_id, message->user_id.data, ID_BYTES);
    char *at = (char *)(self + 1);
    self->request_id = keep(&at, message->request_id);
    self->traceparent = keep(&at, message->traceparent);
    self->tracestate = keep(&at, message->tracestate);
    self->body = keep(&at, message->body);
    return self;
}
