/* SPDX-License-Identifier: Apache-2.0
 * parked_lanes.h - the users whose events the broker does not take, and when to try them again. Their
 * events are kept beside the log, in the table `parked`, so that no position waits for them.
 *
 * A lane waits, then opens: its first event goes to the tail of the log as a probe, and when that went
 * through, the rest in steps, each when the one before is done. While something of it is parked, new
 * events of the user are parked behind it; when nothing is, they go to the log. A lane whose tries
 * keep failing is in quarantine: only an operator lets it try again.
 *
 * Order     a lane opens, and steps, only when the confirmed position of its partition has reached
 *           closed_at: the last event of that partition in the log when the lane was closed, or the
 *           last one that the step before put there. So nothing of the user is ahead in a bridge.
 * Bound     max_events of a lane; beyond it its user's requests that make an event are refused. Events
 *           that come back from a bridge are kept also then.
 * Pure: plain data, no database; the caller brings time and randomness. What changes a lane is made as
 * a copy of its facts first, so that it can be written and committed before it is true here.
 */
#ifndef USERBUS_ACTORS_STORE_PARKED_LANES_H
#define USERBUS_ACTORS_STORE_PARKED_LANES_H

#include "actors/store/store_status.h"
#include "proto/event.h"

enum {
    PARKED_BUCKETS = 4096,
    QUARANTINE_TRIES = 8, /* README states it */
    OPENING_MAX = 64,     /* lanes that open at a time */
    STEP_EVENTS = 1024,   /* put into the log at a time, after the probe */
    SETTLE_MS =
        1000, /* until a lane whose time has come, but not its position, is looked at again */
};

/* Part of the stored format. */
typedef enum parked_state {
    PARKED_WAITING,
    PARKED_QUARANTINED,
    PARKED_OPENING,
    PARKED_STATE_COUNT
} parked_state_t;

/* What the database keeps of a lane. */
typedef struct lane_facts {
    uint8_t user_id[ID_BYTES];
    parked_state_t state;
    int tries;         /* failed by its own fault since an event of it last went through */
    int failures;      /* the same for whatever reason: the delay grows with it */
    int reason;        /* of the last failure, as event_parked has it */
    int64_t since_us;  /* wall clock: when it was parked first */
    int64_t due_ms;    /* monotonic: of one that waits, when to try again */
    int64_t closed_at; /* see Order */
} lane_facts_t;

typedef struct parked_lane {
    lane_facts_t facts;
    unsigned partition;
    int64_t events, bytes; /* parked, with those of the transaction at hand */
    int64_t added_events, added_bytes;
    struct parked_lane *added_next; /* among those with such */
    struct parked_lane *bucket_next;
    size_t heap_at; /* of one that waits: its place in the heap */
} parked_lane_t;

typedef struct parked_lanes_conf {
    int retry_base_ms, retry_cap_ms; /* exponential between them, with full jitter */
    int64_t max_events;
} parked_lanes_conf_t;

typedef struct parked_lanes {
    parked_lanes_conf_t conf;
    parked_lane_t *buckets[PARKED_BUCKETS];
    parked_lane_t **heap; /* those that wait; the one that is due first is on top */
    size_t heap_size, heap_capacity;
    parked_lane_t *opening[OPENING_MAX];
    size_t opening_count;
    parked_lane_t *added; /* by the transaction at hand */
    size_t count;
    lanes_summary_t summary;
} parked_lanes_t;

void parked_lanes_init(parked_lanes_t *self, const parked_lanes_conf_t *conf);
void parked_lanes_fini(parked_lanes_t *self);

/* NULL: the user has none. */
parked_lane_t *parked_lanes_find(const parked_lanes_t *self, const uint8_t user_id[ID_BYTES]);

/* Calls for each lane, in no order. */
void parked_lanes_each(const parked_lanes_t *self,
                       void (*visit)(void *context, const parked_lane_t *lane), void *context);

/* --- new events of a user, within a transaction ----------------------------------------------- */

/* Does a new event of the lane's user belong into the lane, behind others? */
bool parked_lane_takes(const parked_lane_t *lane);

/* Is there no room for it? */
bool parked_lane_is_full(const parked_lanes_t *self, const parked_lane_t *lane);

/* An event was parked in the lane. */
void parked_lanes_add(parked_lanes_t *self, parked_lane_t *lane, int64_t bytes);

/* The transaction ended: what was added stays, or is forgotten. */
void parked_lanes_commit(parked_lanes_t *self);
void parked_lanes_roll_back(parked_lanes_t *self);

/* --- facts to come ---------------------------------------------------------------------------- */

/* How an event came back from a bridge. */
typedef struct lane_failure {
    bool counted;
    int reason;
    int64_t last; /* position of the partition's last event in the log */
    int64_t now_ms, now_us;
    uint64_t random;
} lane_failure_t;

/* The user's lane, which may be a new one, after that. */
lane_facts_t parked_lanes_failed(const parked_lanes_t *self, const uint8_t user_id[ID_BYTES],
                                 const lane_failure_t *failure);

/* After its events up to a position were put into the log: by a probe, or by a step, before which the
 * probe went through. */
lane_facts_t parked_lane_probed(const parked_lane_t *lane, int64_t position);
lane_facts_t parked_lane_stepped(const parked_lane_t *lane, int64_t position);

/* After an operator let it try again. */
lane_facts_t parked_lane_released(const parked_lane_t *lane, int64_t now_ms);

/* --- facts that are committed ----------------------------------------------------------------- */

/* Makes or changes the lane; so many more events, or fewer, are parked of it. */
parked_lane_t *parked_lanes_put(parked_lanes_t *self, const lane_facts_t *facts, int64_t events,
                                int64_t bytes);

/* The user has no lane any more. */
void parked_lanes_remove(parked_lanes_t *self, parked_lane_t *lane);

/* --- what to do ------------------------------------------------------------------------------- */

typedef enum lane_action {
    LANE_ACTION_NONE,
    LANE_ACTION_PROBE, /* open it with its first event; with none of them it is done at once */
    LANE_ACTION_STEP,  /* put more events of it into the log */
    LANE_ACTION_END,   /* all of it went through: it is a lane like any other */
} lane_action_t;

/* What is to do next, and with which lane. confirmed: positions by partition. Outside of transactions. */
lane_action_t parked_lanes_next(parked_lanes_t *self, const int64_t confirmed[PARTITION_COUNT],
                                int64_t now_ms, parked_lane_t **lane);

/* When parked_lanes_next may have something without a new position; INT64_MAX: never. */
int64_t parked_lanes_due_ms(const parked_lanes_t *self);

#endif
