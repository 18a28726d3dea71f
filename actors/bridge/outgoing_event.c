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

outgoing_event_t *outgoing_event_new(const msg_event_t *message)
{
    size_t texts = message->request_id.size + message->traceparent.size + message->tracestate.size +
                   message->body.size;
    outgoing_event_t *self = malloc(sizeof(*self) + texts);
    must(self != NULL);
    *self = (outgoing_event_t){.position = message->position,
                               .sequence = message->sequence,
                               .created_us = message->created_us,
                               .bytes = event_bytes(message),
                               .partition = (unsigned)message->partition,
                               .kind = (event_kind_t)message->kind};
    memcpy(self->id, message->id.data, ID_BYTES);
    memcpy(self->user_id, message->user_id.data, ID_BYTES);
    char *at = (char *)(self + 1);
    self->request_id = keep(&at, message->request_id);
    self->traceparent = keep(&at, message->traceparent);
    self->tracestate = keep(&at, message->tracestate);
    self->body = keep(&at, message->body);
    return self;
}
