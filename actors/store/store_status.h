/* SPDX-License-Identifier: Apache-2.0
 * store_status.h - what the store tells an operator: the outbox, what each bridge last said of itself,
 * and the parked lanes, as one JSON object. Pure.
 */
#ifndef USERBUS_ACTORS_STORE_STORE_STATUS_H
#define USERBUS_ACTORS_STORE_STORE_STATUS_H

#include "actors/store/outbox.h"
#include "proto/text_buffer.h"

enum {
    BRIDGE_STATE_MAX_BYTES = 32,
    BRIDGE_BROKER_MAX_BYTES = 255,
    BRIDGE_TROUBLE_MAX_BYTES = 511
}; /* as messages.def has them */

/* Zero-initialised is empty. */
typedef struct store_status {
    struct {
        bool heard;
        int64_t heard_ms;        /* monotonic */
        msg_bridge_state_t said; /* its texts are those below */
        char state[BRIDGE_STATE_MAX_BYTES + 1], broker[BRIDGE_BROKER_MAX_BYTES + 1],
            trouble[BRIDGE_TROUBLE_MAX_BYTES + 1];
    } bridges[OUTBOX_BRIDGES_MAX];
} store_status_t;

/* How many lanes are parked, and what is in them. */
typedef struct lanes_summary {
    int64_t retrying, quarantined, events, bytes;
} lanes_summary_t;

/* What the rest of the store knows. */
typedef struct store_view {
    const outbox_t *outbox;
    lanes_summary_t lanes;
    int64_t
        oldest_us; /* wall clock of the oldest unconfirmed event in the log; -1: there is none */
    int64_t retention_s;
    int64_t now_us, now_ms; /* wall clock, monotonic */
} store_view_t;

/* Keeps what a bridge says of itself; the message is borrowed for the call. */
void store_status_hear(store_status_t *self, const msg_bridge_state_t *said, int64_t now_ms);

/* Appends the object; of a bridge that has said nothing its state is "unknown". */
void store_status_json(const store_status_t *self, text_buffer_t *out, const store_view_t *view);

#endif
