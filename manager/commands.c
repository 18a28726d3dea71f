/* SPDX-License-Identifier: Apache-2.0
 * commands.c - the table of the commands and their options.
 */
#include "manager/commands.h"

#include <string.h>

#include "proto/errors.h"

#define JSON_OPTION                                                                                \
    {                                                                                              \
        "--json", NULL, "print JSON instead of a text for people"                                  \
    }

static const option_t runserver_options[] = {
    {"--with-worker", NULL, "run the worker of the queue in the same process"}, {0}};

static const option_t json_options[] = {JSON_OPTION, {0}};

const command_t commands[] = {
    {"runserver", "", 0, runserver_options, "serve the REST API and publish every event",
     runserver_command},
    {"broker list_queues", "", 0, json_options, "print the queues of the handler table",
     list_queues_command},
    {"broker start", "<queue>", 1, json_options, "consume a queue and run its processors",
     start_command},
    {"report", "", 0, json_options, "print what the worker made of the events", report_command},
    {"check", "", 0, json_options,
     "tell what is wrong with settings, database, broker or topology, and what to do",
     check_command},
};

const size_t command_count = sizeof(commands) / sizeof(commands[0]);

int option_index(const command_t *command, const char *name, size_t size)
{
    for (int i = 0; command->options[i].name != NULL; i++)
        if (strlen(command->options[i].name) == size &&
            strncmp(command->options[i].name, name, size) == 0)
            return i;
    return -1;
}

const char *option_value(const command_context_t *context, const char *name)
{
    int index = option_index(context->command, name, strlen(name));
    must(index >= 0 && index < OPTIONS_MAX);
    return context->values[index];
}

bool option_given(const command_context_t *context, const char *name)
{
    return option_value(context, name) != NULL;
}
