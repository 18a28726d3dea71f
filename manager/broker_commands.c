/* SPDX-License-Identifier: Apache-2.0
 * broker_commands.c - `broker list_queues` and `broker start`, with the words of the original.
 */
#include <stdio.h>
#include <string.h>

#include "manager/commands.h"
#include "manager/worker.h"
#include "pipeline/supervisor.h"
#include "proto/errors.h"
#include "proto/text_buffer.h"

static bool named_before(const settings_t *settings, size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (strcmp(settings->handlers[i].queue, settings->handlers[row].queue) == 0)
            return true;
    return false;
}

static void print_json(const settings_t *settings)
{
    text_buffer_t line = {0};
    text_add(&line, TEXT("{\"queues\": ["));
    for (size_t i = 0; i < settings->handler_count; i++) {
        if (named_before(settings, i))
            continue;
        text_add(&line, i > 0 ? TEXT(", ") : TEXT(""));
        text_add_json_string(&line, text_of(settings->handlers[i].queue));
    }
    text_add(&line, TEXT("]}"));
    printf("%.*s\n", (int)line.size, line.data);
    text_buffer_fini(&line);
}

int list_queues_command(const command_context_t *context)
{
    const settings_t *settings = context->settings;
    if (option_given(context, "--json")) {
        print_json(settings);
        return 0;
    }
    for (size_t i = 0; i < settings->handler_count; i++)
        if (!named_before(settings, i))
            printf("Queue name : `%s`\n", settings->handlers[i].queue);
    return 0;
}

static void announce(const char *queue, bool json)
{
    text_buffer_t line = {0};
    if (json) {
        text_add(&line, TEXT("{\"queue\": "));
        text_add_json_string(&line, text_of(queue));
        text_add(&line, TEXT(", \"state\": \"consuming\"}"));
        printf("%.*s\n", (int)line.size, line.data);
    } else {
        printf("Start consuming message on the queue `%s`\n", queue);
    }
    fflush(stdout); /* it runs for long, and whoever reads a pipe wants to know now */
    text_buffer_fini(&line);
}

int start_command(const command_context_t *context)
{
    const settings_t *settings = context->settings;
    const char *queue = context->argv[0];
    detail_t detail = {{0}};
    if (!queue_is_handled(settings, queue)) {
        detail_set(&detail, ERR_USAGE,
                   "no handler names the queue '%s'; userbus broker list_queues lists them", queue);
        return command_fail(ERR_USAGE, &detail);
    }
    if (!broker_url_check(settings->rabbit_mq_url, &detail))
        return command_fail(ERR_BAD_SETTING, &detail);
    const consumer_conf_t conf = consumer_conf_of(settings, queue);
    const supervised_t actors[] = {{"consumer", &consumer_actor, &conf, 0, FAILURE_RESTARTS}};
    supervisor_t *supervisor = NULL;
    int error = supervisor_start(&supervisor, actors, 1, &detail);
    if (error == 0) {
        announce(queue, option_given(context, "--json"));
        error = supervisor_run(supervisor, (int)settings->stop_timeout, &detail);
    }
    supervisor_close(&supervisor);
    return error == 0 ? 0 : command_fail(error, &detail);
}
