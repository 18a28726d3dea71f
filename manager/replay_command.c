/* SPDX-License-Identifier: Apache-2.0
 * replay_command.c - `broker replay`: publishes events of the log again, for a broker that lost them or a
 * consumer that must see them again: the same ids, sequences, bodies and properties, in order per user.
 *
 * Works beside the service or without it: over a connection of its own, from a look at the database. Events
 * that the broker has not confirmed yet are left to the service, so nothing overtakes them. The first event
 * that the broker does not take ends it: what follows may depend on it.
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

    lanes_t lanes;
    confirm_window_t window;
    pace_t pace;
    bool counting;                                    /* a dry run */
    size_t read, meant, unsent, confirmed, in_flight; /* read: in this look at the log */
    bool at_end;
    int64_t heard_ms;
    char failed[UUID_TEXT_SIZE]; /* id of the event that was not taken; "": none */
} replay_t;

/* --- from the log ----------------------------------------------------------------------------- */

static bool take_event(void *context, const msg_event_t *event)
{
    replay_t *self = context;
    if (event->position > self->range.last) {
        self->at_end = true;
        return false;
    }
    self->range.after = event->position;
    self->read++;
    if (event_range_holds(&self->range, event) &&
        (!self->one_user || memcmp(self->user_id, event->user_id.data, ID_BYTES) == 0)) {
        if (!event_range_is_confirmed(&self->range, event)) {
            self->unsent++;
        } else {
            self->meant++;
            if (!self->counting)
                lanes_add(&self->lanes, outgoing_event_new(event));
        }
    }
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
        } else if (self->failed[0] == '\0') {
            uuid_text(self->failed, done->id);
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
    while (error == 0 && self->failed[0] == '\0' && !(self->at_end && self->lanes.events == 0)) {
        if (!self->at_end && self->lanes.events < READ_AT_ONCE)
            error = read_log(self);
        if (error != 0)
            return detail_set(detail, error, "the users' database could not be read to its end");
        error = turn(self, detail);
        if (clock_mono_ms() - shown_ms > 200) {
            print_progress("replayed", self->confirmed, self->meant);
            shown_ms = clock_mono_ms();
        }
    }
    end_progress();
    if (error == 0 && self->failed[0] != '\0')
        return detail_set(detail, ERR_UNFINISHED,
                          "the broker did not take event %s: it was refused, or its queue does not "
                          "exist; %zu events went before",
                          self->failed, self->confirmed);
    return error;
}

/* --- the command ------------------------------------------------------------------------------ */

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
    if (error == 0 && (error = event_range_find(&self->range, self->database)) != 0)
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
        print_json_line(json_pack("{s:I, s:I, s:I, s:b}", "meant", (json_int_t)self->meant,
                                  "replayed", (json_int_t)self->confirmed, "not_yet_sent",
                                  (json_int_t)self->unsent, "dry_run", self->counting));
    else if (self->counting)
        printf("%zu events would be replayed; nothing was sent\n", self->meant);
    else
        printf("%zu of %zu events replayed\n", self->confirmed, self->meant);
    if (!json && self->unsent > 0)
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
    confirm_window_reset(&self->window);
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
    free(self);
    return error == 0 ? 0 : command_fail(error, &detail);
}
