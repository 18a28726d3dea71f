/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/simulated_database.h"

#include <string.h>

#include "proto/errors.h"
#include "tests/simulation/bugs.h"
#include "tests/simulation/promises.h"

enum {
    USERS_MAX = PLAN_USERS_MAX + 1,
    EVENTS_MAX = 4096,
    PARKED_MAX = 1024,
    COMMIT_MOST_US = 3000
};

typedef struct disk {
    user_t users[USERS_MAX];
    int64_t user_count;
    msg_event_t events[EVENTS_MAX]; /* texts in the run's memory */
    int64_t event_count;            /* ever appended, by position from 1 */
    int64_t trimmed;                /* positions up to here are deleted */
    saved_positions_t positions;
} disk_t;

/* Lanes that are parked and what is in them; few, so a transaction that changes them copies all. */
typedef struct aside {
    lane_row_t lanes[USERS_MAX];
    size_t lane_count;
    msg_event_t parked[PARKED_MAX]; /* in no order; texts in the run's memory */
    size_t parked_count;
} aside_t;

static struct {
    disk_t disk;              /* as the connection sees it */
    user_t before[USERS_MAX]; /* users as they were committed */
    bool changed[USERS_MAX];
    int64_t user_count, event_count, trimmed; /* as committed */
    saved_positions_t positions;
    bool positions_changed;
    aside_t aside, aside_before; /* as the connection sees it, and as committed */
    bool aside_changed;
    bool full, broken;
    bool reading; /* the transaction only reads */
    database_t handle;
} store;

void database_begin_run(void)
{
    memset(&store, 0, sizeof(store));
    store.handle.class = &sqlite_database;
}

static void copy_aside(aside_t *to, const aside_t *from)
{
    to->lane_count = from->lane_count;
    to->parked_count = from->parked_count;
    memcpy(to->lanes, from->lanes, from->lane_count * sizeof(from->lanes[0]));
    memcpy(to->parked, from->parked, from->parked_count * sizeof(from->parked[0]));
}

size_t database_lanes(void)
{
    return store.aside_before.lane_count + store.aside_before.parked_count;
}

void database_fill(bool full)
{
    store.full = full;
}

void database_break(void)
{
    store.broken = true;
}

bool database_is_confirmed(void)
{
    for (int64_t i = store.trimmed; i < store.event_count; i++)
        if (store.positions.confirmed[store.disk.events[i].partition] <
            store.disk.events[i].position)
            return false;
    return true;
}

/* --- transactions ----------------------------------------------------------------------------------- */

static void forget_changes(void)
{
    memset(store.changed, 0, sizeof(store.changed));
    store.positions_changed = store.aside_changed = false;
}

static void roll_back(void)
{
    for (int64_t i = 0; i < store.user_count; i++)
        if (store.changed[i])
            store.disk.users[i] = store.before[i];
    store.disk.user_count = store.user_count;
    store.disk.event_count = store.event_count;
    store.disk.trimmed = store.trimmed;
    store.disk.positions = store.positions;
    if (store.aside_changed)
        copy_aside(&store.aside, &store.aside_before);
    forget_changes();
}

static void make_durable(void)
{
    for (int64_t i = store.user_count; i < store.disk.user_count; i++)
        promise_user_committed(&store.disk.users[i]);
    for (int64_t i = store.event_count; i < store.disk.event_count && !world.over; i++)
        promise_event_committed(&store.disk.events[i]);
    if (store.aside_changed) {
        copy_aside(&store.aside_before, &store.aside);
        promise_parked_committed(store.aside.parked, store.aside.parked_count);
    }
    for (int64_t i = store.trimmed; i < store.disk.trimmed; i++)
        promise_trimmed(i + 1);
    if (store.positions_changed)
        promise_positions_committed(&store.disk.positions);
    store.user_count = store.disk.user_count;
    store.event_count = store.disk.event_count;
    store.trimmed = store.disk.trimmed;
    store.positions = store.disk.positions;
    forget_changes();
}

static int open_database(database_t **out, const char *url, detail_t *detail)
{
    (void)url;
    if (step())
        return detail_set(detail, ERR_DATABASE_OPEN, "dead");
    roll_back();
    *out = &store.handle;
    return 0;
}

static void close_database(database_t *self)
{
    (void)self;
}

static int probe_database(const char *url, detail_t *detail)
{
    (void)url;
    (void)detail;
    return 0;
}

static int begin(database_t *self)
{
    (void)self;
    store.reading = false;
    if (step())
        return ERR_DATABASE_FATAL;
    return store.full ? ERR_STORE_UNAVAILABLE : 0;
}

static int begin_reading(database_t *self)
{
    (void)self;
    store.reading = true;
    return step() ? ERR_DATABASE_FATAL : 0;
}

static void delayed_commit(void *context, int64_t number)
{
    (void)context;
    if (world.service.alive && world.service.life == number)
        make_durable();
}

static int commit(database_t *self)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    if (store.reading) {
        store.reading = false;
        return 0;
    }
    if (bug_is(BUG_ANSWER_BEFORE_COMMIT)) {
        world_after(COMMIT_MOST_US, delayed_commit, NULL, world.service.life);
        return 0;
    }
    task_sleep(random_between(&world.random, 10, COMMIT_MOST_US));
    if (step())
        return ERR_DATABASE_FATAL;
    if (store.broken) {
        store.broken = false;
        if (random_chance(&world.random, 50))
            make_durable();
        return ERR_DATABASE_FATAL;
    }
    if (store.full) {
        roll_back();
        return ERR_STORE_UNAVAILABLE;
    }
    make_durable();
    return step() ? ERR_DATABASE_FATAL : 0;
}

static void rollback(database_t *self)
{
    (void)self;
    store.reading = false;
    if (!step())
        roll_back();
}

/* --- users ------------------------------------------------------------------------------------------ */

static int copy_user(int64_t row, user_t *out)
{
    if (step())
        return ERR_DATABASE_FATAL;
    if (row == 0)
        return ERR_USER_NOT_FOUND;
    *out = store.disk.users[row - 1];
    return 0;
}

static int64_t row_of_email(const char *email_key, size_t size)
{
    for (int64_t i = 0; i < store.disk.user_count; i++)
        if (text_equal(text_of(store.disk.users[i].email_key), (text_t){email_key, size}))
            return i + 1;
    return 0;
}

static int user_by_id(database_t *self, text_t id, user_t *out)
{
    (void)self;
    int64_t row = store.disk.user_count;
    while (row > 0 && memcmp(store.disk.users[row - 1].id, id.data, ID_BYTES) != 0)
        row--;
    return copy_user(row, out);
}

static int user_by_email(database_t *self, text_t email_key, user_t *out)
{
    (void)self;
    return copy_user(row_of_email(email_key.data, email_key.size), out);
}

static int user_insert(database_t *self, user_t *user)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    if (row_of_email(user->email_key, strlen(user->email_key)) != 0)
        return ERR_EMAIL_TAKEN;
    must(store.disk.user_count < USERS_MAX);
    user->row = ++store.disk.user_count;
    store.disk.users[user->row - 1] = *user;
    return 0;
}

static int user_update(database_t *self, const user_t *user)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    int64_t i = user->row - 1;
    if (!store.changed[i])
        store.before[i] = store.disk.users[i];
    store.changed[i] = true;
    store.disk.users[i] = *user;
    return 0;
}

static int user_walk(database_t *self, text_t after, user_visit_t visit, void *context)
{
    (void)self;
    (void)after;
    for (int64_t i = 0; i < store.disk.user_count; i++)
        if (!visit(context, &store.disk.users[i]))
            break;
    return 0;
}

/* --- events ----------------------------------------------------------------------------------------- */

static void keep_event(msg_event_t *kept, const msg_event_t *event)
{
    *kept = *event;
    text_t *const texts[] = {&kept->id,          &kept->user_id,    &kept->request_id,
                             &kept->traceparent, &kept->tracestate, &kept->body};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = run_text(*texts[i]);
}

static int event_append(database_t *self, const msg_event_t *event)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    must(store.disk.event_count < EVENTS_MAX);
    keep_event(&store.disk.events[store.disk.event_count++], event);
    if (event->position != store.disk.event_count)
        breach("positions have no gaps", "%lld is appended at %lld", (long long)event->position,
               (long long)store.disk.event_count);
    return 0;
}

static int event_walk(database_t *self, int64_t after, event_visit_t visit, void *context)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    int64_t i = after > store.disk.trimmed ? after : store.disk.trimmed;
    while (i < store.disk.event_count && visit(context, &store.disk.events[i]))
        i++;
    return 0;
}

static int event_trim(database_t *self, int64_t up_to, int64_t older_than_us, int most,
                      int *deleted)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    *deleted = 0;
    while (*deleted < most && store.disk.trimmed < store.disk.event_count &&
           store.disk.trimmed < up_to &&
           store.disk.events[store.disk.trimmed].created_us < older_than_us) {
        store.disk.trimmed++;
        ++*deleted;
    }
    return 0;
}

static int positions_load(database_t *self, saved_positions_t *out)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    *out = store.disk.positions;
    out->head = store.disk.event_count;
    return 0;
}

static int positions_save(database_t *self, const saved_positions_t *positions, uint64_t partitions)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    store.disk.positions.low = positions->low;
    for (int i = 0; i < PARTITION_COUNT; i++)
        if ((partitions >> i & 1) != 0)
            store.disk.positions.confirmed[i] = positions->confirmed[i];
    store.positions_changed = true;
    return 0;
}

/* --- parked lanes ----------------------------------------------------------------------------------- */

static int parked_append(database_t *self, const msg_event_t *event, bool *is_new)
{
    (void)self;
    *is_new = false;
    if (step())
        return ERR_DATABASE_FATAL;
    for (size_t i = 0; i < store.aside.parked_count; i++)
        if (text_equal(store.aside.parked[i].user_id, event->user_id) &&
            store.aside.parked[i].sequence == event->sequence)
            return 0;
    must(store.aside.parked_count < PARKED_MAX);
    keep_event(&store.aside.parked[store.aside.parked_count++], event);
    *is_new = store.aside_changed = true;
    return 0;
}

static msg_event_t *next_parked(const uint8_t user_id[ID_BYTES], int64_t behind)
{
    msg_event_t *next = NULL;
    for (size_t i = 0; i < store.aside.parked_count; i++) {
        msg_event_t *event = &store.aside.parked[i];
        if (memcmp(event->user_id.data, user_id, ID_BYTES) == 0 && event->sequence > behind &&
            (next == NULL || event->sequence < next->sequence))
            next = event;
    }
    return next;
}

static int parked_walk(database_t *self, const uint8_t user_id[ID_BYTES], event_visit_t visit,
                       void *context)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    const msg_event_t *event = NULL;
    while ((event = next_parked(user_id, event != NULL ? event->sequence : 0)) != NULL) {
        msg_event_t read = *event;
        read.position = 1;
        if (!visit(context, &read))
            break;
    }
    return 0;
}

/* Only commands read it. */
static int unparked_save(database_t *self, const msg_event_t *event, stray_fate_t fate)
{
    (void)self;
    (void)event;
    (void)fate;
    return 0;
}

static int parked_trim(database_t *self, const uint8_t user_id[ID_BYTES], int64_t up_to)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    msg_event_t *event;
    while ((event = next_parked(user_id, 0)) != NULL && event->sequence <= up_to)
        *event = store.aside.parked[--store.aside.parked_count];
    store.aside_changed = true;
    return 0;
}

static lane_row_t *find_lane(const uint8_t user_id[ID_BYTES])
{
    for (size_t i = 0; i < store.aside.lane_count; i++)
        if (memcmp(store.aside.lanes[i].user_id, user_id, ID_BYTES) == 0)
            return &store.aside.lanes[i];
    return NULL;
}

static int lane_walk(database_t *self, lane_visit_t visit, void *context)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    for (size_t i = 0; i < store.aside.lane_count; i++) {
        lane_row_t lane = store.aside.lanes[i];
        const msg_event_t *event = NULL;
        lane.events = lane.bytes = 0;
        while ((event = next_parked(lane.user_id, event != NULL ? event->sequence : 0)) != NULL) {
            lane.events++;
            lane.bytes += event_bytes(event);
        }
        if (!visit(context, &lane))
            break;
    }
    return 0;
}

static int lane_save(database_t *self, const lane_row_t *lane)
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    lane_row_t *at = find_lane(lane->user_id);
    if (at == NULL) {
        must(store.aside.lane_count < USERS_MAX);
        at = &store.aside.lanes[store.aside.lane_count++];
    }
    *at = *lane;
    store.aside_changed = true;
    return 0;
}

static int lane_delete(database_t *self, const uint8_t user_id[ID_BYTES])
{
    (void)self;
    if (step())
        return ERR_DATABASE_FATAL;
    lane_row_t *at = find_lane(user_id);
    if (at != NULL)
        *at = store.aside.lanes[--store.aside.lane_count];
    store.aside_changed = true;
    return 0;
}

static int tidy(database_t *self, bool idle, bool *more, bool *asks,
                msg_checkpoint_request_t *request)
{
    (void)self;
    (void)idle;
    (void)request;
    *asks = *more = false;
    return step() ? ERR_DATABASE_FATAL : 0;
}

static void tidied(database_t *self, const msg_checkpoint_done_t *done)
{
    (void)self;
    (void)done;
}

/* Takes the place of the real one when linked. */
const database_class_t sqlite_database = {
    .scheme = "sqlite:",
    .open = open_database,
    .close = close_database,
    .probe = probe_database,
    .begin = begin,
    .begin_reading = begin_reading,
    .commit = commit,
    .rollback = rollback,
    .user_by_id = user_by_id,
    .user_by_email = user_by_email,
    .user_insert = user_insert,
    .user_update = user_update,
    .user_view = user_update,
    .user_walk = user_walk,
    .event_append = event_append,
    .event_walk = event_walk,
    .event_trim = event_trim,
    .positions_load = positions_load,
    .positions_save = positions_save,
    .parked_append = parked_append,
    .parked_walk = parked_walk,
    .parked_trim = parked_trim,
    .unparked_save = unparked_save,
    .lane_walk = lane_walk,
    .lane_save = lane_save,
    .lane_delete = lane_delete,
    .tidy = tidy,
    .tidied = tidied,
};
