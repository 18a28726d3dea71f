/* SPDX-License-Identifier: Apache-2.0
 * command.h - the commands of the `userbus` binary: a table (commands.c), a file per command.
 */
#ifndef USERBUS_MANAGER_COMMAND_H
#define USERBUS_MANAGER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/settings.h"

/* What a command takes beside the settings. */
typedef struct option {
    const char *name;  /* "--from" */
    const char *value; /* as the usage shows it: "TIME"; NULL: it takes none */
    const char *doc;
} option_t;

enum { OPTIONS_MAX = 16 }; /* of one command */

typedef struct command command_t;

/* What a command gets. Borrowed for the call. */
typedef struct command_context {
    const command_t *command;
    const settings_t *settings;
    const char
        *values[OPTIONS_MAX]; /* beside the command's options; NULL: not given, "": it takes none */
    int argc;                 /* arguments behind the command's words and options */
    char **argv;
} command_context_t;

struct command {
    const char *words;    /* "runserver", "broker list_queues" */
    const char *operands; /* as shown in the usage: "<queue>", or "" */
    int operand_count;
    const option_t *options; /* the last one has no name */
    const char *summary;
    /* Returns the exit code of the process. */
    int (*run)(const command_context_t *context);
};

extern const command_t commands[];
extern const size_t command_count;

/* The index of the command's option of that name (not terminated: `size` bytes), or -1. */
int option_index(const command_t *command, const char *name, size_t size);

/* The name is one of the command's own. */
bool option_given(const command_context_t *context, const char *name);

/* NULL: not given. */
const char *option_value(const command_context_t *context, const char *name);

/* Prints "userbus: <detail>" on stderr and returns the exit code of the error. */
int command_fail(int error, const detail_t *detail);

#endif
