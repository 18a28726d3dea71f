/* SPDX-License-Identifier: Apache-2.0
 * confirm_window.h - what was published on one connection and is not confirmed yet, by delivery tag. A
 * message that cannot be routed comes back before its ack, named only by its message_id: returned and
 * acked is not sent. Pure.
 */
#ifndef USERBUS_ACTORS_BRIDGE_CONFIRM_WINDOW_H
#define USERBUS_ACTORS_BRIDGE_CONFIRM_WINDOW_H

#include <stddef.h>

#include "actors/bridge/outgoing_event.h"

enum { CONFIRM_WINDOW_MAX = 1000, CONFIRM_RING = 1024 };

typedef struct confirm_window {
    size_t max;           /* of tags at once */
    uint64_t first, next; /* tags: the oldest without outcome, and that of the next publish */
    struct {
        outgoing_event_t *event; /* NULL: its outcome is known */
        bool returned;
    } ring[CONFIRM_RING]; /* by tag modulo its size */
} confirm_window_t;

/* max: 1..CONFIRM_WINDOW_MAX. */
void confirm_window_init(confirm_window_t *self, size_t max);

/* Empty, for a new connection: tags begin at 1. */
void confirm_window_reset(confirm_window_t *self);

/* Publishes that may follow. */
size_t confirm_window_room(const confirm_window_t *self);

/* True when every outcome is known. */
bool confirm_window_empty(const confirm_window_t *self);

/* The event was published with the tag, which follows the last one. There must be room. */
void confirm_window_add(confirm_window_t *self, uint64_t tag, outgoing_event_t *event);

/* A message came back. An id that nobody waits for is ignored. */
void confirm_window_returned(confirm_window_t *self, const uint8_t id[ID_BYTES]);

/* Takes an event whose outcome an ack or nack of the tag tells, oldest first; call it until it returns
 * NULL. multiple: the tag and all before it. */
outgoing_event_t *confirm_window_take(confirm_window_t *self, uint64_t tag, bool multiple,
                                      bool *returned);

#endif
