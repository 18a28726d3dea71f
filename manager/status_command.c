/* SPDX-License-Identifier: Apache-2.0
 * status_command.c - `broker status`: what the running service says of its outbox, bridges and lanes, and
 * what the broker itself says of the queues. Without the service, what its database tells.
 */
#include <stdio.h>
#include <unistd.h>

#include "actors/store/database.h"
#include "manager/commands.h"
#include "manager/operator_broker.h"
#include "manager/operator_client.h"
#include "manager/output.h"
#include "manager/worker.h"
#include "pipeline/clock.h"
#include "proto/errors.h"

/* --- what is asked ---------------------------------------------------------------------------- */

/* Adds a queue's depth and consumers, or null when there is none. */
static void ask_queue(json_t *queues, broker_connection_t *broker, const char *queue)
{
    uint32_t messages = 0, consumers = 0;
    int error = broker_queue_depth(broker, queue, &messages, &consumers, NULL);
    json_t *told = error != 0 ? json_null()
                              : json_pack("{s:I, s:I}", "messages", (json_int_t)messages,
                                          "consumers", (json_int_t)consumers);
    must(told != NULL && json_object_set_new(queues, queue, told) == 0);
}

/* A broker that is down is a finding, not a failure. */
static json_t *ask_broker(const settings_t *settings)
{
    broker_connection_t *broker = NULL;
    detail_t detail = {{0}};
    int error = operator_broker_open(&broker, settings, "userbus status", &detail);
    json_t *queues = json_object();
    must(queues != NULL);
    if (error == 0) {
        ask_queue(queues, broker, USER_QUEUE);
        ask_queue(queues, broker, USER_QUEUE ".dead");
    }
    broker_close(&broker);
    json_t *told =
        json_pack("{s:b, s:o, s:o}", "answers", error == 0, "detail",
                  error == 0 ? json_null() : text_json(text_of(detail.text)), "queues", queues);
    must(told != NULL);
    return told;
}

typedef struct backlog {
    saved_positions_t positions;
    int64_t events, bytes, oldest_us; /* oldest_us -1: none */
} backlog_t;

/* As the service counts them: beside the log, and of the outbox. */
static bool count_lane(void *context, const lane_row_t *lane)
{
    backlog_t *self = context;
    self->events += lane->events;
    self->bytes += lane->bytes;
    return true;
}

static bool count_event(void *context, const msg_event_t *event)
{
    backlog_t *self = context;
    if (event->position <= self->positions.confirmed[event->partition])
        return true;
    self->events++;
    self->bytes += (int64_t)event->body.size;
    if (self->oldest_us < 0 || event->created_us < self->oldest_us)
        self->oldest_us = event->created_us;
    return true;
}

/* What the database says while nobody serves it; null when it cannot be read. */
static json_t *ask_database(const settings_t *settings, detail_t *detail)
{
    database_t *database = NULL;
    backlog_t backlog = {.oldest_us = -1};
    int error = database_open_readonly(&database, settings->database_url, detail);
    if (error == 0)
        error = database->class->positions_load(database, &backlog.positions);
    if (error == 0)
        error = database->class->event_walk(database, backlog.positions.low, count_event, &backlog);
    if (error == 0)
        error = database->class->lane_walk(database, count_lane, &backlog);
    database_close(&database);
    if (error != 0)
        return NULL;
    int64_t age_us = clock_wall_us() - backlog.oldest_us;
    json_t *outbox = json_pack(
        "{s:{s:I, s:I, s:o}}", "outbox", "events", (json_int_t)backlog.events, "bytes",
        (json_int_t)backlog.bytes, "oldest_age_s",
        backlog.oldest_us < 0 ? json_null() : json_integer(age_us > 0 ? age_us / 1000000 : 0));
    must(outbox != NULL);
    return outbox;
}

/* --- what is shown ---------------------------------------------------------------------------- */

static long long number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *word(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value != NULL ? value : "";
}

static void print_outbox(const json_t *outbox)
{
    printf("outbox      %lld events, %lld bytes", number(outbox, "events"),
           number(outbox, "bytes"));
    if (json_is_integer(json_object_get(outbox, "oldest_age_s")))
        printf(", the oldest %lld s old", number(outbox, "oldest_age_s"));
    puts(json_is_true(json_object_get(outbox, "full")) ? ", FULL" : "");
}

static void print_bridges(const json_t *bridges)
{
    for (size_t i = 0; i < json_array_size(bridges); i++) {
        const json_t *bridge = json_array_get(bridges, i);
        printf("bridge.%-4lld %s%s%s%s, %lld waiting, %lld in flight, %lld lanes parked; published "
               "%lld, confirmed %lld, returned %lld, refused %lld\n",
               number(bridge, "bridge"), word(bridge, "state"),
               word(bridge, "broker")[0] != '\0' ? " to " : "", word(bridge, "broker"),
               json_is_true(json_object_get(bridge, "blocked")) ? ", BLOCKED by the broker" : "",
               number(bridge, "waiting"), number(bridge, "in_flight"),
               number(bridge, "lanes_parked"), number(bridge, "published"),
               number(bridge, "confirmed"), number(bridge, "returned"), number(bridge, "nacked"));
        if (word(bridge, "trouble")[0] != '\0')
            printf("            TROUBLE: %s\n", word(bridge, "trouble"));
    }
}

static void print_broker(const json_t *broker)
{
    const char *name;
    json_t *queue;
    if (!json_is_true(json_object_get(broker, "answers")))
        printf("broker      does not answer: %s\n", word(broker, "detail"));
    json_object_foreach(json_object_get(broker, "queues"), name, queue)
    {
        if (json_is_null(queue))
            printf("queue       %s does not exist\n", name);
        else
            printf("queue       %s: %lld messages, %lld consumers\n", name,
                   number(queue, "messages"), number(queue, "consumers"));
    }
}

static void print_status(const json_t *status)
{
    const json_t *lanes = json_object_get(status, "lanes");
    print_outbox(json_object_get(status, "outbox"));
    print_bridges(json_object_get(status, "bridges"));
    if (lanes != NULL)
        printf("lanes       %lld are tried again, %lld in quarantine; %lld events in them\n",
               number(lanes, "retrying"), number(lanes, "quarantined"), number(lanes, "events"));
    print_broker(json_object_get(status, "broker"));
}

/* One look. *error: why the service did not answer. */
static int look(const command_context_t *context, detail_t *detail)
{
    const settings_t *settings = context->settings;
    json_t *status = NULL;
    detail_t ignored;
    int error = operator_ask(&status, settings, "/status", NULL, detail);
    bool running = error == 0;
    if (!running && (status = ask_database(settings, &ignored)) == NULL)
        status = json_object();
    must(status != NULL && json_object_set_new(status, "running", json_boolean(running)) == 0);
    must(json_object_set_new(status, "broker", ask_broker(settings)) == 0);
    if (option_given(context, "--json")) {
        print_json_line(status);
        return error;
    }
    if (!running && json_object_get(status, "outbox") != NULL)
        puts("The service does not answer. Its database says:");
    print_status(status);
    json_decref(status);
    return error;
}

int status_command(const command_context_t *context)
{
    detail_t detail = {{0}};
    bool in_place = isatty(STDOUT_FILENO) && !option_given(context, "--json");
    if (!option_given(context, "--watch")) {
        int error = look(context, &detail);
        return error == 0 ? 0 : command_fail(error, &detail);
    }
    for (;;) { /* until it is interrupted */
        if (in_place)
            fputs("\033[H\033[2J", stdout);
        if (look(context, &detail) != 0 && in_place)
            puts(detail.text);
        if (fflush(stdout) != 0)
            return 0;
        sleep(1);
    }
}
