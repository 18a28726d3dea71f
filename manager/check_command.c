/* SPDX-License-Identifier: Apache-2.0
 * check_command.c - looks at everything the service needs, changes nothing, and says what to do. The
 * settings were checked before any command runs, so they are well when this is reached.
 */
#include <jansson.h>
#include <stdio.h>

#include "actors/consumer/inbox_database.h"
#include "actors/store/database.h"
#include "manager/commands.h"
#include "manager/output.h"
#include "manager/worker.h"
#include "pipeline/broker_connection.h"
#include "proto/errors.h"

enum { PLACE_SIZE = 300 };

/* Each gives 0 or an error, and in both cases a detail for a person; the broker's also what each broker said. */
typedef int (*check_fn_t)(const settings_t *settings, json_t *brokers, detail_t *detail);

static int check_settings(const settings_t *settings, json_t *brokers, detail_t *detail)
{
    (void)brokers;
    if (!broker_url_check(settings->rabbit_mq_url, detail))
        return ERR_BAD_SETTING;
    int error = worker_settings_check(settings, detail);
    if (error != 0)
        return error;
    return detail_set(detail, 0, "%zu handlers", settings->handler_count);
}

static int check_database(const settings_t *settings, json_t *brokers, detail_t *detail)
{
    (void)brokers;
    return database_probe(settings->database_url, detail);
}

static int check_consumer_database(const settings_t *settings, json_t *brokers, detail_t *detail)
{
    (void)brokers;
    return inbox_database_probe(settings->consumer_database_url, detail);
}

/* host:port, without the credentials. */
static void place_text(char *out, size_t size, const char *url)
{
    broker_place_t place;
    snprintf(out, size, "%s", "?");
    if (broker_place_parse(&place, url))
        snprintf(out, size, "%s:%d", place.host, place.port);
    broker_place_fini(&place);
}

/* 0 or an error; adds what it says to the list. */
static int ask_broker(json_t *brokers, const char *url, detail_t *detail)
{
    broker_connection_t *connection = NULL;
    char place[PLACE_SIZE];
    int error = broker_open(&connection, url, "userbus check", detail);
    broker_close(&connection);
    if (error == 0)
        (void)detail_set(detail, 0, "answers and accepts the credentials");
    place_text(place, sizeof(place), url);
    must(json_array_append_new(
             brokers, json_pack("{s:o, s:b, s:o}", "broker", text_json(text_of(place)), "ok",
                                error == 0, "detail", text_json(text_of(detail->text)))) == 0);
    return error;
}

/* Every broker of the list is asked, one after the other: the service needs one of them, and an operator wants to
 * know of a spare that would not take over. */
static int check_broker(const settings_t *settings, json_t *brokers, detail_t *detail)
{
    broker_urls_t list;
    size_t well = 0;
    int error = broker_urls_split(&list, settings->rabbit_mq_url, detail) ? 0 : ERR_BAD_SETTING;
    for (size_t i = 0; i < list.count && error != ERR_BAD_SETTING; i++) {
        error = ask_broker(brokers, list.texts[i], detail);
        well += error == 0;
    }
    if (list.count > 1 && error != ERR_BAD_SETTING)
        (void)detail_set(detail, 0, "%zu of %zu answer and accept the credentials", well,
                         list.count);
    broker_urls_fini(&list);
    return well > 0 ? 0 : error;
}

/* Declaring would create what is missing, so the queue is looked at first: only one that exists is
 * declared, which compares its arguments. */
static int check_topology(const settings_t *settings, json_t *brokers, detail_t *detail)
{
    (void)brokers;
    broker_connection_t *connection = NULL;
    uint32_t messages = 0, consumers = 0;
    const broker_topology_t topology = topology_of(settings, USER_QUEUE);
    int error = broker_open(&connection, settings->rabbit_mq_url, "userbus check", detail);
    if (error == 0 &&
        broker_queue_depth(connection, USER_QUEUE, &messages, &consumers, detail) != 0) {
        broker_close(&connection);
        return detail_set(detail, 0, "queue `%s` does not exist yet; runserver makes it",
                          USER_QUEUE);
    }
    if (error == 0)
        error = broker_declare(connection, &topology, detail);
    broker_close(&connection);
    if (error != 0)
        return error;
    return detail_set(detail, 0, "queue `%s` holds %u messages for %u consumers", USER_QUEUE,
                      messages, consumers);
}

static const struct {
    const char *name;
    check_fn_t run;
} checks[] = {
    {"settings", check_settings},
    {"database", check_database},
    {"consumer database", check_consumer_database},
    {"broker", check_broker},
    {"topology", check_topology},
};

enum { CHECK_COUNT = sizeof(checks) / sizeof(checks[0]) };

static void print_json(const int errors[CHECK_COUNT], const detail_t details[CHECK_COUNT],
                       json_t *brokers, bool well)
{
    json_t *list = json_array();
    must(list != NULL);
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        json_t *row = json_pack("{s:s, s:b, s:s}", "check", checks[i].name, "ok", errors[i] == 0,
                                "detail", details[i].text);
        must(row != NULL);
        if (checks[i].run == check_broker)
            must(json_object_set(row, "brokers", brokers) == 0);
        must(json_array_append_new(list, row) == 0);
    }
    print_json_line(json_pack("{s:b, s:o}", "ok", well, "checks", list));
}

/* One broker has said all in the row itself. */
static void print_brokers(const json_t *brokers)
{
    size_t i;
    json_t *broker;
    if (json_array_size(brokers) > 1)
        json_array_foreach(brokers, i, broker)
            printf("      %s %s: %s\n", json_is_true(json_object_get(broker, "ok")) ? "+" : "-",
                   json_string_value(json_object_get(broker, "broker")),
                   json_string_value(json_object_get(broker, "detail")));
}

static void print_text(const int errors[CHECK_COUNT], const detail_t details[CHECK_COUNT],
                       const json_t *brokers)
{
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        printf("%-5s %s: %s\n", errors[i] == 0 ? "ok" : "WRONG", checks[i].name, details[i].text);
        if (checks[i].run == check_broker)
            print_brokers(brokers);
    }
}

int check_command(const command_context_t *context)
{
    if (option_given(context, "--database"))
        return check_database_contents(context);
    int errors[CHECK_COUNT], first = 0;
    detail_t details[CHECK_COUNT] = {{{0}}};
    json_t *brokers = json_array();
    must(brokers != NULL);
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        errors[i] = checks[i].run(context->settings, brokers, &details[i]);
        first = first != 0 ? first : errors[i];
    }
    if (option_given(context, "--json"))
        print_json(errors, details, brokers, first == 0);
    else
        print_text(errors, details, brokers);
    json_decref(brokers);
    return first == 0 ? 0 : error_info(first)->exit_code;
}
