/* SPDX-License-Identifier: Apache-2.0
 * bridge_actor.c - the loop around one connection to the broker: mail in, publishes out, confirms in,
 * positions and credit out.
 *
 * The lanes say what may be in flight, the window knows what is, progress says what is confirmed; here
 * they meet the socket. Nothing here waits for the broker: the dialer opens connections in the background, and
 * what the socket does not take stays in the connection's buffer.
 */
#include "actors/bridge/bridge_actor.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/bridge/bridge_trouble.h"
#include "actors/bridge/confirm_window.h"
#include "actors/bridge/event_message.h"
#include "actors/bridge/lanes.h"
#include "actors/bridge/progress.h"
#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum {
    CREDIT_BATCH = 256, /* given back at once, or what there is with the positions */
    BURST_LEAST = 64,   /* publishes in one write, when there is more to do */
    BURST_MOST = 256,
    BURSTS_MIN = 4,         /* in a window */
    TURN_EVERY_MS = 1,      /* at most, so that what comes from both sides gathers */
    BUSY_TURN_EVERY_MS = 5, /* with BUSY_IN_FLIGHT events or more in flight */
    BUSY_IN_FLIGHT = 16,
    REPORT_EVERY_MS =
        20, /* positions and credit, while there are any; the store saves no more often */
    TELL_EVERY_MS = 1000, /* how it is */
    YIELD_EVERY_MS = 1000,
    COMPLAIN_EVERY_MS =
        1000,     /* about events that were not taken; then the topology is mended too */
    CUT_MS = 500, /* of the stop's deadline, kept for closing */
    SOURCE_SIZE = 256,
};

typedef enum bridge_state {
    BRIDGE_DOWN,       /* no connection; the dialer is after one */
    BRIDGE_PUBLISHING, /* connected */
    BRIDGE_BLOCKED,    /* connected, and the broker asks publishers to pause */
    BRIDGE_DRAINING,   /* stopping: nothing new goes out, confirms are awaited */
    BRIDGE_ENDED,
    BRIDGE_STATE_COUNT
} bridge_state_t;

/* As the store is told. */
static const char *const state_names[BRIDGE_STATE_COUNT] = {
    [BRIDGE_DOWN] = "down",       [BRIDGE_PUBLISHING] = "publishing",
    [BRIDGE_BLOCKED] = "blocked", [BRIDGE_DRAINING] = "draining",
    [BRIDGE_ENDED] = "ended",
};

typedef struct bridge {
    actor_self_t self;
    bridge_conf_t conf;
    char source[SOURCE_SIZE]; /* of CloudEvents */
    char connection_name[64];
    bridge_state_t state;

    broker_connection_t *broker; /* NULL: none */
    broker_dialer_t *dialer;
    int64_t deadline_ms; /* monotonic: of the stop */

    lanes_t lanes;
    progress_t progress;
    confirm_window_t window;
    size_t burst_least; /* publishes in one write, when there is more to do */
    uint64_t touched;   /* partitions that may have a position to report */

    sender_t *store;
    frame_t frame;
    frame_reader_t reader;
    int64_t attach_id;            /* of this life */
    bool is_for_us;               /* what is being read from the store, and not for a life before */
    int64_t credit, credit_bytes; /* of events done and not told yet */
    int64_t report_ms;            /* monotonic: when positions may be told next */

    size_t failures, returns; /* since the last complaint */
    char failure_reason[128];
    int return_code;     /* of the last return */
    int64_t complain_ms; /* monotonic: when to complain next */

    int64_t published, confirmed, returned, nacked; /* events, since the start */
    bool state_changed;                             /* and the store was not told */
    int64_t tell_ms;                                /* monotonic: when to tell it of counts next */
    int64_t yield_ms;                               /* monotonic: when a lane may yield next */
    int64_t turn_ms;                                /* monotonic: when the last turn began */

    bridge_trouble_t trouble;
} bridge_t;

static void set_state(bridge_t *self, bridge_state_t next, const char *reason)
{
    static const struct {
        const char *event;
        unsigned from; /* states it may follow, a bit each */
        log_level_t level;
    } moves[BRIDGE_STATE_COUNT] = {
        [BRIDGE_DOWN] = {"disconnected", 1 << BRIDGE_PUBLISHING | 1 << BRIDGE_BLOCKED, LOG_WARN},
        [BRIDGE_PUBLISHING] = {"publishing", 1 << BRIDGE_DOWN | 1 << BRIDGE_BLOCKED, LOG_INFO},
        [BRIDGE_BLOCKED] = {"blocked", 1 << BRIDGE_PUBLISHING, LOG_WARN},
        [BRIDGE_DRAINING] = {"draining",
                             1 << BRIDGE_DOWN | 1 << BRIDGE_PUBLISHING | 1 << BRIDGE_BLOCKED,
                             LOG_INFO},
        [BRIDGE_ENDED] = {"ended", 1 << BRIDGE_DRAINING, LOG_INFO},
    };
    must((moves[next].from >> self->state & 1) != 0);
    self->state = next;
    self->state_changed = true;
    log_event(moves[next].level, self->self.name, moves[next].event, LOG_STR("reason", reason),
              LOG_INT("held", (int64_t)self->lanes.events),
              LOG_INT("in_flight", (int64_t)self->lanes.in_flight));
}

/* --- the connection --------------------------------------------------------------------------- */

/* What was in flight goes again on the next connection. */
static void lose_connection(bridge_t *self, int error, const detail_t *detail)
{
    broker_close_within(&self->broker, BROKER_GOODBYE_MS);
    broker_dialer_lost(self->dialer, error);
    bridge_trouble_lost(&self->trouble, detail);
    lanes_requeue_all(&self->lanes);
    confirm_window_reset(&self->window);
    set_state(self, self->state == BRIDGE_DRAINING ? BRIDGE_ENDED : BRIDGE_DOWN, detail->text);
}

static void tell_trouble(const bridge_t *self)
{
    log_event(LOG_ERROR, self->self.name, "nothing_confirmed",
              LOG_STR("detail", self->trouble.why.text),
              LOG_INT("in_flight", (int64_t)self->lanes.in_flight));
}

static void connect_broker(bridge_t *self)
{
    detail_t detail = {{0}};
    int got = broker_dialer_turn(self->dialer, &self->broker, &detail);
    if (got == 1) {
        confirm_window_reset(&self->window);
        bridge_trouble_connected(&self->trouble);
        set_state(self, BRIDGE_PUBLISHING, detail.text);
    } else if (got < 0) {
        bridge_trouble_failed(&self->trouble, &detail);
        log_event(broker_error_needs_a_person(got) ? LOG_ERROR : LOG_WARN, self->self.name,
                  "connect_failed", LOG_STR("detail", detail.text),
                  LOG_INT("retry_ms", broker_dialer_due_ms(self->dialer) - clock_mono_ms()),
                  LOG_INT("held", (int64_t)self->lanes.events));
    }
}

static void report_mending(bridge_t *self)
{
    detail_t detail = {{0}};
    if (broker_dialer_mended(self->dialer, &detail) < 0)
        log_event(LOG_ERROR, self->self.name, "topology_not_mended",
                  LOG_STR("detail", detail.text));
}

/* --- outcomes --------------------------------------------------------------------------------- */

static void confirmed(bridge_t *self, outgoing_event_t *event)
{
    self->touched |= UINT64_C(1) << event->partition;
    self->credit++;
    self->credit_bytes += event->bytes;
    self->confirmed++;
    progress_confirmed(&self->progress, event);
    lanes_confirmed(&self->lanes, event);
    bridge_trouble_confirmed(&self->trouble);
    FAILPOINT("bridge.confirmed");
}

/* An event of a lane that left: the store keeps it, said before any position behind it. */
static void give_back(bridge_t *self, outgoing_event_t *event, const departure_t *how)
{
    const msg_event_parked_t message = {.bridge = self->conf.index,
                                        .attach_id = self->attach_id,
                                        .position = event->position,
                                        .counted = how->counted,
                                        .reason = how->reason};
    frame_add(&self->frame, MSG_event_parked, 0, &message);
    self->touched |= UINT64_C(1) << event->partition;
    self->credit++;
    self->credit_bytes += event->bytes;
    progress_confirmed(&self->progress, event);
    outgoing_event_free(&self->lanes.shelf, event);
}

/* When all it may hold waits for the broker to take it, one lane goes once in a while, so that others
 * come in. */
static void yield(bridge_t *self, int64_t now_ms)
{
    if ((int64_t)self->lanes.events < self->conf.credit || self->state != BRIDGE_PUBLISHING ||
        now_ms < self->yield_ms)
        return;
    if (lanes_yield(&self->lanes))
        self->yield_ms = now_ms + YIELD_EVERY_MS;
}

static void give_back_lanes(bridge_t *self, int64_t now_ms)
{
    departure_t how;
    outgoing_event_t *event;
    yield(self, now_ms);
    while ((event = lanes_take_left(&self->lanes, &how)) != NULL)
        give_back(self, event, &how);
}

static void failed(bridge_t *self, outgoing_event_t *event, bool returned)
{
    self->failures++;
    self->returns += returned;
    self->returned += returned;
    self->nacked += !returned;
    if (!returned)
        snprintf(self->failure_reason, sizeof(self->failure_reason), "refused by the broker");
    lanes_failed(&self->lanes, event, returned ? self->return_code : 0, clock_mono_ms(),
                 random_bits());
}

static void on_outcome(bridge_t *self, const broker_event_t *event)
{
    outgoing_event_t *done;
    bool returned = false;
    bridge_trouble_heard(&self->trouble, clock_mono_ms());
    while ((done = confirm_window_take(&self->window, event->tag, event->multiple, &returned)) !=
           NULL) {
        if (event->kind == BROKER_ACK && !returned)
            confirmed(self, done);
        else
            failed(self, done, returned);
    }
}

static void on_return(bridge_t *self, const broker_event_t *event)
{
    uint8_t id[UUID_BYTES];
    snprintf(self->failure_reason, sizeof(self->failure_reason), "%.*s",
             (int)event->reply_text.size, event->reply_text.data);
    self->return_code = event->reply_code;
    if (uuid_parse(id, event->message.message_id))
        confirm_window_returned(&self->window, id);
}

static void on_blocked(bridge_t *self, const broker_event_t *event)
{
    char reason[128];
    snprintf(reason, sizeof(reason), "%.*s", (int)event->reply_text.size, event->reply_text.data);
    if (self->state == BRIDGE_PUBLISHING)
        set_state(self, BRIDGE_BLOCKED, reason);
}

static void on_unblocked(bridge_t *self, const broker_event_t *event)
{
    (void)event;
    if (self->state == BRIDGE_BLOCKED)
        set_state(self, BRIDGE_PUBLISHING, "unblocked");
}

static void (*const broker_handlers[])(bridge_t *self, const broker_event_t *event) = {
    [BROKER_ACK] = on_outcome,         [BROKER_NACK] = on_outcome, [BROKER_RETURN] = on_return,
    [BROKER_DELIVERY] = NULL,          [BROKER_CANCELLED] = NULL,  [BROKER_BLOCKED] = on_blocked,
    [BROKER_UNBLOCKED] = on_unblocked,
};

/* A connection that is alive, and a queue that says neither yes nor no. Another broker may do better, and this one
 * gets another chance with each connection. False: the connection is given up. */
static bool judge_silence(bridge_t *self, int64_t now_ms)
{
    static const detail_t silent = {"nothing is confirmed"};
    if (confirm_window_empty(&self->window) || self->state != BRIDGE_PUBLISHING)
        bridge_trouble_heard(&self->trouble, now_ms);
    if (!bridge_trouble_is_silent(&self->trouble, now_ms, broker_address(self->broker)))
        return true;
    tell_trouble(self);
    lose_connection(self, ERR_BROKER_DOWN, &silent);
    return false;
}

/* False: the connection is lost. */
static bool read_broker(bridge_t *self)
{
    broker_event_t event;
    detail_t detail = {{0}};
    int got;
    while ((got = broker_next(self->broker, &event, &detail)) == 1)
        if (broker_handlers[event.kind] != NULL)
            broker_handlers[event.kind](self, &event);
    if (got == 0)
        return judge_silence(self, self->turn_ms);
    lose_connection(self, got, &detail);
    return false;
}

/* --- publishing ------------------------------------------------------------------------------- */

/* Encodes up to a burst; returns how many. */
static size_t fill_burst(bridge_t *self)
{
    outgoing_event_t *event;
    size_t room = confirm_window_room(&self->window);
    size_t most = room < BURST_MOST ? room : BURST_MOST;
    size_t count = 0;
    if (confirm_window_empty(&self->window))
        bridge_trouble_heard(&self->trouble, clock_mono_ms());
    while (count < most && (event = lanes_next(&self->lanes)) != NULL) {
        count++;
        if (FAILPOINT_ON("bridge.forget")) {
            confirmed(self, event);
            continue;
        }
        event_message_t made;
        event_message_make(&made, event, &self->conf, self->source);
        uint64_t tag = broker_publish(self->broker, &made.message);
        if (FAILPOINT_ON("bridge.confirm_early"))
            confirmed(self, event);
        else
            confirm_window_add(&self->window, tag, event);
    }
    self->published += (int64_t)count;
    return count;
}

/* A window that is nearly full waits for room for a whole burst, so that writes stay few; and a socket that
 * is full is given no more. */
static void publish(bridge_t *self)
{
    detail_t detail = {{0}};
    lanes_wake(&self->lanes, clock_mono_ms());
    while (broker_unsent(self->broker) == 0 &&
           confirm_window_room(&self->window) >= self->burst_least && fill_burst(self) > 0) {
        int error = broker_flush(self->broker, &detail);
        if (error != 0) {
            lose_connection(self, error, &detail);
            return;
        }
        FAILPOINT("bridge.published");
    }
}

/* Says what was not taken, at most once in a while, and looks after a queue that is gone. */
static void complain(bridge_t *self, int64_t now_ms)
{
    if (self->failures == 0 || now_ms < self->complain_ms)
        return;
    log_event(LOG_WARN, self->self.name, "parked", LOG_INT("events", (int64_t)self->failures),
              LOG_INT("returned", (int64_t)self->returns),
              LOG_INT("lanes", (int64_t)self->lanes.parked_count),
              LOG_STR("reason", self->failure_reason));
    if (self->returns > 0)
        broker_dialer_mend(self->dialer);
    if (bridge_trouble_refused(&self->trouble, now_ms, self->failure_reason, self->returns > 0))
        tell_trouble(self);
    self->failures = self->returns = 0;
    self->complain_ms = clock_mono_ms() + COMPLAIN_EVERY_MS;
}

/* --- the store -------------------------------------------------------------------------------- */

static void attach(bridge_t *self)
{
    self->attach_id = clock_mono_us(); /* one life ends before the next begins */
    const msg_bridge_attach_t message = {
        .bridge = self->conf.index, .attach_id = self->attach_id, .credit = self->conf.credit};
    frame_add(&self->frame, MSG_bridge_attach, 0, &message);
    sender_send(self->store, &self->frame);
}

static void add_positions(bridge_t *self)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        msg_confirmed_position_t message = {
            .partition = i, .bridge = self->conf.index, .attach_id = self->attach_id};
        if ((self->touched >> i & 1) != 0 && progress_take(&self->progress, i, &message.position))
            frame_add(&self->frame, MSG_confirmed_position, 0, &message);
    }
    self->touched = 0;
}

/* A change of state is told at once, what only counts once in a while. */
static void tell_state(bridge_t *self, int64_t now_ms)
{
    const msg_bridge_state_t message = {
        .bridge = self->conf.index,
        .state = text_of(state_names[self->state]),
        .broker = text_of(self->broker != NULL ? broker_address(self->broker) : ""),
        .blocked = self->state == BRIDGE_BLOCKED,
        .trouble = text_of(self->trouble.why.text),
        .held = (int64_t)self->lanes.events,
        .in_flight = (int64_t)self->lanes.in_flight,
        .lanes_parked = (int64_t)self->lanes.parked_count,
        .published = self->published,
        .confirmed = self->confirmed,
        .returned = self->returned,
        .nacked = self->nacked};
    if (!self->state_changed && !self->trouble.changed && now_ms < self->tell_ms)
        return;
    frame_add(&self->frame, MSG_bridge_state, 0, &message);
    self->state_changed = self->trouble.changed = false;
    self->tell_ms = now_ms + TELL_EVERY_MS;
}

static void report(bridge_t *self, int64_t now_ms, bool at_once)
{
    bool due = at_once || now_ms >= self->report_ms;
    if (self->credit > 0 && (due || self->credit >= CREDIT_BATCH)) {
        const msg_bridge_credit_t message = {self->conf.index, self->attach_id, self->credit,
                                             self->credit_bytes};
        frame_add(&self->frame, MSG_bridge_credit, 0, &message);
        self->credit = self->credit_bytes = 0;
    }
    if (self->touched != 0 && due) {
        add_positions(self);
        self->report_ms = now_ms + REPORT_EVERY_MS;
    }
    tell_state(self, now_ms);
    sender_send(self->store, &self->frame);
}

static void on_attached(void *state, const message_t *message)
{
    bridge_t *self = state;
    self->is_for_us = message->bridge_attached.attach_id == self->attach_id;
}

static void on_event(void *state, const message_t *message)
{
    bridge_t *self = state;
    if (!self->is_for_us)
        return;
    must((int64_t)self->lanes.events < self->conf.credit);
    outgoing_event_t *event = outgoing_event_new(&self->lanes.shelf, &message->event);
    progress_add(&self->progress, event);
    lanes_add(&self->lanes, event);
}

static void on_lane_closed(void *state, const message_t *message)
{
    bridge_t *self = state;
    if (self->is_for_us)
        lanes_close(&self->lanes, (const uint8_t *)message->lane_closed.user_id.data);
}

static void on_lane_open(void *state, const message_t *message)
{
    bridge_t *self = state;
    if (self->is_for_us)
        lanes_open(&self->lanes, (const uint8_t *)message->lane_open.user_id.data);
}

static void on_stop(void *state, const message_t *message)
{
    bridge_t *self = state;
    if (self->state == BRIDGE_DRAINING)
        return;
    self->deadline_ms = clock_mono_ms() + message->stop.deadline_ms - CUT_MS;
    set_state(self, BRIDGE_DRAINING, "stop");
}

static const message_handler_t handlers[MSG_count] = {
    [MSG_bridge_attached] = on_attached, [MSG_event] = on_event, [MSG_lane_closed] = on_lane_closed,
    [MSG_lane_open] = on_lane_open,      [MSG_stop] = on_stop,
};

/* --- the loop --------------------------------------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int wait_ms(const bridge_t *self, int64_t now_ms)
{
    int64_t until_ms = now_ms + BROKER_IDLE_MAX_MS;
    if (self->state == BRIDGE_DOWN)
        until_ms = sooner(until_ms, broker_dialer_due_ms(self->dialer));
    if (self->state == BRIDGE_PUBLISHING)
        until_ms = sooner(until_ms, self->lanes.next_wake_ms);
    if (self->state == BRIDGE_DRAINING)
        until_ms = sooner(until_ms, self->deadline_ms);
    if (self->credit > 0 || self->touched != 0)
        until_ms = sooner(until_ms, self->report_ms);
    if (self->state == BRIDGE_PUBLISHING && self->failures > 0)
        until_ms = sooner(until_ms, self->complain_ms);
    return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

static void end_when_drained(bridge_t *self, int64_t now_ms)
{
    if (self->state != BRIDGE_DRAINING)
        return;
    if (self->broker == NULL || confirm_window_empty(&self->window)) {
        set_state(self, BRIDGE_ENDED, "drained");
        return;
    }
    bool blocked = broker_is_blocked(self->broker);
    if (!blocked && now_ms < self->deadline_ms)
        return;
    broker_abandon(&self->broker); /* it does not answer, so a goodbye would only cost time */
    set_state(self, BRIDGE_ENDED,
              blocked ? "blocked; what is not confirmed goes again at the next start"
                      : "deadline; what is not confirmed goes again at the next start");
}

/* A turn costs a dozen system calls, and under load each commit and each confirm would begin one. What comes first after a
 * while finds the pause over. */
static void let_gather(bridge_t *self)
{
    bool busy = self->lanes.in_flight >= BUSY_IN_FLIGHT;
    int64_t early_ms =
        self->turn_ms + (busy ? BUSY_TURN_EVERY_MS : TURN_EVERY_MS) - clock_mono_ms();
    if (self->state == BRIDGE_PUBLISHING && early_ms > 0)
        mailbox_pause(self->self.mailbox, (int)early_ms);
}

static void await_anything(bridge_t *self)
{
    bool connected = self->broker != NULL;
    mailbox_wait(
        self->self.mailbox, connected ? broker_fd(self->broker) : broker_dialer_fd(self->dialer),
        connected ? broker_poll_events(self->broker) : POLLIN, wait_ms(self, clock_mono_ms()));
}

static void run_turn(bridge_t *self)
{
    int64_t now_ms = clock_mono_ms();
    self->turn_ms = now_ms;
    actor_read_mail(&self->self, &self->reader, handlers, self);
    if (self->state == BRIDGE_DOWN)
        connect_broker(self);
    report_mending(self);
    if (self->broker != NULL && read_broker(self) && self->state == BRIDGE_PUBLISHING) {
        publish(self);
        complain(self, now_ms);
    }
    give_back_lanes(self, now_ms);
    report(self, now_ms, false);
    end_when_drained(self, now_ms);
    if (self->state == BRIDGE_ENDED)
        return;
    let_gather(self);
    await_anything(self);
}

static int run_bridge(void *state, detail_t *detail)
{
    bridge_t *self = state;
    (void)detail;
    attach(self);
    while (self->state != BRIDGE_ENDED)
        run_turn(self);
    report(self, clock_mono_ms(), true);
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static void fini_bridge(void *state)
{
    bridge_t *self = state;
    broker_close_within(&self->broker, BROKER_GOODBYE_MS);
    broker_dialer_close(&self->dialer);
    lanes_fini(&self->lanes);
    sender_close(&self->store);
    frame_clear(&self->frame);
    frame_reader_fini(&self->reader);
    free(self);
}

static void set_bounds(bridge_t *self)
{
    bridge_conf_t *conf = &self->conf;
    conf->credit = conf->credit != 0 ? conf->credit : BRIDGE_CREDIT;
    conf->window = conf->window != 0 ? conf->window : BRIDGE_WINDOW;
    confirm_window_init(&self->window, conf->window);
    self->burst_least = (conf->window + BURSTS_MIN - 1) / BURSTS_MIN;
    if (self->burst_least > BURST_LEAST)
        self->burst_least = BURST_LEAST;
}

static int init_bridge(void **state, const actor_self_t *actor, const void *conf, detail_t *detail)
{
    bridge_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    (void)detail;
    self->self = *actor;
    self->conf = *(const bridge_conf_t *)conf;
    bridge_trouble_init(&self->trouble, self->conf.confirm_timeout_s);
    self->state = BRIDGE_DOWN;
    snprintf(self->source, sizeof(self->source), "/%s", self->conf.application_id);
    snprintf(self->connection_name, sizeof(self->connection_name), "userbus %s", actor->name);
    const broker_dialer_conf_t dialing = {.urls = self->conf.rabbit_mq_url,
                                          .name = self->connection_name,
                                          .heartbeat_s = self->conf.heartbeat_s,
                                          .topology = self->conf.topology};
    self->dialer = broker_dialer_open(&dialing);
    lanes_init(&self->lanes);
    set_bounds(self);
    self->store = sender_open(actor->room, "store");
    *state = self;
    return 0;
}

const actor_class_t bridge_actor = {.init = init_bridge, .run = run_bridge, .fini = fini_bridge};
