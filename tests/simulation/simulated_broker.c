/* SPDX-License-Identifier: Apache-2.0
 * simulated_broker.c - both ends of the connections, and the queues between them.
 *
 * A flush puts what was encoded on the wire; it arrives after a hop, in order. What the broker says goes
 * the other way alike. A cut loses what is on its way after some point, in both directions; what had
 * arrived before counts, so a publish may be in the queue whose confirm is lost.
 */
#include "tests/simulation/simulated_broker.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "proto/errors.h"
#include "tests/simulation/bugs.h"
#include "tests/simulation/promises.h"

enum { CONNECTIONS_MAX = 2048, FD_BASE = 1000, PENDING_MAX = 1024, UNACKED_MAX = 64 };

typedef struct queued {
    struct queued *next, *before;
    broker_message_t message; /* all of it in the run's memory */
    int64_t order;            /* in its queue; kept when it is put back */
    bool redelivered, garbage, destroyed;
    int64_t record; /* of the ledger; -1: none of ours */
} queued_t;

typedef struct queue {
    const char *name;
    bool exists;
    queued_t *first, *last;
    int64_t orders;
    size_t count;
} queue_t;

typedef struct delivered {
    uint64_t tag;
    queued_t *message;
} delivered_t;

typedef struct confirm {
    uint64_t tag;
    bool refused;
} confirm_t;

/* What goes over the wire: a publish or an ack one way, a broker_event the other. */
typedef struct wire {
    struct wire *next;
    int64_t arrives_us;
    bool is_publish;
    uint64_t tag;
    bool multiple;
    broker_message_t message;
    broker_event_t event;
    queued_t *delivery;
} wire_t;

typedef struct wires {
    wire_t *first, *last;
} wires_t;

struct broker_connection {
    int index;
    task_t *task;
    bool client_open, server_open; /* what each end thinks */
    bool cut;                      /* nothing gets through any more */
    uint64_t published;            /* tags given */
    wires_t encoded;               /* not flushed yet */
    wires_t to_server, to_client;  /* by arrival */
    int64_t to_server_us, to_client_us;
    bool confirms, consumes, told_blocked, hears_blocked;
    unsigned prefetch;
    uint64_t delivery_tags;
    confirm_t pending[PENDING_MAX]; /* confirms not told yet, by tag */
    size_t pending_count;
    delivered_t unacked[UNACKED_MAX]; /* prefetch is less */
    size_t unacked_count;
    bool confirm_planned;
};

static struct {
    bool down, blocked;
    refusal_t refuse_user[PLAN_USERS_MAX], refuse_all;
    queue_t user, dead;
    broker_connection_t *connections[CONNECTIONS_MAX];
    int connection_count;
    int garbage;
} broker;

void broker_begin(void)
{
    memset(&broker, 0, sizeof(broker));
    broker.user.name = "user";
    broker.dead.name = "user.dead";
}

/* --- queues --------------------------------------------------------------------------------------- */

static void put(queue_t *queue, queued_t *message)
{
    queued_t *behind = queue->last; /* the one it goes behind */
    while (behind != NULL && behind->order > message->order)
        behind = behind->before;
    message->before = behind;
    message->next = behind != NULL ? behind->next : queue->first;
    if (message->next != NULL)
        message->next->before = message;
    else
        queue->last = message;
    if (behind != NULL)
        behind->next = message;
    else
        queue->first = message;
    queue->count++;
}

static queued_t *take(queue_t *queue)
{
    queued_t *message = queue->first;
    queue->first = message->next;
    if (queue->first != NULL)
        queue->first->before = NULL;
    else
        queue->last = NULL;
    queue->count--;
    return message;
}

static void copy_message(broker_message_t *out, const broker_message_t *from)
{
    *out = *from;
    text_t *const texts[] = {&out->exchange,       &out->routing_key, &out->content_type,
                             &out->app_id,         &out->message_id,  &out->type,
                             &out->correlation_id, &out->body};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = run_text(*texts[i]);
    broker_header_t *headers = run_alloc((from->header_count + 1) * sizeof(*headers));
    for (size_t i = 0; i < from->header_count; i++)
        headers[i] =
            (broker_header_t){run_text(from->headers[i].key), run_text(from->headers[i].value)};
    out->headers = headers;
}

/* --- wires ---------------------------------------------------------------------------------------- */

static void add_wire(wires_t *wires, wire_t *wire)
{
    if (wires->last != NULL)
        wires->last->next = wire;
    else
        wires->first = wire;
    wires->last = wire;
}

static wire_t *take_wire(wires_t *wires)
{
    wire_t *wire = wires->first;
    wires->first = wire->next;
    if (wires->first == NULL)
        wires->last = NULL;
    wire->next = NULL;
    return wire;
}

static void news(void *context, int64_t number)
{
    broker_connection_t *connection = context;
    (void)number;
    if (connection->client_open && connection->task != NULL)
        task_wake(connection->task);
}

static wire_t *say(broker_connection_t *to, broker_event_kind_t kind, uint64_t tag, bool multiple)
{
    wire_t *wire = run_alloc(sizeof(*wire));
    wire->event = (broker_event_t){.kind = kind, .tag = tag, .multiple = multiple};
    int64_t at_us = world.now_us + hop_us();
    to->to_client_us = at_us > to->to_client_us ? at_us : to->to_client_us;
    wire->arrives_us = to->to_client_us;
    if (to->cut)
        return wire;
    add_wire(&to->to_client, wire);
    world_after(wire->arrives_us - world.now_us, news, to, 0);
    return wire;
}

bool connection_has_news(int fd)
{
    int index = fd - FD_BASE;
    if (index < 0 || index >= broker.connection_count)
        return false;
    const broker_connection_t *connection = broker.connections[index];
    return connection->cut || (connection->to_client.first != NULL &&
                               connection->to_client.first->arrives_us <= world.now_us);
}

/* --- confirms -------------------------------------------------------------------------------------- */

static void remove_pending(broker_connection_t *connection, size_t first, size_t count)
{
    connection->pending_count -= count;
    memmove(&connection->pending[first], &connection->pending[first + count],
            (connection->pending_count - first) * sizeof(confirm_t));
}

/* How many from the first on are alike, so that one answer may tell of them all. */
static size_t alike(const broker_connection_t *connection)
{
    size_t count = 0;
    while (count < connection->pending_count &&
           connection->pending[count].refused == connection->pending[0].refused)
        count++;
    return count;
}

static void tell_confirms(void *context, int64_t number)
{
    broker_connection_t *connection = context;
    (void)number;
    connection->confirm_planned = false;
    while (connection->pending_count > 0 && !connection->cut) {
        size_t run = alike(connection);
        size_t i = 0;
        bool multiple = run > 1 && random_chance(&world.random, 50);
        if (multiple)
            i = (size_t)random_between(&world.random, 0, (int64_t)run - 1);
        else if (random_chance(&world.random, 50))
            i = (size_t)random_between(&world.random, 0, (int64_t)connection->pending_count - 1);
        confirm_t confirm = connection->pending[i];
        say(connection, confirm.refused ? BROKER_NACK : BROKER_ACK, confirm.tag, multiple);
        trace(confirm.refused ? "nack" : "confirm", "broker", (int64_t)confirm.tag, multiple);
        remove_pending(connection, multiple ? 0 : i, multiple ? i + 1 : 1);
        if (random_chance(&world.random, 30))
            break;
    }
    if (connection->pending_count == 0 || connection->cut)
        return;
    connection->confirm_planned = true;
    world_after(hop_us(), tell_confirms, connection, 0);
}

static void confirm_later(broker_connection_t *connection, uint64_t tag, bool refused)
{
    must(connection->pending_count < PENDING_MAX);
    connection->pending[connection->pending_count++] = (confirm_t){tag, refused};
    if (connection->confirm_planned)
        return;
    connection->confirm_planned = true;
    world_after(hop_us(), tell_confirms, connection, 0);
}

/* --- deliveries ------------------------------------------------------------------------------------- */

/* A single active consumer: the oldest that the broker believes in. */
static broker_connection_t *active_consumer(void)
{
    for (int i = 0; i < broker.connection_count; i++)
        if (broker.connections[i]->server_open && broker.connections[i]->consumes)
            return broker.connections[i];
    return NULL;
}

static void deliver(void)
{
    broker_connection_t *to = active_consumer();
    while (to != NULL && broker.user.count > 0 && to->unacked_count < to->prefetch) {
        queued_t *message = take(&broker.user);
        uint64_t tag = ++to->delivery_tags;
        wire_t *wire = say(to, BROKER_DELIVERY, tag, false);
        wire->event.redelivered = message->redelivered;
        wire->event.message = message->message;
        to->unacked[to->unacked_count++] = (delivered_t){tag, message};
        trace("deliver", "broker", message->record, message->redelivered);
    }
}

static void close_server(broker_connection_t *connection)
{
    if (!connection->server_open)
        return;
    connection->server_open = false;
    trace("connection gone", "broker", connection->index, (int64_t)connection->unacked_count);
    for (size_t i = 0; i < connection->unacked_count; i++) {
        connection->unacked[i].message->redelivered = true;
        if (!connection->unacked[i].message->destroyed)
            put(&broker.user, connection->unacked[i].message);
    }
    connection->unacked_count = 0;
    deliver();
}

static void acked(broker_connection_t *connection, uint64_t tag, bool multiple)
{
    size_t kept = 0, done = 0;
    for (size_t i = 0; i < connection->unacked_count; i++) {
        delivered_t delivery = connection->unacked[i];
        if (delivery.tag != tag && !(multiple && delivery.tag < tag)) {
            connection->unacked[kept++] = delivery;
            continue;
        }
        done++;
        trace("acked", "broker", delivery.message->record, (int64_t)delivery.tag);
        promise_acked(delivery.message->record, delivery.message->garbage,
                      delivery.message->message.message_id);
    }
    connection->unacked_count = kept;
    if (done == 0)
        breach("an ack names a delivery", "tag %" PRIu64 "%s on connection %d", tag,
               multiple ? " and before" : "", connection->index);
    deliver();
}

/* --- publishes --------------------------------------------------------------------------------------- */

static queue_t *route(const broker_message_t *message)
{
    bool dead = message->exchange.size == 0 && text_equal(message->routing_key, TEXT("user.dead"));
    queue_t *queue = dead ? &broker.dead : &broker.user;
    return queue->exists ? queue : NULL;
}

static refusal_t refusal_of(const queue_t *queue, int64_t record)
{
    if (queue == &broker.dead)
        return broker.refuse_all;
    unsigned user = promise_user_of(record);
    if (user < PLAN_USERS_MAX && broker.refuse_user[user] != REFUSAL_NONE)
        return broker.refuse_user[user];
    return broker.refuse_all;
}

static void published(broker_connection_t *connection, const wire_t *wire)
{
    queue_t *queue = route(&wire->message);
    int64_t record = promise_record_of(wire->message.message_id);
    refusal_t refusal = queue == NULL ? REFUSAL_RETURN : refusal_of(queue, record);
    if (refusal == REFUSAL_NONE) {
        queued_t *message = run_alloc(sizeof(*message));
        message->message = wire->message;
        message->order = ++queue->orders;
        message->record = record;
        put(queue, message);
        trace(queue == &broker.user ? "enqueued" : "dead letter", "broker", record,
              (int64_t)wire->tag);
        if (queue == &broker.user)
            promise_enqueued(record, &wire->message);
        else
            promise_dead_letter(record, wire->message.message_id);
    } else if (refusal == REFUSAL_RETURN) {
        wire_t *back = say(connection, BROKER_RETURN, 0, false);
        back->event.message = wire->message;
        back->event.reply_text = TEXT("NO_ROUTE");
        trace("returned", "broker", record, (int64_t)wire->tag);
    }
    if (connection->confirms)
        confirm_later(connection, wire->tag, refusal == REFUSAL_NACK);
    deliver();
}

/* What has arrived; a blocked publisher's is not read. */
static void serve(void *context, int64_t number)
{
    broker_connection_t *connection = context;
    (void)number;
    while (connection->server_open && connection->to_server.first != NULL &&
           connection->to_server.first->arrives_us <= world.now_us) {
        if (broker.blocked && connection->to_server.first->is_publish) {
            if (!connection->told_blocked)
                say(connection, BROKER_BLOCKED, 0, false)->event.reply_text = TEXT("memory");
            connection->told_blocked = true;
            return;
        }
        wire_t *wire = take_wire(&connection->to_server);
        if (wire->is_publish)
            published(connection, wire);
        else
            acked(connection, wire->tag, wire->multiple);
    }
}

/* --- faults ------------------------------------------------------------------------------------------ */

void broker_refuse_user(unsigned user, refusal_t refusal)
{
    broker.refuse_user[user] = refusal;
}

void broker_refuse_all(refusal_t refusal)
{
    broker.refuse_all = refusal;
}

static void notice(void *context, int64_t number)
{
    (void)number;
    close_server(context);
}

/* Some of what is on its way to the broker still arrives, from the front on. */
static void cut(broker_connection_t *connection, int64_t noticed_after_us)
{
    if (connection->cut || !connection->server_open)
        return;
    connection->cut = true;
    trace("cut", "network", connection->index, noticed_after_us);
    wire_t **at = &connection->to_server.first;
    connection->to_server.last = NULL;
    while (*at != NULL && random_chance(&world.random, 80)) {
        connection->to_server.last = *at;
        at = &(*at)->next;
    }
    *at = NULL;
    world_after(noticed_after_us, notice, connection, 0);
    news(connection, 0);
}

void broker_cut(int64_t which, int64_t noticed_after_us)
{
    broker_connection_t *open[CONNECTIONS_MAX];
    int64_t count = 0;
    for (int i = 0; i < broker.connection_count; i++)
        if (broker.connections[i]->server_open && !broker.connections[i]->cut)
            open[count++] = broker.connections[i];
    if (count > 0)
        cut(open[which % count], noticed_after_us);
}

void broker_go_down(void)
{
    broker.down = true;
    for (int i = 0; i < broker.connection_count; i++) {
        broker_connection_t *connection = broker.connections[i];
        cut(connection, 0);
        connection->to_server.first = connection->to_server.last = NULL;
        close_server(connection);
    }
}

void broker_come_up(void)
{
    broker.down = false;
}

void broker_block(bool blocked)
{
    broker.blocked = blocked;
    for (int i = 0; i < broker.connection_count && !blocked; i++) {
        broker_connection_t *connection = broker.connections[i];
        if (connection->server_open && connection->told_blocked)
            say(connection, BROKER_UNBLOCKED, 0, false);
        connection->told_blocked = false;
        serve(connection, 0);
    }
}

void broker_delete_queue(void)
{
    while (broker.user.count > 0) {
        const queued_t *message = take(&broker.user);
        promise_destroyed(message->record, message->garbage, message->message.message_id);
    }
    broker.user.exists = false;
    for (int i = 0; i < broker.connection_count; i++) {
        broker_connection_t *connection = broker.connections[i];
        if (!connection->server_open || !connection->consumes)
            continue;
        for (size_t j = 0; j < connection->unacked_count; j++) {
            queued_t *message = connection->unacked[j].message;
            message->destroyed = true;
            promise_destroyed(message->record, message->garbage, message->message.message_id);
        }
        connection->consumes = false;
        say(connection, BROKER_CANCELLED, 0, false);
    }
}

void broker_add_garbage(void)
{
    static const text_t bodies[] = {{"{", 1}, {"[]", 2}, {"{\"context\": 3}", 14}};
    char id[32];
    if (!broker.user.exists || broker.down)
        return;
    int number = broker.garbage++;
    snprintf(id, sizeof(id), "garbage-%d", number);
    queued_t *message = run_alloc(sizeof(*message));
    message->message = (broker_message_t){.routing_key = TEXT("user"),
                                          .message_id = run_text(text_of(id)),
                                          .body = bodies[number % 3]};
    message->order = ++broker.user.orders;
    message->record = -1;
    message->garbage = true;
    put(&broker.user, message);
    promise_garbage(number);
    deliver();
}

bool broker_is_quiet(void)
{
    for (int i = 0; i < broker.connection_count; i++) {
        const broker_connection_t *connection = broker.connections[i];
        if (connection->server_open &&
            (connection->unacked_count > 0 || connection->pending_count > 0 ||
             connection->to_server.first != NULL))
            return false;
    }
    return broker.user.count == 0;
}

/* --- broker_connection.h: the client's end ------------------------------------------------------------ */

/* What a dialer's thread does, when it ends. */
broker_connection_t *connection_make(task_t *task, unsigned prefetch)
{
    if (broker.down)
        return NULL;
    must(broker.connection_count < CONNECTIONS_MAX);
    broker_connection_t *self = run_alloc(sizeof(*self));
    self->index = broker.connection_count;
    self->task = task;
    self->client_open = self->server_open = self->confirms = true;
    broker.connections[broker.connection_count++] = self;
    trace("connected", task->name, self->index, 0);
    broker.user.exists = broker.dead.exists = true;
    self->consumes = prefetch > 0;
    self->prefetch = prefetch;
    must(prefetch < UNACKED_MAX);
    deliver();
    return self;
}

bool broker_mend(void)
{
    if (!broker.down)
        broker.user.exists = broker.dead.exists = true;
    return !broker.down;
}

static int lost(detail_t *detail)
{
    return detail_set(detail, ERR_BROKER_DOWN, "the connection is lost");
}

/* What was flushed is still read by the broker. */
static void hear_goodbye(void *context, int64_t number)
{
    broker_connection_t *connection = context;
    serve(connection, number);
    if (connection->to_server.first != NULL && connection->server_open)
        world_after(hop_us(), hear_goodbye, connection, 0);
    else
        close_server(connection);
}

void broker_close(broker_connection_t **self)
{
    broker_connection_t *connection = *self;
    if (connection == NULL)
        return;
    *self = NULL;
    connection->client_open = false;
    connection->task = NULL;
    if (!connection->cut)
        world_after(hop_us(), hear_goodbye, connection, 0);
}

void broker_close_within(broker_connection_t **self, int ms)
{
    (void)ms;
    broker_close(self);
}

void broker_abandon(broker_connection_t **self)
{
    broker_close(self);
}

int broker_fd(const broker_connection_t *self)
{
    return FD_BASE + self->index;
}

const char *broker_address(const broker_connection_t *self)
{
    (void)self;
    return "broker:5672";
}

short broker_poll_events(const broker_connection_t *self)
{
    (void)self;
    return POLLIN;
}

size_t broker_unsent(const broker_connection_t *self)
{
    (void)self;
    return 0;
}

bool broker_is_blocked(const broker_connection_t *self)
{
    return self->hears_blocked;
}

uint64_t broker_publish(broker_connection_t *self, const broker_message_t *message)
{
    wire_t *wire = run_alloc(sizeof(*wire));
    wire->is_publish = true;
    wire->tag = ++self->published;
    copy_message(&wire->message, message);
    add_wire(&self->encoded, wire);
    return wire->tag;
}

void broker_ack(broker_connection_t *self, uint64_t tag, bool multiple)
{
    wire_t *wire = run_alloc(sizeof(*wire));
    wire->tag = tag;
    wire->multiple = multiple;
    add_wire(&self->encoded, wire);
}

int broker_flush(broker_connection_t *self, detail_t *detail)
{
    if (self->encoded.first == NULL)
        return 0;
    if (step() || self->cut)
        return lost(detail);
    int64_t at_us = world.now_us + hop_us();
    self->to_server_us = at_us > self->to_server_us ? at_us : self->to_server_us;
    while (self->encoded.first != NULL) {
        wire_t *wire = take_wire(&self->encoded);
        wire->arrives_us = self->to_server_us;
        add_wire(&self->to_server, wire);
        if (wire->is_publish)
            trace("publish", world.running->name, promise_record_of(wire->message.message_id),
                  (int64_t)wire->tag);
    }
    world_after(self->to_server_us - world.now_us, serve, self, 0);
    return 0;
}

int broker_next(broker_connection_t *self, broker_event_t *out, detail_t *detail)
{
    if (step())
        return lost(detail);
    wire_t *wire = self->to_client.first;
    if (wire != NULL && wire->arrives_us <= world.now_us) {
        *out = take_wire(&self->to_client)->event;
        if (out->kind == BROKER_BLOCKED || out->kind == BROKER_UNBLOCKED)
            self->hears_blocked = out->kind == BROKER_BLOCKED;
        if (out->kind == BROKER_NACK && self->prefetch == 0 && bug_is(BUG_NACK_AS_ACK))
            out->kind = BROKER_ACK;
        return 1;
    }
    return self->cut ? lost(detail) : 0;
}
