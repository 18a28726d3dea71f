/* SPDX-License-Identifier: Apache-2.0
 * verify_command.c - `verify`: is every stored event confirmed by the broker and known to the worker?
 *
 * The log is walked once, in order, and each event is looked up in the inbox. One that is confirmed and not
 * seen may be in the queue still, or in a worker's hands: it is missing only when the queue is seen empty
 * after that, with nobody consuming it or empty for SETTLED_MS, and the inbox still does not know it.
 * Events that were parked may stand in the log twice or not at all: they are counted from what is known of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/commands.h"
#include "manager/event_range.h"
#include "manager/inbox_lookup.h"
#include "manager/operator_broker.h"
#include "manager/option_values.h"
#include "manager/output.h"
#include "manager/strays.h"
#include "manager/verification.h"
#include "manager/worker.h"
#include "pipeline/clock.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

enum {
    READ_AT_ONCE = 4096,
    SETTLED_MS = 3000, /* a worker holds a delivery no longer than a batch takes */
    LOOK_EVERY_US = 200000,
    WAIT_DEFAULT_S = 10,
    WAIT_MAX_S = 86400,
    IDS_SHOWN = 1000
};

typedef struct verify {
    const settings_t *settings;
    database_t *database;
    inbox_lookup_t *inbox;
    event_range_t range;
    strays_t strays;
    verification_t counts;
    queue_view_t queue;
    int64_t empty_since_ms; /* monotonic; -1: the queue was not empty */
    int64_t kept_since_us;  /* the inbox may have forgotten what is older */
    bool handled[EVENT_KIND_COUNT];
    int64_t first_after; /* position behind which the range begins */
    size_t read;
    bool at_end;
    int error; /* of the inbox */
} verify_t;

/* --- looking ---------------------------------------------------------------------------------- */

static event_place_t place_of_outcome(int outcome)
{
    static const event_place_t places[] = {[INBOX_PROCESSED] = PLACE_PROCESSED,
                                           [INBOX_WAITING] = PLACE_WAITING,
                                           [INBOX_DEAD] = PLACE_DEAD};
    return outcome >= 0 && outcome <= INBOX_DEAD ? places[outcome] : PLACE_UNSEEN;
}

/* Where one is that the broker has confirmed. */
static event_place_t place_behind(verify_t *self, const uint8_t id[ID_BYTES], int64_t kind,
                                  int64_t created_us)
{
    int outcome = -1;
    self->error = inbox_lookup(self->inbox, id, &outcome);
    event_place_t place = place_of_outcome(outcome);
    if (place != PLACE_UNSEEN)
        return place;
    if (!self->handled[kind])
        return PLACE_UNHANDLED;
    return created_us < self->kept_since_us ? PLACE_FORGOTTEN : PLACE_UNSEEN;
}

static event_place_t place_of(verify_t *self, const msg_event_t *event)
{
    if (!event_range_is_confirmed(&self->range, event))
        return PLACE_UNSENT;
    return place_behind(self, (const uint8_t *)event->id.data, event->kind, event->created_us);
}

/* One that was discarded may have come through before: then the worker knows it. */
static event_place_t place_of_stray(verify_t *self, const stray_row_t *row)
{
    if (row->fate == STRAY_PARKED)
        return PLACE_PARKED;
    if (row->fate == STRAY_AGAIN && row->position > self->range.positions.confirmed[row->partition])
        return PLACE_UNSENT;
    event_place_t place = place_behind(self, row->id, row->kind, row->created_us);
    bool is_known = place == PLACE_PROCESSED || place == PLACE_WAITING || place == PLACE_DEAD;
    return row->fate == STRAY_DISCARDED && !is_known ? PLACE_DISCARDED : place;
}

/* Whatever rows of the log are theirs. */
static void count_strays(verify_t *self)
{
    for (size_t i = 0; i < self->strays.count && self->error == 0; i++) {
        const stray_row_t *row = &self->strays.items[i].row;
        if (row->created_us >= self->range.from_us && row->created_us < self->range.to_us)
            verification_add(&self->counts, row->id, (event_kind_t)row->kind, row->created_us,
                             place_of_stray(self, row));
    }
}

static bool take_event(void *context, const msg_event_t *event)
{
    verify_t *self = context;
    if (event->position > self->range.last) {
        self->at_end = true;
        return false;
    }
    self->range.after = event->position;
    self->read++;
    if (event_range_holds(&self->range, event) &&
        strays_find(&self->strays, (const uint8_t *)event->id.data) == NULL)
        verification_add(&self->counts, (const uint8_t *)event->id.data, (event_kind_t)event->kind,
                         event->created_us, place_of(self, event));
    return self->error == 0 && self->read < READ_AT_ONCE;
}

/* In small parts, so that no read keeps the service's log from being moved into its database. */
static int walk_log(verify_t *self)
{
    int error = strays_load(&self->strays, self->database);
    if (error == 0)
        count_strays(self);
    while (error == 0 && self->error == 0 && !self->at_end) {
        self->read = 0;
        error =
            self->database->class->event_walk(self->database, self->range.after, take_event, self);
        self->at_end = self->at_end || self->read < READ_AT_ONCE;
    }
    return error != 0 ? error : self->error;
}

/* Those that the worker has seen meanwhile are suspects no more. */
static int look_again(verify_t *self)
{
    int outcome = -1;
    for (size_t i = self->counts.suspect_count; i-- > 0;) {
        int error = inbox_lookup(self->inbox, self->counts.suspects[i].id, &outcome);
        if (error != 0)
            return error;
        if (outcome >= 0)
            verification_clear(&self->counts, i, place_of_outcome(outcome));
    }
    return 0;
}

static void ask_queue(verify_t *self)
{
    broker_connection_t *broker = NULL;
    uint32_t messages = 0, consumers = 0;
    int error = operator_broker_open(&broker, self->settings, "userbus verify", NULL);
    if (error == 0)
        error = broker_queue_depth(broker, USER_QUEUE, &messages, &consumers, NULL);
    broker_close(&broker);
    int64_t now_ms = clock_mono_ms();
    if (error != 0 || messages > 0)
        self->empty_since_ms = -1;
    else if (self->empty_since_ms < 0)
        self->empty_since_ms = now_ms;
    self->queue = (queue_view_t){.answers = error == 0,
                                 .messages = messages,
                                 .consumers = consumers,
                                 .is_settled = self->empty_since_ms >= 0 &&
                                               now_ms - self->empty_since_ms >= SETTLED_MS};
}

/* The whole again, since what waited for the broker may be confirmed now; but no newer events. */
static int walk_again(verify_t *self)
{
    verification_fini(&self->counts);
    self->range.after = self->first_after;
    self->at_end = false;
    int error = self->database->class->positions_load(self->database, &self->range.positions);
    return error != 0 ? error : walk_log(self);
}

/* The queue is asked before the inbox is looked at again, so that what left it is found there. */
static int await_verdict(verify_t *self, int64_t wait_s, verdict_t *verdict, int64_t *missing)
{
    int64_t until_ms = clock_mono_ms() + wait_s * 1000;
    for (;;) {
        ask_queue(self);
        int error = look_again(self);
        *verdict = verification_verdict(&self->counts, &self->queue, missing);
        if (error != 0 || *verdict != VERDICT_ON_THE_WAY || clock_mono_ms() >= until_ms)
            return error;
        usleep(LOOK_EVERY_US);
        if (self->counts.totals[PLACE_UNSENT] + self->counts.totals[PLACE_PARKED] > 0)
            error = walk_again(self);
        if (error != 0)
            return error;
    }
}

/* --- telling ---------------------------------------------------------------------------------- */

static const struct {
    event_place_t place;
    const char *name;
} places[] = {
    {PLACE_UNSENT, "unsent"},       {PLACE_PARKED, "parked"},       {PLACE_DISCARDED, "discarded"},
    {PLACE_PROCESSED, "processed"}, {PLACE_WAITING, "waiting"},     {PLACE_DEAD, "dead"},
    {PLACE_UNHANDLED, "unhandled"}, {PLACE_FORGOTTEN, "forgotten"}, {PLACE_UNSEEN, "unseen"}};

enum { PLACE_ROWS = sizeof(places) / sizeof(places[0]), HOUR_WIDTH = 16 };

static int64_t sum_of(const int64_t counts[PLACE_COUNT])
{
    int64_t sum = 0;
    for (int i = 0; i < PLACE_COUNT; i++)
        sum += counts[i];
    return sum;
}

static int64_t confirmed_of(const int64_t counts[PLACE_COUNT])
{
    return sum_of(counts) - counts[PLACE_UNSENT] - counts[PLACE_PARKED] - counts[PLACE_DISCARDED];
}

static void print_row(const char *hour, const char *kind, const int64_t counts[PLACE_COUNT])
{
    printf("%-*s  %-11s  %10lld  %10lld", HOUR_WIDTH, hour, kind, (long long)sum_of(counts),
           (long long)confirmed_of(counts));
    for (size_t i = 1; i < PLACE_ROWS; i++)
        printf("  %9lld", (long long)counts[places[i].place]);
    putchar('\n');
}

static void print_table(const verify_t *self)
{
    char hour[TIME_TEXT_SIZE];
    printf("%-*s  %-11s  %10s  %10s", HOUR_WIDTH, "HOUR (UTC)", "TYPE", "STORED", "CONFIRMED");
    for (size_t i = 1; i < PLACE_ROWS; i++)
        printf("  %9s", places[i].name);
    putchar('\n');
    for (size_t i = 0; i < self->counts.hour_count; i++) {
        time_text(hour, self->counts.hours[i].hour_us);
        hour[HOUR_WIDTH] = '\0';
        for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
            if (sum_of(self->counts.hours[i].counts[kind]) > 0)
                print_row(hour, event_kind_name((event_kind_t)kind),
                          self->counts.hours[i].counts[kind]);
    }
    print_row("in all", "", self->counts.totals);
}

static json_t *counts_json(const int64_t counts[PLACE_COUNT])
{
    json_t *object = json_pack("{s:I, s:I}", "stored", (json_int_t)sum_of(counts), "confirmed",
                               (json_int_t)confirmed_of(counts));
    must(object != NULL);
    for (size_t i = 0; i < PLACE_ROWS; i++)
        must(json_object_set_new(object, places[i].name, json_integer(counts[places[i].place])) ==
             0);
    return object;
}

static json_t *hours_json(const verify_t *self)
{
    json_t *rows = json_array();
    must(rows != NULL);
    for (size_t i = 0; i < self->counts.hour_count; i++)
        for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
            const int64_t *counts = self->counts.hours[i].counts[kind];
            char hour[TIME_TEXT_SIZE];
            if (sum_of(counts) == 0)
                continue;
            time_text(hour, self->counts.hours[i].hour_us);
            json_t *row = counts_json(counts);
            must(json_object_set_new(row, "hour", json_string(hour)) == 0);
            must(json_object_set_new(row, "type",
                                     json_string(event_kind_name((event_kind_t)kind))) == 0);
            must(json_array_append_new(rows, row) == 0);
        }
    return rows;
}

static void print_json(const verify_t *self, verdict_t verdict, int64_t missing)
{
    static const char *const words[] = {"complete", "on the way", "missing", "missing"};
    json_t *ids = json_array();
    must(ids != NULL);
    for (size_t i = 0; verdict == VERDICT_MISSING && i < self->counts.suspect_count; i++) {
        char id[UUID_TEXT_SIZE];
        uuid_text(id, self->counts.suspects[i].id);
        must(json_array_append_new(ids, json_string(id)) == 0);
    }
    json_t *queue = self->queue.answers
                        ? json_pack("{s:I, s:I}", "messages", (json_int_t)self->queue.messages,
                                    "consumers", (json_int_t)self->queue.consumers)
                        : json_null();
    print_json_line(json_pack("{s:s, s:I, s:o, s:I, s:o, s:o, s:o}", "verdict", words[verdict],
                              "missing", (json_int_t)missing, "missing_ids", ids, "quarantined",
                              (json_int_t)self->strays.quarantined_events, "totals",
                              counts_json(self->counts.totals), "hours", hours_json(self), "queue",
                              queue));
}

static void print_missing(const verify_t *self)
{
    for (size_t i = 0; i < self->counts.suspect_count; i++) {
        char id[UUID_TEXT_SIZE], time[TIME_TEXT_SIZE];
        if (i == IDS_SHOWN) {
            printf("and %zu more; --json prints them\n", self->counts.suspect_count - i);
            return;
        }
        uuid_text(id, self->counts.suspects[i].id);
        time_text(time, self->counts.suspects[i].created_us);
        printf("missing %s  %s  %s\n", id, event_kind_name(self->counts.suspects[i].kind), time);
    }
}

static int conclude(const verify_t *self, verdict_t verdict, int64_t missing, detail_t *detail)
{
    if (verdict == VERDICT_COMPLETE)
        return 0;
    if (verdict == VERDICT_MISSING)
        return detail_set(
            detail, ERR_EVENTS_MISSING,
            "%lld events are stored and confirmed, and neither in the queue nor known "
            "to the worker; broker replay publishes them again",
            (long long)missing);
    if (verdict == VERDICT_SOME_MISSING)
        return detail_set(
            detail, ERR_EVENTS_MISSING,
            "at least %lld events are missing; which ones can be told when the queue is "
            "empty",
            (long long)missing);
    if (!self->queue.answers && self->counts.totals[PLACE_UNSEEN] > 0)
        return detail_set(detail, ERR_BROKER_DOWN,
                          "%lld events may be in the queue, which cannot be asked",
                          (long long)self->counts.totals[PLACE_UNSEEN]);
    const int64_t *totals = self->counts.totals;
    if (self->strays.quarantined_lanes > 0)
        return detail_set(detail, ERR_UNFINISHED,
                          "%lld events are parked, and %lld lanes with %lld of them are in "
                          "quarantine until broker lanes release or discard; %lld wait for the "
                          "broker, %lld are not seen by the worker yet",
                          (long long)totals[PLACE_PARKED],
                          (long long)self->strays.quarantined_lanes,
                          (long long)self->strays.quarantined_events,
                          (long long)totals[PLACE_UNSENT], (long long)totals[PLACE_UNSEEN]);
    return detail_set(
        detail, ERR_UNFINISHED,
        "%lld events wait for the broker, %lld are parked, %lld are confirmed and not seen by the "
        "worker yet; the queue holds %lld; --wait gives them time",
        (long long)totals[PLACE_UNSENT], (long long)totals[PLACE_PARKED],
        (long long)totals[PLACE_UNSEEN], (long long)self->queue.messages);
}

/* --- the command ------------------------------------------------------------------------------ */

static void note_handled(verify_t *self)
{
    for (size_t i = 0; i < self->settings->handler_count; i++) {
        int kind = event_kind_parse(text_of(self->settings->handlers[i].event));
        if (kind >= 0 && strcmp(self->settings->handlers[i].queue, USER_QUEUE) == 0)
            self->handled[kind] = true;
    }
}

static int prepare(verify_t *self, const command_context_t *context, int64_t *wait_s,
                   detail_t *detail)
{
    self->range.to_us = INT64_MAX;
    int error = option_time(context, "--from", &self->range.from_us, detail);
    if (error == 0)
        error = option_time(context, "--to", &self->range.to_us, detail);
    if (error == 0)
        error = option_number(context, "--wait", 0, WAIT_MAX_S, wait_s, detail);
    if (error == 0)
        error = database_open_readonly(&self->database, self->settings->database_url, detail);
    if (error == 0)
        error = inbox_lookup_open(&self->inbox, self->settings->consumer_database_url, detail);
    return error;
}

int verify_command(const command_context_t *context)
{
    detail_t detail = {{0}};
    int64_t wait_s = WAIT_DEFAULT_S, missing = 0;
    verdict_t verdict = VERDICT_COMPLETE;
    verify_t self = {.settings = context->settings, .empty_since_ms = -1};
    if (self.settings->inbox_retention > 0)
        self.kept_since_us = clock_wall_us() - self.settings->inbox_retention * 1000000;
    note_handled(&self);
    int error = prepare(&self, context, &wait_s, &detail);
    bool opened = error == 0;
    if (error == 0)
        error = event_range_find(&self.range, self.database);
    self.first_after = self.range.after;
    if (error == 0)
        error = walk_log(&self);
    if (error == 0)
        error = await_verdict(&self, wait_s, &verdict, &missing);
    if (opened && error != 0)
        detail_set(&detail, error, "the databases could not be read to their end; try again");
    if (error == 0) {
        if (option_given(context, "--json"))
            print_json(&self, verdict, missing);
        else
            print_table(&self);
        if (verdict == VERDICT_MISSING && !option_given(context, "--json"))
            print_missing(&self);
        error = conclude(&self, verdict, missing, &detail);
    }
    verification_fini(&self.counts);
    strays_fini(&self.strays);
    inbox_lookup_close(&self.inbox);
    database_close(&self.database);
    return error == 0 ? 0 : command_fail(error, &detail);
}
