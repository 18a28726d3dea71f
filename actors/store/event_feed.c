/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/event_feed.h"

#include <stdio.h>
#include <string.h>

#include "proto/errors.h"

enum {
    READ_MAX = 256,  /* events read from the log for one bridge at a time */
    SCAN_MAX = 4096, /* rows looked at for them */
};

/* --- start and end ---------------------------------------------------------------------------- */

static bool count_event(void *context, const msg_event_t *event)
{
    outbox_count(context, (unsigned)event->partition, event->position, event_bytes(event));
    return true;
}

int event_feed_init(event_feed_t *self, mailroom_t *room, database_t *database,
                    unsigned bridge_count, outbox_load_t max)
{
    saved_positions_t saved;
    self->room = room;
    self->database = database;
    int error = database->class->positions_load(database, &saved);
    if (error != 0)
        return error;
    outbox_init(&self->outbox, max, bridge_count, saved.head, saved.confirmed);
    return database->class->event_walk(database, saved.low, count_event, &self->outbox);
}

void event_feed_fini(event_feed_t *self)
{
    for (unsigned i = 0; i < self->outbox.bridge_count; i++) {
        sender_close(&self->senders[i]);
        frame_clear(&self->frames[i]);
    }
}

/* --- frames ----------------------------------------------------------------------------------- */

/* Each begins with the life it is for. The mailbox of a new life has the address of the one before, so
 * what was meant for that one may come there, also in between: ZeroMQ takes turns between senders. */
static void begin_frame(event_feed_t *self, unsigned bridge)
{
    const msg_bridge_attached_t attached = {self->outbox.bridges[bridge].attach_id};
    if (self->frames[bridge].count == 0)
        frame_add(&self->frames[bridge], MSG_bridge_attached, 0, &attached);
}

static void add(event_feed_t *self, unsigned bridge, message_type_t type, const void *fields)
{
    begin_frame(self, bridge);
    frame_add(&self->frames[bridge], type, 0, fields);
}

/* --- with the batch --------------------------------------------------------------------------- */

int event_feed_append(event_feed_t *self, msg_event_t *event)
{
    unsigned partition = (unsigned)event->partition;
    event->position = outbox_append(&self->outbox, partition, event_bytes(event));
    int error = self->database->class->event_append(self->database, event);
    if (error != 0)
        return error;
    int bridge = outbox_hand_over(&self->outbox, partition, event->position);
    if (bridge != OUTBOX_NOBODY)
        add(self, (unsigned)bridge, MSG_event, event);
    return 0;
}

void event_feed_tell(event_feed_t *self, unsigned partition, message_type_t type,
                     const void *fields)
{
    unsigned bridge = partition % self->outbox.bridge_count;
    if (self->senders[bridge] != NULL)
        add(self, bridge, type, fields);
}

/* Only an attached bridge has credit, so a frame that holds something has somebody to go to. */
void event_feed_send(event_feed_t *self)
{
    for (unsigned i = 0; i < self->outbox.bridge_count; i++)
        if (self->frames[i].count > 0)
            sender_send(self->senders[i], &self->frames[i]);
}

void event_feed_roll_back(event_feed_t *self, const outbox_t *savepoint)
{
    self->outbox = *savepoint;
    for (unsigned i = 0; i < self->outbox.bridge_count; i++)
        frame_clear(&self->frames[i]);
}

/* --- from the log ----------------------------------------------------------------------------- */

typedef struct recount {
    outbox_t *outbox;
    unsigned bridge;
} recount_t;

static bool recount_event(void *context, const msg_event_t *event)
{
    const recount_t *recount = context;
    if ((unsigned)event->partition % recount->outbox->bridge_count == recount->bridge)
        outbox_count(recount->outbox, (unsigned)event->partition, event->position,
                     event_bytes(event));
    return true;
}

int event_feed_attach(event_feed_t *self, const msg_bridge_attach_t *attach)
{
    unsigned bridge = (unsigned)attach->bridge;
    char address[ADDRESS_MAX_BYTES];
    must(bridge < self->outbox.bridge_count);
    snprintf(address, sizeof(address), "bridge.%u", bridge);
    /* Its mailbox is another one than in its life before. What was sent is gone with that one, but for
     * a life that ended before this sender was opened: its events may be in the new mailbox. */
    sender_close(&self->senders[bridge]);
    self->senders[bridge] = sender_open(self->room, address);
    bool again = outbox_attach(&self->outbox, bridge, attach->attach_id, attach->credit);
    must(self->frames[bridge].count == 0);
    begin_frame(self, bridge);
    event_feed_send(self);
    if (!again)
        return 0;
    recount_t recount = {&self->outbox, bridge};
    return self->database->class->event_walk(self->database, outbox_low(&self->outbox),
                                             recount_event, &recount);
}

typedef struct log_reading {
    event_feed_t *feed;
    unsigned bridge;
    int scanned, taken;
    bool interrupted; /* before the end of the log */
} log_reading_t;

static bool read_event(void *context, const msg_event_t *event)
{
    log_reading_t *reading = context;
    outbox_t *outbox = &reading->feed->outbox;
    reading->interrupted = reading->scanned == SCAN_MAX || reading->taken == READ_MAX ||
                           !outbox_wants_log(outbox, reading->bridge);
    if (reading->interrupted)
        return false;
    reading->scanned++;
    if (outbox_take(outbox, reading->bridge, (unsigned)event->partition, event->position)) {
        add(reading->feed, reading->bridge, MSG_event, event);
        reading->taken++;
    }
    return true;
}

int event_feed_read_log(event_feed_t *self, bool *more)
{
    *more = false;
    for (unsigned i = 0; i < self->outbox.bridge_count; i++) {
        log_reading_t reading = {.feed = self, .bridge = i};
        if (!outbox_wants_log(&self->outbox, i))
            continue;
        int error = self->database->class->event_walk(
            self->database, self->outbox.bridges[i].handed, read_event, &reading);
        if (error != 0)
            return error;
        if (!reading.interrupted)
            outbox_caught_up(&self->outbox, i);
        *more = *more || outbox_wants_log(&self->outbox, i);
    }
    event_feed_send(self);
    return 0;
}

typedef struct oldest {
    const outbox_t *outbox;
    int scanned;
    int64_t created_us;
} oldest_t;

static bool find_unconfirmed(void *context, const msg_event_t *event)
{
    oldest_t *oldest = context;
    if (event->position > oldest->outbox->confirmed[event->partition])
        oldest->created_us = event->created_us;
    return oldest->created_us < 0 && ++oldest->scanned < SCAN_MAX;
}

int event_feed_oldest(const event_feed_t *self, int64_t *created_us)
{
    oldest_t oldest = {.outbox = &self->outbox, .created_us = -1};
    int error = self->database->class->event_walk(self->database, outbox_low(&self->outbox),
                                                  find_unconfirmed, &oldest);
    *created_us = oldest.created_us;
    return error;
}

/* --- positions -------------------------------------------------------------------------------- */

int event_feed_save(event_feed_t *self)
{
    outbox_t *outbox = &self->outbox;
    saved_positions_t positions = {.head = outbox->head, .low = outbox_low(outbox)};
    memcpy(positions.confirmed, outbox->confirmed, sizeof(positions.confirmed));
    int error = self->database->class->positions_save(self->database, &positions, outbox->unsaved);
    if (error == 0)
        outbox->unsaved = 0;
    return error;
}
