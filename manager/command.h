/* SPDX-License-Identifier: Apache-2.0
 * command.h - the commands of the `userbus` binary: a table, a file per command.
 */
#ifndef USERBUS_MANAGER_COMMAND_H
#define USERBUS_MANAGER_COMMAND_H

#include <stdbool.h>

#include "pipeline/settings.h"

/* Flags of commands, beside the settings. */
enum { FLAG_JSON = 1, FLAG_WITH_WORKER = 2 };

/* What a command gets. Borrowed for the call. */
typedef struct command_context {
    const settings_t *settings;
    unsigned flags; /* those of FLAG_* that were given */
    int argc;       /* arguments behind the command's words and flags */
    char **argv;
} command_context_t;

typedef struct command {
    const char *words;    /* "runserver", "broker list_queues" */
    const char *operands; /* as shown in the usage: "<queue>", or "" */
    int operand_count;
    unsigned flags; /* FLAG_* that it takes */
    const char *summary;
    /* Returns the exit code of the process. */
    int (*run)(const command_context_t *context);
} command_t;

int runserver_command(const command_context_t *context);
int list_queues_command(const command_context_t *context);
int start_command(const command_context_t *context);
int check_command(const command_context_t *context);
int report_command(const command_context_t *context);

/* Prints "userbus: <detail>" on stderr and returns the exit code of the error. */
int command_fail(int error, const detail_t *detail);

#endif
