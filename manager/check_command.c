/* SPDX-License-Identifier: Apache-2.0
 * check_command.c - looks at everything the service needs, changes nothing, and says what to do. The
 * settings were checked before any command runs, so they are well when this is reached.
 */
#include <jansson.h>
#include <stdio.h>

#include "actors/consumer/inbox_database.h"
#include "actors/store/database.h"
#include "manager/commands.h"
#include "manager/worker.h"
#include "pipeline/broker_connection.h"
#include "proto/errors.h"

/* Each gives 0 or an error, and in both cases a detail for a person. */
typedef int (*check_fn_t)(const settings_t *settings, detail_t *detail);

static int check_settings(const settings_t *settings, detail_t *detail)
{
    if (!broker_url_check(settings->rabbit_mq_url, detail))
        return ERR_BAD_SETTING;
    int error = worker_settings_check(settings, detail);
    if (error != 0)
        return error;
    return detail_set(detail, 0, "%zu handlers", settings->handler_count);
}

static int check_database(const settings_t *settings, detail_t *detail)
{
    return database_probe(settings->database_url, detail);
}

static int check_consumer_database(const settings_t *settings, detail_t *detail)
{
    return inbox_database_probe(settings->consumer_database_url, detail);
}

static int check_broker(const settings_t *settings, detail_t *detail)
{
    broker_connection_t *connection = NULL;
    int error = broker_open(&connection, settings->rabbit_mq_url, "userbus check", detail);
    broker_close(&connection);
    return error == 0 ? detail_set(detail, 0, "answers and accepts the credentials") : error;
}

/* Declaring would create what is missing, so the queue is looked at first: only one that exists is
 * declared, which compares its arguments. */
static int check_topology(const settings_t *settings, detail_t *detail)
{
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
                       bool well)
{
    json_t *list = json_array();
    must(list != NULL);
    for (size_t i = 0; i < CHECK_COUNT; i++)
        must(json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "check", checks[i].name, "ok",
                                                   errors[i] == 0, "detail", details[i].text)) ==
             0);
    json_t *report = json_pack("{s:b, s:o}", "ok", well, "checks", list);
    must(report != NULL);
    must(json_dumpf(report, stdout, 0) == 0);
    putchar('\n');
    json_decref(report);
}

int check_command(const command_context_t *context)
{
    if (option_given(context, "--database"))
        return check_database_contents(context);
    int errors[CHECK_COUNT], first = 0;
    detail_t details[CHECK_COUNT] = {{{0}}};
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        errors[i] = checks[i].run(context->settings, &details[i]);
        first = first != 0 ? first : errors[i];
    }
    if (option_given(context, "--json"))
        print_json(errors, details, first == 0);
    else
        for (size_t i = 0; i < CHECK_COUNT; i++)
            printf("%-5s %s: %s\n", errors[i] == 0 ? "ok" : "WRONG", checks[i].name,
                   details[i].text);
    return first == 0 ? 0 : error_info(first)->exit_code;
}
