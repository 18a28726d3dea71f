/* SPDX-License-Identifier: Apache-2.0
 * main.c - finds the command, sorts its arguments into operands, flags and settings, and runs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "manager/command.h"
#include "manager/usage.h"
#include "pipeline/log.h"
#include "proto/errors.h"

extern char **environ;

static const command_t commands[] = {
    {"runserver", "", 0, FLAG_WITH_WORKER, "serve the REST API and publish every event",
     runserver_command},
    {"broker list_queues", "", 0, FLAG_JSON, "print the queues of the handler table",
     list_queues_command},
    {"broker start", "<queue>", 1, FLAG_JSON, "consume a queue and run its processors",
     start_command},
    {"report", "", 0, FLAG_JSON, "print what the worker made of the events", report_command},
    {"check", "", 0, FLAG_JSON,
     "tell what is wrong with settings, database, broker or topology, and what to do",
     check_command},
};

static const struct {
    const char *name;
    unsigned flag;
} flag_names[] = {{"--json", FLAG_JSON}, {"--with-worker", FLAG_WITH_WORKER}};

/* The arguments, sorted. The arrays point into argv. */
typedef struct sorted {
    char **operands, **settings;
    int operand_count, setting_count;
    unsigned flags;
    bool help;
} sorted_t;

/* How many of argv's first words are the command's; 0: it is another command. */
static int words_matched(const char *words, int argc, char **argv)
{
    int matched = 0;
    while (*words != '\0') {
        size_t size = strcspn(words, " ");
        if (matched == argc || strlen(argv[matched]) != size ||
            strncmp(argv[matched], words, size) != 0)
            return 0;
        matched++;
        words += size + (words[size] == ' ');
    }
    return matched;
}

static const command_t *find_command(int argc, char **argv, int *words)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        *words = words_matched(commands[i].words, argc, argv);
        if (*words > 0)
            return &commands[i];
    }
    return NULL;
}

static unsigned flag_of(const char *argument)
{
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
        if (strcmp(argument, flag_names[i].name) == 0)
            return flag_names[i].flag;
    return 0;
}

static void sort_arguments(sorted_t *out, int argc, char **argv)
{
    *out = (sorted_t){.operands = calloc((size_t)argc + 1, sizeof(char *)),
                      .settings = calloc((size_t)argc + 1, sizeof(char *))};
    must(out->operands != NULL && out->settings != NULL);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            out->help = true;
        } else if (flag_of(argv[i]) != 0) {
            out->flags |= flag_of(argv[i]);
        } else if (strncmp(argv[i], "--", 2) == 0) {
            bool has_value = strchr(argv[i], '=') != NULL;
            out->settings[out->setting_count++] = argv[i];
            if (!has_value && i + 1 < argc)
                out->settings[out->setting_count++] = argv[++i];
        } else {
            out->operands[out->operand_count++] = argv[i];
        }
    }
}

static int check_arguments(const command_t *command, const sorted_t *sorted, detail_t *detail)
{
    if ((sorted->flags & ~command->flags) != 0)
        return detail_set(detail, ERR_USAGE,
                          "%s does not take that flag; userbus %s --help lists its own",
                          command->words, command->words);
    if (sorted->operand_count < command->operand_count)
        return detail_set(detail, ERR_USAGE, "%s needs %s", command->words, command->operands);
    if (sorted->operand_count > command->operand_count)
        return detail_set(detail, ERR_USAGE, "%s does not take '%s'", command->words,
                          sorted->operands[command->operand_count]);
    return 0;
}

/* --log-level's choices stand in the order of log_level_t. */
static log_level_t log_level_of(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    int level = LOG_DEBUG;
    while (level < LOG_ERROR && strcmp(names[level], name) != 0)
        level++;
    return (log_level_t)level;
}

static int run(const command_t *command, const sorted_t *sorted)
{
    detail_t detail = {{0}};
    settings_t settings;
    int error = check_arguments(command, sorted, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    error = settings_load(&settings, sorted->setting_count, sorted->settings, environ, &detail);
    int code = 0;
    if (error != 0) {
        code = command_fail(error, &detail);
    } else {
        log_set_level(log_level_of(settings.log_level));
        const command_context_t context = {&settings, sorted->flags, sorted->operand_count,
                                           sorted->operands};
        code = command->run(&context);
    }
    settings_fini(&settings);
    return code;
}

int main(int argc, char **argv)
{
    int words = 0;
    umask(077); /* what is kept about people is for the service's own user */
    const command_t *command = find_command(argc - 1, argv + 1, &words);
    sorted_t sorted;
    sort_arguments(&sorted, argc - 1 - words, argv + 1 + words);
    int code = 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("userbus %s\n", USERBUS_VERSION);
    } else if (sorted.help) {
        usage_print(stdout, commands, sizeof(commands) / sizeof(commands[0]), command);
    } else if (command == NULL) {
        usage_print(stderr, commands, sizeof(commands) / sizeof(commands[0]), NULL);
        code = error_info(ERR_USAGE)->exit_code;
    } else {
        code = run(command, &sorted);
    }
    free(sorted.operands);
    free(sorted.settings);
    if (fflush(stdout) != 0)
        code = code != 0 ? code : error_info(ERR_INTERNAL)->exit_code;
    return code;
}
