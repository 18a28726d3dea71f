/* SPDX-License-Identifier: Apache-2.0
 * replay_command.c - `broker replay`: publishes events of the log again, for a broker that lost them or a
 * consumer that must see them again: the same ids, sequences, bodies and properties, in order per user.
 *
 * Works beside the service or without it: over a connection of its own, from a look at the database. Events
 * that the broker has not confirmed yet are left to the service, so nothing overtakes them, and so are users
 * whose lane is parked. An event that the broker does not take ends the replay of its user alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/bridge/confirm_window.h"
#include "actors/bridge/event_message.h"
#include "actors/bridge/lanes.h"
#include "actors/http/target.h"
#include "manager/commands.h"
#include "manager/event_range.h"
#include "manager/operator_broker.h"
#include "manager/option_values.h"
#include "manager/output.h"
#include "manager/pace.h"
#include "manager/strays.h"
#include "manager/worker.h"
#include "pipeline/clock.h"
#include "proto/errors.h"

enum { READ_AT_ONCE = 1024, BURST = 64, RATE_MAX = 1000000, SOURCE_SIZE = 256 };

typedef struct replay {
    const settings_t *settings;
    database_t *database;
    broker_connection_t *broker;
    event_range_t range;
    bool one_user;
    uint8_t user_id[ID_BYTES];
    bridge_conf_t bridge; /* what the messages are made by */
    char source[SOURCE_SIZE];

    strays_t strays;
    lanes_t lanes; /* a closed one is that of a user whose event was not taken */
    confirm_window_t window;
    pace_t pace;
    bool counting;                                    /* a dry run */
    size_t read, meant, unsent, confirmed, in_flight; /* read: in this look at the log */
    size_t skipped, discarded, failed;                /* failed: with its user's later ones */
    bool at_end;
    int64_t heard_ms;
    char first_failed[UUID_TEXT_SIZE]; /* id of the first event that was not taken; "": none */
} replay_t;

/* --- from the log ----------------------------------------------------------------------------- */

static bool is_meant(const replay_t *self, const msg_event_t *event)
{
    return event_range_holds(&self->range, event) &&
           (!self->one_user || memcmp(self->user_id, event->user_id.data, ID_BYTES) == 0);
}

/* The log may have an event twice that was parked: its first row is the one that is in order. */
static bool is_counted(stray_t *stray)
{
    bool before = stray != NULL && stray->is_counted;
    if (stray != NULL)
        stray->is_counted = true;
    return before;
}

static void take_meant(replay_t *self, const msg_event_t *event)
{
    stray_t *stray = strays_find(&self->strays, (const uint8_t *)event->id.data);
    bool again = stray != NULL && stray->row.fate == STRAY_AGAIN;
    int64_t last = again ? stray->row.position : event->position;
    if (is_counted(stray))
        return;
    if (stray != NULL && stray->row.fate == STRAY_DISCARDED)
        self->discarded++;
    else if (strays_has_user(&self->strays, (const uint8_t *)event->user_id.data) ||
             (stray != NULL && stray->row.fate == STRAY_PARKED))
        self->skipped++;
    else if (last > self->range.positions.confirmed[event->partition])
        self->unsent++;
    else {
        self->meant++;
        if (!self->counting)
            lanes_add(&self->lanes, outgoing_event_new(&self->lanes.shelf, event));
    }
}

static bool take_event(void *context, const msg_event_t *event)
{
    replay_t *self = context;
    if (event->position > self->range.last) {
        self->at_end = true;
        return false;
    }
    self->range.after = event->position;
    self->read++;
    if (is_meant(self, event))
        take_meant(self, event);
    return self->counting || self->read < READ_AT_ONCE;
}

/* In small parts, so that no read keeps the service's log from being moved into its database. */
static int read_log(replay_t *self)
{
    self->read = 0;
    int error =
        self->database->class->event_walk(self->database, self->range.after, take_event, self);
    self->at_end = self->at_end || self->read == 0 || self->range.after >= self->range.last;
    return error;
}

/* --- to the broker ---------------------------------------------------------------------------- */

/* Its lane is closed, so that what follows of the user is given back. */
static void on_failure(replay_t *self, outgoing_event_t *event)
{
    uint8_t user_id[ID_BYTES];
    memcpy(user_id, event->user_id, ID_BYTES);
    if (self->first_failed[0] == '\0')
        uuid_text(self->first_failed, event->id);
    lanes_failed(&self->lanes, event, 0, clock_mono_ms(), 0);
    lanes_close(&self->lanes, user_id);
}

static void count_failed(replay_t *self)
{
    outgoing_event_t *event;
    departure_t how;
    while ((event = lanes_take_left(&self->lanes, &how)) != NULL) {
        self->failed++;
        outgoing_event_free(&self->lanes.shelf, event);
    }
}

static void on_outcome(replay_t *self, const broker_event_t *event)
{
    outgoing_event_t *done;
    bool returned = false;
    while ((done = confirm_window_take(&self->window, event->tag, event->multiple, &returned)) !=
           NULL) {
        self->in_flight--;
        if (event->kind == BROKER_ACK && !returned) {
            self->confirmed++;
            lanes_confirmed(&self->lanes, done);
        } else {
            on_failure(self, done);
        }
    }
}

static int read_broker(replay_t *self, detail_t *detail)
{
    broker_event_t event;
    uint8_t id[UUID_BYTES];
    int got;
    while ((got = broker_next(self->broker, &event, detail)) == 1) {
        self->heard_ms = clock_mono_ms();
        if (event.kind == BROKER_ACK || event.kind == BROKER_NACK)
            on_outcome(self, &event);
        else if (event.kind == BROKER_RETURN && uuid_parse(id, event.message.message_id))
            confirm_window_returned(&self->window, id);
    }
    return got;
}

static void publish(replay_t *self, outgoing_event_t *event)
{
    event_message_t made;
    broker_header_t headers[EVENT_HEADERS_MAX + 1];
    char replayed_at[TIME_TEXT_SIZE];
    event_message_make(&made, event, &self->bridge, self->source);
    time_text(replayed_at, clock_wall_us());
    memcpy(headers, made.headers, made.message.header_count * sizeof(headers[0]));
    headers[made.message.header_count++] =
        (broker_header_t){TEXT("userbus_replayed_at"), text_of(replayed_at)};
    made.message.headers = headers;
    confirm_window_add(&self->window, broker_publish(self->broker, &made.message), event);
    self->in_flight++;
    self->pace.sent++;
}

/* *wait_ms: until something more may go. */
static void publish_some(replay_t *self, int *wait_ms)
{
    outgoing_event_t *event;
    *wait_ms = BROKER_IDLE_MAX_MS;
    if (broker_is_blocked(self->broker) || broker_unsent(self->broker) > 0)
        return;
    for (int i = 0; i < BURST && confirm_window_room(&self->window) > 0; i++) {
        int pause_ms = pace_wait_ms(&self->pace, clock_mono_ms());
        if (pause_ms > 0) {
            *wait_ms = pause_ms;
            return;
        }
        if ((event = lanes_next(&self->lanes)) == NULL)
            return;
        if (self->in_flight == 0)
            self->heard_ms = clock_mono_ms();
        publish(self, event);
    }
    *wait_ms = confirm_window_room(&self->window) > 0 ? 0 : BROKER_IDLE_MAX_MS;
}

static int turn(replay_t *self, detail_t *detail)
{
    int wait_ms = 0;
    publish_some(self, &wait_ms);
    int error = operator_broker_wait(self->broker, wait_ms, detail);
    if (error == 0)
        error = read_broker(self, detail);
    if (error == 0 && self->in_flight > 0 && !broker_is_blocked(self->broker) &&
        clock_mono_ms() - self->heard_ms > OPERATOR_STALL_MS)
        return detail_set(detail, ERR_BROKER_DOWN, "the broker confirms nothing any more");
    return error;
}

static int replay_all(replay_t *self, detail_t *detail)
{
    int error = 0;
    int64_t shown_ms = 0;
    while (error == 0 && !(self->at_end && self->lanes.events == 0)) {
        if (!self->at_end && self->lanes.events < READ_AT_ONCE)
            error = read_log(self);
        if (error != 0)
            return detail_set(detail, error, "the users' database could not be read to its end");
        error = turn(self, detail);
        count_failed(self);
        if (clock_mono_ms() - shown_ms > 200) {
            print_progress("replayed", self->confirmed, self->meant);
            shown_ms = clock_mono_ms();
        }
    }
    end_progress();
    if (error == 0 && self->failed > 0)
        return detail_set(detail, ERR_UNFINISHED,
                          "the broker did not take event %s: it was refused, or its queue does not "
                          "exist; %zu such events, and later ones of their users, did not go",
                          self->first_failed, self->failed);
    if (error == 0 && self->skipped > 0)
        return detail_set(
            detail, ERR_UNFINISHED,
            "%zu events of users whose lane is parked were skipped; replay again when "
            "broker lanes list is empty",
            self->skipped);
    return error;
}

/* --- the command ------------------------------------------------------------------------------ */

/* Those that came back to the log stand behind what is of their time. */
static int find_strays(replay_t *self)
{
    int error = strays_load(&self->strays, self->database);
    for (size_t i = 0; i < self->strays.count; i++) {
        const stray_row_t *row = &self->strays.items[i].row;
        if (row->fate == STRAY_AGAIN && row->position > self->range.last &&
            row->created_us >= self->range.from_us && row->created_us < self->range.to_us)
            self->range.last = row->position;
    }
    return error;
}

static int find_user(replay_t *self, const char *name, detail_t *detail)
{
    user_key_t key;
    user_t user = {0};
    if (name == NULL)
        return 0;
    if (user_key_parse(&key, text_of(name), detail) != 0)
        return detail_set(detail, ERR_USAGE, "--user: '%.64s' is neither an id nor an email", name);
    self->one_user = true;
    memcpy(self->user_id, key.id, ID_BYTES);
    if (key.id_size == ID_BYTES)
        return 0;
    int error = self->database->class->user_by_email(
        self->database, (text_t){key.email_key, key.email_key_size}, &user);
    memcpy(self->user_id, user.id, ID_BYTES);
    return error == ERR_USER_NOT_FOUND
               ? detail_set(detail, ERR_USAGE, "--user: nobody has the email '%.64s' now", name)
               : error;
}

static int prepare(replay_t *self, const command_context_t *context, detail_t *detail)
{
    int error = option_time(context, "--from", &self->range.from_us, detail);
    if (error == 0)
        error = option_time(context, "--to", &self->range.to_us, detail);
    if (error == 0)
        error = option_number(context, "--rate", 1, RATE_MAX, &self->pace.per_second, detail);
    if (error == 0 && (!option_given(context, "--from") || !option_given(context, "--to")))
        error = detail_set(detail, ERR_USAGE, "broker replay needs --from TIME and --to TIME");
    if (error == 0)
        error = database_open_readonly(&self->database, self->settings->database_url, detail);
    if (error == 0)
        error = find_user(self, option_value(context, "--user"), detail);
    if (error != 0)
        return error;
    error = event_range_find(&self->range, self->database);
    if (error == 0)
        error = find_strays(self);
    if (error != 0)
        detail_set(detail, error, "the users' database could not be read");
    return error;
}

static int connect_broker(replay_t *self, detail_t *detail)
{
    uint32_t messages = 0, consumers = 0;
    int error = operator_broker_open(&self->broker, self->settings, "userbus replay", detail);
    if (error == 0)
        error = broker_queue_depth(self->broker, USER_QUEUE, &messages, &consumers, detail);
    if (error == 0)
        error = broker_confirm_select(self->broker, detail);
    return error;
}

static void print_outcome(const replay_t *self, bool json)
{
    if (json)
        print_json_line(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "meant", (json_int_t)self->meant, "replayed",
            (json_int_t)self->confirmed, "failed", (json_int_t)self->failed, "skipped",
            (json_int_t)self->skipped, "discarded", (json_int_t)self->discarded, "not_yet_sent",
            (json_int_t)self->unsent, "dry_run", self->counting));
    else if (self->counting)
        printf("%zu events would be replayed; nothing was sent\n", self->meant);
    else
        printf("%zu of %zu events replayed\n", self->confirmed, self->meant);
    if (json)
        return;
    if (self->failed > 0)
        printf("%zu events failed: not taken, or behind one of their user that was not\n",
               self->failed);
    if (self->skipped > 0)
        printf("%zu events skipped: their users' lanes are parked\n", self->skipped);
    if (self->discarded > 0)
        printf("%zu events were discarded, and stay so\n", self->discarded);
    if (self->unsent > 0)
        printf("%zu events were not sent for the first time yet and are left to the service\n",
               self->unsent);
}

int replay_command(const command_context_t *context)
{
    detail_t detail = {{0}};
    replay_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->settings = context->settings;
    self->counting = option_given(context, "--dry-run");
    self->pace.start_ms = clock_mono_ms();
    self->bridge =
        (bridge_conf_t){.topology = topology_of(self->settings, USER_QUEUE),
                        .application_id = self->settings->application_id,
                        .full_headers = strcmp(self->settings->event_headers, "full") == 0};
    snprintf(self->source, sizeof(self->source), "/%s", self->settings->application_id);
    lanes_init(&self->lanes);
    confirm_window_init(&self->window, CONFIRM_WINDOW_MAX);
    int error = prepare(self, context, &detail);
    if (error == 0 && !self->counting)
        error = connect_broker(self, &detail);
    if (error == 0) {
        error = self->counting ? read_log(self) : replay_all(self, &detail);
        print_outcome(self, option_given(context, "--json"));
    }
    broker_close(&self->broker);
    database_close(&self->database);
    lanes_fini(&self->lanes);
    strays_fini(&self->strays);
    free(self);
    return error == 0 ? 0 : command_fail(error, &detail);
}
