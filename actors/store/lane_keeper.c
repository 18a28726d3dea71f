/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/lane_keeper.h"

#include <stdlib.h>
#include <string.h>

#include "actors/store/lane_listing.h"
#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

enum {
    ACTIONS_MAX = 8,  /* lanes opened or stepped a turn, each with a commit of its own */
    WRITE_MAX = 1024, /* events that came back, written in one transaction */
    RETRY_MS = 1000,  /* after the database could not be written */
};

/* --- rows ------------------------------------------------------------------------------------- */

static int save_facts(lane_keeper_t *self, const lane_facts_t *facts)
{
    lane_row_t row = {.state = facts->state,
                      .tries = facts->tries,
                      .failures = facts->failures,
                      .reason = facts->reason,
                      .since_us = facts->since_us,
                      .closed_at = facts->closed_at};
    memcpy(row.user_id, facts->user_id, ID_BYTES);
    row.next_try_us = clock_wall_us() + (facts->due_ms - clock_mono_ms()) * 1000;
    return self->database->class->lane_save(self->database, &row);
}

/* Times in the file are of a wall clock that may have been set since. */
static int64_t due_of(const lane_keeper_t *self, const lane_row_t *row)
{
    int64_t delay_ms = (row->next_try_us - clock_wall_us()) / 1000;
    if (delay_ms < 0)
        delay_ms = 0;
    if (delay_ms > self->lanes.conf.retry_cap_ms)
        delay_ms = self->lanes.conf.retry_cap_ms;
    return clock_mono_ms() + delay_ms;
}

static bool load_lane(void *context, const lane_row_t *row)
{
    lane_keeper_t *self = context;
    lane_facts_t facts = {.state = (parked_state_t)row->state,
                          .tries = (int)row->tries,
                          .failures = (int)row->failures,
                          .reason = (int)row->reason,
                          .since_us = row->since_us,
                          .due_ms = due_of(self, row),
                          .closed_at = row->closed_at};
    /* What somebody else wrote there waits, which is right for every lane. */
    if (row->state < 0 || row->state >= PARKED_STATE_COUNT ||
        (facts.state == PARKED_OPENING && self->lanes.opening_count == OPENING_MAX))
        facts.state = PARKED_WAITING;
    memcpy(facts.user_id, row->user_id, ID_BYTES);
    parked_lanes_put(&self->lanes, &facts, row->events, row->bytes);
    outbox_park(&self->feed->outbox, row->events, row->bytes);
    return true;
}

int lane_keeper_init(lane_keeper_t *self, const char *name, event_feed_t *feed,
                     const parked_lanes_conf_t *conf)
{
    self->name = name;
    self->database = feed->database;
    self->feed = feed;
    parked_lanes_init(&self->lanes, conf);
    return self->database->class->lane_walk(self->database, load_lane, self);
}

void lane_keeper_fini(lane_keeper_t *self)
{
    parked_lanes_fini(&self->lanes);
    free(self->returned);
}

/* --- within the batch's transaction ----------------------------------------------------------- */

int lane_keeper_append(lane_keeper_t *self, msg_event_t *event)
{
    parked_lane_t *lane = parked_lanes_find(&self->lanes, (const uint8_t *)event->user_id.data);
    bool is_new = false;
    if (lane == NULL || !parked_lane_takes(lane))
        return event_feed_append(self->feed, event);
    int error = self->database->class->parked_append(self->database, event, &is_new);
    if (error != 0)
        return error;
    must(is_new); /* the user's sequence has just grown */
    parked_lanes_add(&self->lanes, lane, event_bytes(event));
    outbox_park(&self->feed->outbox, 1, event_bytes(event));
    return 0;
}

int lane_keeper_admit(lane_keeper_t *self, text_t id, text_t email_key)
{
    const database_class_t *class = self->database->class;
    user_t user;
    if (self->lanes.summary.events < self->lanes.conf.max_events)
        return 0; /* none can be full */
    int error = id.size > 0 ? class->user_by_id(self->database, id, &user)
                            : class->user_by_email(self->database, email_key, &user);
    if (error != 0)
        return error;
    const parked_lane_t *lane = parked_lanes_find(&self->lanes, user.id);
    return lane != NULL && parked_lane_is_full(&self->lanes, lane) ? ERR_LANE_FULL : 0;
}

/* --- transactions of its own ------------------------------------------------------------------ */

/* What a transaction needs to be undone in memory. */
typedef struct undo {
    outbox_t outbox;
} undo_t;

static int begin(lane_keeper_t *self, undo_t *undo)
{
    undo->outbox = self->feed->outbox;
    return self->database->class->begin(self->database);
}

/* Commits, or after an error undoes all of it. Returns the error. */
static int end(lane_keeper_t *self, const undo_t *undo, int error)
{
    if (error == 0)
        error = self->database->class->commit(self->database);
    else
        self->database->class->rollback(self->database);
    if (error != 0)
        event_feed_roll_back(self->feed, &undo->outbox);
    return error;
}

static int note_failure(lane_keeper_t *self, int error, int64_t now_ms)
{
    if (error == 0 || error == ERR_DATABASE_FATAL)
        return error;
    self->retry_ms = now_ms + RETRY_MS;
    log_event(LOG_ERROR, self->name, "lanes_not_written",
              LOG_STR("error", error_info(error)->title),
              LOG_INT("returned", (int64_t)self->returned_count));
    return 0;
}

/* --- events that come back -------------------------------------------------------------------- */

void lane_keeper_take(lane_keeper_t *self, const msg_event_parked_t *parked)
{
    if (self->returned_count == self->returned_capacity) {
        self->returned_capacity = self->returned_capacity > 0 ? 2 * self->returned_capacity : 64;
        self->returned =
            reallocarray(self->returned, self->returned_capacity, sizeof(*self->returned));
        must(self->returned != NULL);
    }
    self->returned[self->returned_count++] = *parked;
    /* Its credit is given back with it, so until it is written nothing else counts it. */
    outbox_park(&self->feed->outbox, 1, 0);
}

bool lane_keeper_is_settled(const lane_keeper_t *self)
{
    return self->returned_count == 0;
}

/* One event on its way from the log into a lane. */
typedef struct homecoming {
    lane_keeper_t *keeper;
    const msg_event_parked_t *parked;
    bool found, is_new;
    int error;
    uint8_t user_id[ID_BYTES];
    unsigned partition;
    int64_t bytes;
    lane_facts_t facts;
} homecoming_t;

static bool copy_event(void *context, const msg_event_t *event)
{
    homecoming_t *home = context;
    home->found = event->position == home->parked->position;
    if (!home->found)
        return false;
    memcpy(home->user_id, event->user_id.data, ID_BYTES);
    home->partition = (unsigned)event->partition;
    home->bytes = event_bytes(event);
    if (home->keeper != NULL)
        home->error = home->keeper->database->class->parked_append(home->keeper->database, event,
                                                                   &home->is_new);
    return false;
}

/* keeper NULL: only looks whose it is. The log has it: it is trimmed only up to what all positions
 * have passed. */
static int read_returned(const lane_keeper_t *self, homecoming_t *home)
{
    int error = self->database->class->event_walk(self->database, home->parked->position - 1,
                                                  copy_event, home);
    if (error == 0 && !home->found)
        return ERR_DATABASE_FATAL;
    return error != 0 ? error : home->error;
}

static int bring_home(lane_keeper_t *self, homecoming_t *home)
{
    int error = read_returned(self, home);
    if (error != 0)
        return error;
    const lane_failure_t failure = {.counted = home->parked->counted != 0,
                                    .reason = (int)home->parked->reason,
                                    .last = self->feed->outbox.last[home->partition],
                                    .now_ms = clock_mono_ms(),
                                    .now_us = clock_wall_us(),
                                    .random = random_bits()};
    home->facts = parked_lanes_failed(&self->lanes, home->user_id, &failure);
    return save_facts(self, &home->facts);
}

static void log_lane(const lane_keeper_t *self, const char *event, const parked_lane_t *lane)
{
    char user[UUID_TEXT_SIZE];
    uuid_text(user, lane->facts.user_id);
    log_event(LOG_WARN, self->name, event, LOG_STR("user", user),
              LOG_INT("tries", lane->facts.tries), LOG_INT("events", lane->events),
              LOG_INT("reason", lane->facts.reason));
}

/* Committed: so it is true in memory too. */
static void settle(lane_keeper_t *self, const homecoming_t *home)
{
    const parked_lane_t *before = parked_lanes_find(&self->lanes, home->user_id);
    bool closes = before == NULL || before->facts.state == PARKED_OPENING;
    int64_t events = home->is_new ? 1 : 0, bytes = home->is_new ? home->bytes : 0;
    const parked_lane_t *lane =
        parked_lanes_put(&self->lanes, closes ? &home->facts : &before->facts, events, bytes);
    outbox_park(&self->feed->outbox, events, bytes);
    if (closes)
        log_lane(self, lane->facts.state == PARKED_QUARANTINED ? "lane_quarantined" : "lane_parked",
                 lane);
}

static int write_returned(lane_keeper_t *self)
{
    size_t count = self->returned_count < WRITE_MAX ? self->returned_count : WRITE_MAX;
    homecoming_t *homes = calloc(count, sizeof(*homes));
    undo_t undo;
    must(homes != NULL);
    int error = begin(self, &undo);
    for (size_t i = 0; i < count && error == 0; i++) {
        homes[i] = (homecoming_t){.keeper = self, .parked = &self->returned[i]};
        error = bring_home(self, &homes[i]);
    }
    error = end(self, &undo, error);
    FAILPOINT("store.parked");
    for (size_t i = 0; i < count && error == 0; i++)
        settle(self, &homes[i]);
    free(homes);
    if (error != 0)
        return error;
    outbox_park(&self->feed->outbox, -(int64_t)count, 0);
    self->returned_count -= count;
    memmove(self->returned, self->returned + count, self->returned_count * sizeof(*self->returned));
    return 0;
}

/* --- lanes that open -------------------------------------------------------------------------- */

typedef struct moving {
    lane_keeper_t *keeper;
    int64_t most, events, bytes, sequence, position;
    int error;
} moving_t;

static bool move_event(void *context, const msg_event_t *event)
{
    moving_t *moving = context;
    msg_event_t again = *event;
    if (moving->events == moving->most)
        return false;
    moving->error = event_feed_append(moving->keeper->feed, &again);
    if (moving->error == 0)
        moving->error = moving->keeper->database->class->unparked_save(moving->keeper->database,
                                                                       &again, STRAY_AGAIN);
    moving->events++;
    moving->bytes += event_bytes(event);
    moving->sequence = event->sequence;
    moving->position = again.position;
    return moving->error == 0;
}

/* Moves the first events of the lane to the tail of the log, within a transaction. */
static int move_events(lane_keeper_t *self, const parked_lane_t *lane, moving_t *moving)
{
    const database_class_t *class = self->database->class;
    int error = class->parked_walk(self->database, lane->facts.user_id, move_event, moving);
    if (error == 0)
        error = moving->error;
    if (error == 0 && moving->events > 0)
        error = class->parked_trim(self->database, lane->facts.user_id, moving->sequence);
    return error;
}

static void tell_open(lane_keeper_t *self, const parked_lane_t *lane)
{
    const msg_lane_open_t message = {.user_id = {(const char *)lane->facts.user_id, ID_BYTES}};
    event_feed_tell(self->feed, lane->partition, MSG_lane_open, &message);
}

/* Positions are saved with the probe: a start after a crash must not find the lane open and its old
 * places in the log not passed yet. */
static int begin_probe(lane_keeper_t *self, const parked_lane_t *lane)
{
    tell_open(self, lane);
    return event_feed_save(self->feed);
}

static int move_on(lane_keeper_t *self, parked_lane_t *lane, bool probe)
{
    moving_t moving = {.keeper = self, .most = probe ? 1 : STEP_EVENTS};
    lane_facts_t facts = {0};
    undo_t undo;
    int error = begin(self, &undo);
    if (error == 0 && probe)
        error = begin_probe(self, lane);
    if (error == 0)
        error = move_events(self, lane, &moving);
    bool ends = moving.events == 0;
    if (error == 0 && ends)
        error = self->database->class->lane_delete(self->database, lane->facts.user_id);
    if (error == 0 && !ends) {
        facts = probe ? parked_lane_probed(lane, moving.position)
                      : parked_lane_stepped(lane, moving.position);
        error = save_facts(self, &facts);
    }
    error = end(self, &undo, error);
    if (error != 0)
        return error;
    FAILPOINT("store.lane_moved");
    if (ends)
        parked_lanes_remove(&self->lanes, lane);
    else
        parked_lanes_put(&self->lanes, &facts, -moving.events, -moving.bytes);
    outbox_park(&self->feed->outbox, -moving.events, -moving.bytes);
    event_feed_send(self->feed);
    return 0;
}

static int end_lane(lane_keeper_t *self, parked_lane_t *lane)
{
    undo_t undo;
    int error = begin(self, &undo);
    if (error == 0)
        error = self->database->class->lane_delete(self->database, lane->facts.user_id);
    error = end(self, &undo, error);
    if (error != 0)
        return error;
    log_lane(self, "lane_recovered", lane);
    parked_lanes_remove(&self->lanes, lane);
    return 0;
}

/* One thing that is to be done; *done: there was one. */
static int act(lane_keeper_t *self, int64_t now_ms, bool *done)
{
    parked_lane_t *lane = NULL;
    lane_action_t action =
        parked_lanes_next(&self->lanes, self->feed->outbox.confirmed, now_ms, &lane);
    *done = action != LANE_ACTION_NONE;
    if (action == LANE_ACTION_NONE)
        return 0;
    if (action == LANE_ACTION_END)
        return end_lane(self, lane);
    return move_on(self, lane, action == LANE_ACTION_PROBE);
}

int lane_keeper_turn(lane_keeper_t *self, int64_t now_ms)
{
    int error = 0;
    bool done = true;
    if (now_ms < self->retry_ms)
        return 0;
    while (error == 0 && self->returned_count > 0)
        error = write_returned(self);
    for (int i = 0; i < ACTIONS_MAX && error == 0 && done; i++)
        error = act(self, now_ms, &done);
    return note_failure(self, error, now_ms);
}

int64_t lane_keeper_due_ms(const lane_keeper_t *self)
{
    int64_t due_ms = parked_lanes_due_ms(&self->lanes);
    if (self->returned_count > 0)
        due_ms = self->retry_ms;
    return due_ms < self->retry_ms ? self->retry_ms : due_ms;
}

/* --- a bridge's life -------------------------------------------------------------------------- */

typedef struct closing {
    const lane_keeper_t *keeper;
    unsigned bridge;
} closing_t;

static void tell_closed(const lane_keeper_t *self, const uint8_t user_id[ID_BYTES])
{
    const msg_lane_closed_t message = {.user_id = {(const char *)user_id, ID_BYTES}};
    event_feed_tell(self->feed, partition_of(user_id), MSG_lane_closed, &message);
}

static void close_lane(void *context, const parked_lane_t *lane)
{
    const closing_t *closing = context;
    if (lane->facts.state != PARKED_OPENING &&
        lane->partition % closing->keeper->feed->outbox.bridge_count == closing->bridge)
        tell_closed(closing->keeper, lane->facts.user_id);
}

/* Those whose events came back and could not be written are closed as well. */
int lane_keeper_attach(lane_keeper_t *self, unsigned bridge)
{
    closing_t closing = {self, bridge};
    parked_lanes_each(&self->lanes, close_lane, &closing);
    for (size_t i = 0; i < self->returned_count; i++) {
        homecoming_t home = {.parked = &self->returned[i]};
        int error = read_returned(self, &home);
        if (error != 0)
            return error;
        if (home.partition % self->feed->outbox.bridge_count == bridge)
            tell_closed(self, home.user_id);
    }
    event_feed_send(self->feed);
    return 0;
}

/* --- operators -------------------------------------------------------------------------------- */

void lane_keeper_list(const lane_keeper_t *self, text_buffer_t *out, int64_t limit)
{
    lane_listing_json(&self->lanes, out, limit);
}

/* All of them in one transaction. */
static int release(lane_keeper_t *self, const lane_listing_t *listing)
{
    int64_t now_ms = clock_mono_ms();
    undo_t undo;
    int error = begin(self, &undo);
    for (size_t i = 0; i < listing->count && error == 0; i++) {
        lane_facts_t facts = parked_lane_released(listing->lanes[i], now_ms);
        error = save_facts(self, &facts);
    }
    error = end(self, &undo, error);
    for (size_t i = 0; i < listing->count && error == 0; i++) {
        lane_facts_t facts = parked_lane_released(listing->lanes[i], now_ms);
        log_lane(self, "lane_released", parked_lanes_put(&self->lanes, &facts, 0, 0));
    }
    return error;
}

int lane_keeper_release(lane_keeper_t *self, const uint8_t *user_id, text_buffer_t *out)
{
    lane_listing_t listing = lane_listing_of(&self->lanes);
    size_t kept = 0;
    for (size_t i = 0; i < listing.count; i++) {
        const lane_facts_t *facts = &listing.lanes[i]->facts;
        if (user_id != NULL ? memcmp(facts->user_id, user_id, ID_BYTES) == 0
                            : facts->state == PARKED_QUARANTINED)
            listing.lanes[kept++] = listing.lanes[i];
    }
    listing.count = kept;
    int error = user_id != NULL && kept == 0 ? ERR_LANE_NOT_FOUND : release(self, &listing);
    free(listing.lanes);
    if (error == 0) {
        text_add(out, TEXT("{\"released\": "));
        text_add_int(out, (int64_t)kept);
        text_add(out, TEXT("}"));
    }
    return error;
}

typedef struct discarding {
    database_t *database;
    int64_t closed_at;
    int error;
} discarding_t;

static bool note_discarded(void *context, const msg_event_t *event)
{
    discarding_t *discarding = context;
    msg_event_t noted = *event;
    noted.position = discarding->closed_at;
    discarding->error =
        discarding->database->class->unparked_save(discarding->database, &noted, STRAY_DISCARDED);
    return discarding->error == 0;
}

static int discard_events(lane_keeper_t *self, const parked_lane_t *lane)
{
    const database_class_t *class = self->database->class;
    discarding_t discarding = {self->database, lane->facts.closed_at, 0};
    int error =
        class->parked_walk(self->database, lane->facts.user_id, note_discarded, &discarding);
    if (error == 0)
        error = discarding.error;
    return error != 0 ? error : class->parked_trim(self->database, lane->facts.user_id, INT64_MAX);
}

/* Without events it opens, and ends, as soon as its time comes, which is now. */
int lane_keeper_discard(lane_keeper_t *self, const uint8_t user_id[ID_BYTES], text_buffer_t *out)
{
    const parked_lane_t *lane = parked_lanes_find(&self->lanes, user_id);
    undo_t undo;
    if (lane == NULL)
        return ERR_LANE_NOT_FOUND;
    if (self->feed->outbox.confirmed[lane->partition] < lane->facts.closed_at ||
        self->returned_count > 0)
        return ERR_LANE_BUSY;
    lane_facts_t facts = parked_lane_released(lane, clock_mono_ms());
    int64_t events = lane->events, bytes = lane->bytes;
    int error = begin(self, &undo);
    if (error == 0)
        error = discard_events(self, lane);
    if (error == 0)
        error = save_facts(self, &facts);
    error = end(self, &undo, error);
    if (error != 0)
        return error;
    log_lane(self, "lane_discarded", lane);
    parked_lanes_put(&self->lanes, &facts, -events, -bytes);
    outbox_park(&self->feed->outbox, -events, -bytes);
    text_add(out, TEXT("{\"discarded\": "));
    text_add_int(out, events);
    text_add(out, TEXT("}"));
    return 0;
}
