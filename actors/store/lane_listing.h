/* SPDX-License-Identifier: Apache-2.0
 * lane_listing.h - the parked lanes all at once, for operators.
 */
#ifndef USERBUS_ACTORS_STORE_LANE_LISTING_H
#define USERBUS_ACTORS_STORE_LANE_LISTING_H

#include "actors/store/parked_lanes.h"
#include "proto/text_buffer.h"

typedef struct lane_listing {
    const parked_lane_t *
        *lanes; /* borrowed until one is put or removed; the list itself is for free () */
    size_t count;
} lane_listing_t;

lane_listing_t lane_listing_of(const parked_lanes_t *lanes);

/* Appends {"lanes": [...], "total": n}, at most `limit`, those parked longest first. */
void lane_listing_json(const parked_lanes_t *lanes, text_buffer_t *out, int64_t limit);

#endif
