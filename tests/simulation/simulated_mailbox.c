/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/simulated_mailbox.h"

#include <inttypes.h>
#include <string.h>

#include "proto/errors.h"
#include "tests/simulation/bugs.h"
#include "tests/simulation/simulated_broker.h"

enum { INPROC_MOST_US = 300, INPROC_LATE_US = 20000, TURN_MOST_US = 30, TURNS_MAX = 30000 };

typedef struct parcel {
    struct parcel *next;
    mailbox_t *to;
    char *data;
    size_t size;
} parcel_t;

struct mailbox {
    mailbox_t *next; /* in the room */
    const char *address;
    bool open;
    task_t *task;        /* NULL: a sink */
    take_message_t take; /* of a sink */
    parcel_t *first, *last;
    int64_t attach_id;     /* of a bridge: its life; 0: it has not attached */
    bool fed;              /* something for this life was read */
    int64_t granted, sent; /* of a bridge: events it granted, events it was sent for this life */
};

struct mailroom {
    process_t *process;
    mailbox_t *mailboxes; /* also closed ones, which are `open` no more */
    sender_t *waiting;    /* those whose address nobody has opened yet */
};

struct sender {
    mailroom_t *room;
    const char *address;
    mailbox_t *to;          /* NULL: nobody has opened the address yet */
    mailbox_t *from;        /* NULL: not an actor's */
    int64_t arrives_us;     /* of what it sent last */
    parcel_t *first, *last; /* for whoever opens the address */
    sender_t *next_waiting;
};

static frame_reader_t reader; /* of the looks on the way */

mailroom_t *room_make(process_t *process)
{
    mailroom_t *room = run_alloc(sizeof(*room));
    room->process = process;
    return room;
}

static const char *keep_address(const char *address)
{
    return run_text((text_t){address, strlen(address) + 1}).data;
}

static mailbox_t *find(const mailroom_t *room, const char *address)
{
    mailbox_t *at = room->mailboxes;
    while (at != NULL && !(at->open && strcmp(at->address, address) == 0))
        at = at->next;
    return at;
}

/* --- parcels ------------------------------------------------------------------------------------ */

static void take_out(mailbox_t *mailbox, const parcel_t *parcel)
{
    message_t message;
    frame_reader_reset(&reader, parcel->data, parcel->size);
    while (frame_reader_next(&reader, &message) == 1)
        mailbox->take(&message);
}

static void arrive(void *context, int64_t number)
{
    parcel_t *parcel = context;
    mailbox_t *to = parcel->to;
    (void)number;
    if (!to->open)
        return;
    if (to->take != NULL) {
        take_out(to, parcel);
        return;
    }
    if (to->last != NULL)
        to->last->next = parcel;
    else
        to->first = parcel;
    to->last = parcel;
    task_wake(to->task);
}

static parcel_t *wrap(frame_t *frame)
{
    parcel_t *parcel = run_alloc(sizeof(*parcel));
    parcel->size = frame->bytes.size;
    parcel->data = run_alloc(parcel->size);
    memcpy(parcel->data, frame->bytes.data, parcel->size);
    return parcel;
}

static void hold(sender_t *sender, parcel_t *parcel)
{
    if (sender->last != NULL)
        sender->last->next = parcel;
    else
        sender->first = parcel;
    sender->last = parcel;
}

static void dispatch(sender_t *sender, parcel_t *parcel)
{
    if (sender->to == NULL) {
        hold(sender, parcel);
        return;
    }
    /* Now and then the receiver's thread is not at hand. */
    int most_us = random_chance(&world.random, 5) ? INPROC_LATE_US : INPROC_MOST_US;
    int64_t at_us = world.now_us + random_between(&world.random, 1, most_us);
    if (at_us < sender->arrives_us)
        at_us = sender->arrives_us;
    sender->arrives_us = at_us;
    parcel->to = sender->to;
    world_after(at_us - world.now_us, arrive, parcel, 0);
}

/* --- looks at what is said ------------------------------------------------------------------------ */

static void look_at_attach(mailbox_t *bridge, const msg_bridge_attach_t *attach)
{
    bridge->granted = attach->credit;
    bridge->sent = 0;
    bridge->attach_id = attach->attach_id;
    trace("attach", bridge->address, attach->credit, 0);
}

static void told_credit(mailbox_t *bridge, int64_t count)
{
    bridge->granted += count;
    trace("credit", bridge->address, count, 0);
    on_credit_sent(bridge->task);
}

static void look_at_mail_of_bridge(const sender_t *sender, const frame_t *frame)
{
    message_t message;
    frame_reader_reset(&reader, frame->bytes.data, frame->bytes.size);
    while (frame_reader_next(&reader, &message) == 1) {
        if (message.type == MSG_bridge_attach)
            look_at_attach(sender->from, &message.bridge_attach);
        else if (message.type == MSG_bridge_credit)
            told_credit(sender->from, message.bridge_credit.count);
        else if (message.type == MSG_confirmed_position)
            trace("position", sender->from->address, message.confirmed_position.partition,
                  message.confirmed_position.position);
    }
}

static void look_at_mail_to_bridge(const sender_t *sender, const frame_t *frame)
{
    mailbox_t *to = sender->to;
    message_t message;
    bool for_this_life = false;
    frame_reader_reset(&reader, frame->bytes.data, frame->bytes.size);
    while (frame_reader_next(&reader, &message) == 1) {
        if (message.type == MSG_bridge_attached)
            for_this_life = to != NULL && message.bridge_attached.attach_id == to->attach_id;
        if (message.type == MSG_bridge_attached)
            trace("attached", sender->address, for_this_life, 0);
        if (message.type != MSG_event)
            continue;
        trace("event to bridge", sender->address, message.event.position, message.event.sequence);
        if (for_this_life && ++to->sent > to->granted)
            breach("a bridge is sent no more than its credit", "%s: %" PRId64 " of %" PRId64,
                   sender->address, to->sent, to->granted);
    }
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void look(const sender_t *sender, const frame_t *frame)
{
    if (sender->from != NULL && begins(sender->from->address, "bridge."))
        look_at_mail_of_bridge(sender, frame);
    else if (begins(sender->address, "bridge."))
        look_at_mail_to_bridge(sender, frame);
}

/* --- mailbox.h ------------------------------------------------------------------------------------ */

mailroom_t *mailroom_open(void)
{
    return room_make(NULL);
}

void mailroom_close(mailroom_t **self)
{
    *self = NULL;
}

static void connect_waiting(mailroom_t *room, mailbox_t *mailbox)
{
    for (sender_t **at = &room->waiting; *at != NULL;) {
        sender_t *sender = *at;
        if (strcmp(sender->address, mailbox->address) != 0) {
            at = &sender->next_waiting;
            continue;
        }
        *at = sender->next_waiting;
        sender->to = mailbox;
        for (parcel_t *parcel = sender->first, *next; parcel != NULL; parcel = next) {
            next = parcel->next;
            parcel->next = NULL;
            dispatch(sender, parcel);
        }
    }
}

static mailbox_t *open_address(mailroom_t *room, const char *address)
{
    mailbox_t *self = run_alloc(sizeof(*self));
    self->address = keep_address(address);
    self->open = true;
    self->next = room->mailboxes;
    room->mailboxes = self;
    connect_waiting(room, self);
    return self;
}

int mailbox_open(mailbox_t **out, mailroom_t *room, const char *address)
{
    *out = NULL;
    if (find(room, address) != NULL)
        return ERR_INTERNAL;
    *out = open_address(room, address);
    (*out)->task = world.running;
    return 0;
}

void mailbox_close(mailbox_t **self)
{
    if (*self != NULL)
        (*self)->open = false;
    *self = NULL;
}

int mailbox_fd(const mailbox_t *self)
{
    (void)self;
    return -1;
}

static int ready(const mailbox_t *self, int fd)
{
    bool broker = fd >= 0 && (connection_has_news(fd) || dialer_has_news(fd));
    return (self->first != NULL ? WAIT_MAIL : 0) | (broker ? WAIT_FD : 0);
}

/* Turns that find nothing to do are as good as a processor lost. */
static void count_turn(task_t *task)
{
    if (world.now_us - task->turns_since_us > 1000000) {
        task->turns_since_us = world.now_us;
        task->turns = 0;
    }
    if (++task->turns > TURNS_MAX)
        breach("nobody turns in circles", "%s: more than %d turns in a second", task->name,
               TURNS_MAX);
}

int mailbox_wait(mailbox_t *self, int fd, short fd_events, int timeout_ms)
{
    (void)fd_events;
    if (step()) {
        task_sleep_until(0);
        return world.running->told_to_stop ? 0 : WAIT_MAIL;
    }
    /* A turn takes its time, also one that finds more to do at once. */
    count_turn(world.running);
    int64_t until_us = timeout_ms < 0 ? INT64_MAX : world.now_us + (int64_t)timeout_ms * 1000;
    task_sleep(random_between(&world.random, 1, TURN_MOST_US));
    int got;
    while ((got = ready(self, fd)) == 0 && world.now_us < until_us && !world.running->dead)
        task_sleep_until(until_us);
    return got;
}

void mailbox_pause(mailbox_t *self, int ms)
{
    (void)self;
    if (!step())
        task_sleep((int64_t)ms * 1000);
}

static bool receive_stop(frame_reader_t *to)
{
    static frame_t stop; /* made once, never changed */
    task_t *task = world.running;
    if (task->told_to_stop)
        return false;
    task->told_to_stop = true;
    if (stop.count == 0)
        frame_add(&stop, MSG_stop, 0, &(msg_stop_t){.deadline_ms = 0});
    frame_reader_reset(to, stop.bytes.data, stop.bytes.size);
    return true;
}

/* As if the frame were for the life that reads it, whichever it is for: what a bridge would take that
 * does not ask, or asks only until it was answered. */
static void adopt(mailbox_t *self, parcel_t *parcel)
{
    frame_t changed = {0};
    message_t message;
    frame_reader_reset(&reader, parcel->data, parcel->size);
    if (frame_reader_next(&reader, &message) != 1 || message.type != MSG_bridge_attached)
        return;
    self->fed = self->fed || message.bridge_attached.attach_id == self->attach_id;
    if (!bug_is(BUG_FORMER_LIFE_FED) && !(bug_is(BUG_FORMER_LIFE_BETWEEN) && self->fed))
        return;
    const char *rest = parcel->data + reader.offset;
    size_t rest_size = parcel->size - reader.offset;
    frame_add(&changed, MSG_bridge_attached, 0, &(msg_bridge_attached_t){self->attach_id});
    msgpack_sbuffer_write(&changed.bytes, rest, rest_size);
    *parcel = *wrap(&changed);
    frame_clear(&changed);
}

bool mailbox_receive(mailbox_t *self, frame_reader_t *to)
{
    if (step())
        return receive_stop(to);
    parcel_t *parcel = self->first;
    if (parcel == NULL)
        return false;
    self->first = parcel->next;
    if (self->first == NULL)
        self->last = NULL;
    if (self->attach_id != 0)
        adopt(self, parcel);
    frame_reader_reset(to, parcel->data, parcel->size);
    return true;
}

sender_t *sender_open(mailroom_t *room, const char *address)
{
    sender_t *self = run_alloc(sizeof(*self));
    self->room = room;
    self->address = keep_address(address);
    self->to = find(room, address);
    if (world.running != NULL)
        self->from = world.running->self.mailbox;
    if (self->to == NULL) {
        self->next_waiting = room->waiting;
        room->waiting = self;
    }
    return self;
}

void sender_close(sender_t **self)
{
    *self = NULL;
}

void sender_send(sender_t *self, frame_t *frame)
{
    if (frame->count == 0)
        return;
    if (world.running == NULL || !step()) {
        look(self, frame);
        dispatch(self, wrap(frame));
    }
    frame->count = 0;
    frame->bytes.size = 0;
}

void room_sink(mailroom_t *room, const char *address, take_message_t take)
{
    open_address(room, address)->take = take;
}

bool room_send(mailroom_t *room, const char *address, frame_t *frame)
{
    bool open = find(room, address) != NULL;
    sender_t *sender = sender_open(room, address);
    sender_send(sender, frame);
    return open;
}

void simulated_mailbox_fini(void)
{
    frame_reader_fini(&reader);
}
