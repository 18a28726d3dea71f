/* SPDX-License-Identifier: Apache-2.0
 * main.c - finds the command, sorts its arguments into operands, options and settings, and runs it.
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

/* The arguments, sorted. The arrays point into argv. */
typedef struct sorted {
    char **operands, **settings;
    int operand_count, setting_count;
    const char *values[OPTIONS_MAX]; /* of the command's options */
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
    for (size_t i = 0; i < command_count; i++) {
        *words = words_matched(commands[i].words, argc, argv);
        if (*words > 0)
            return &commands[i];
    }
    return NULL;
}

/* The name of an argument like "--name=value" or "--name". */
static size_t name_size(const char *argument)
{
    return strcspn(argument, "=");
}

static bool is_setting(const char *argument)
{
    char flag[SETTING_NAME_SIZE];
    size_t size = name_size(argument);
    for (size_t i = 0; i < setting_row_count; i++) {
        setting_flag_name(flag, setting_rows[i].key);
        if (strlen(flag) == size && strncmp(flag, argument, size) == 0)
            return true;
    }
    return size == strlen("--config") && strncmp(argument, "--config", size) == 0;
}

/* Takes the option at argv[*at], and its value from behind it. */
static int take_option(const option_t *option, const char **value, int argc, char **argv, int *at,
                       detail_t *detail)
{
    const char *equals = strchr(argv[*at], '=');
    if (option->value == NULL && equals != NULL)
        return detail_set(detail, ERR_USAGE, "%s takes no value", option->name);
    if (option->value == NULL)
        *value = "";
    else if (equals != NULL)
        *value = equals + 1;
    else if (*at + 1 < argc)
        *value = argv[++*at];
    else
        return detail_set(detail, ERR_USAGE, "%s needs a value: %s", option->name, option->value);
    return 0;
}

static void take_setting(sorted_t *out, int argc, char **argv, int *at)
{
    bool has_value = strchr(argv[*at], '=') != NULL;
    out->settings[out->setting_count++] = argv[*at];
    if (!has_value && *at + 1 < argc)
        out->settings[out->setting_count++] = argv[++*at];
}

/* *out is filled as far as it goes also on an error, ERR_USAGE. */
static int sort_arguments(sorted_t *out, const command_t *command, int argc, char **argv,
                          detail_t *detail)
{
    *out = (sorted_t){.operands = calloc((size_t)argc + 1, sizeof(char *)),
                      .settings = calloc((size_t)argc + 1, sizeof(char *))};
    must(out->operands != NULL && out->settings != NULL);
    int error = 0;
    for (int i = 0; i < argc; i++) {
        int option = command != NULL ? option_index(command, argv[i], name_size(argv[i])) : -1;
        int wrong = 0;
        if (strcmp(argv[i], "--help") == 0)
            out->help = true;
        else if (option >= 0)
            wrong = take_option(&command->options[option], &out->values[option], argc, argv, &i,
                                error == 0 ? detail : NULL);
        else if (strncmp(argv[i], "--", 2) != 0)
            out->operands[out->operand_count++] = argv[i];
        else if (is_setting(argv[i]))
            take_setting(out, argc, argv, &i);
        else if (command != NULL)
            wrong = detail_set(error == 0 ? detail : NULL, ERR_USAGE,
                               "%s has no option %.*s; userbus %s --help lists its own",
                               command->words, (int)name_size(argv[i]), argv[i], command->words);
        error = error != 0 ? error : wrong;
    }
    return error;
}

static int check_operands(const command_t *command, const sorted_t *sorted, detail_t *detail)
{
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
    int error = check_operands(command, sorted, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    error = settings_load(&settings, sorted->setting_count, sorted->settings, environ, &detail);
    int code = 0;
    if (error != 0) {
        code = command_fail(error, &detail);
    } else {
        log_set_level(log_level_of(settings.log_level));
        command_context_t context = {.command = command,
                                     .settings = &settings,
                                     .argc = sorted->operand_count,
                                     .argv = sorted->operands};
        memcpy(context.values, sorted->values, sizeof(context.values));
        code = command->run(&context);
    }
    settings_fini(&settings);
    return code;
}

int main(int argc, char **argv)
{
    int words = 0, code = 0;
    umask(077); /* what is kept about people is for the service's own user */
    const command_t *command = find_command(argc - 1, argv + 1, &words);
    detail_t detail = {{0}};
    sorted_t sorted;
    int error = sort_arguments(&sorted, command, argc - 1 - words, argv + 1 + words, &detail);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("userbus %s\n", USERBUS_VERSION);
    } else if (sorted.help) {
        usage_print(stdout, command);
    } else if (command == NULL) {
        usage_print(stderr, NULL);
        code = error_info(ERR_USAGE)->exit_code;
    } else {
        code = error != 0 ? command_fail(error, &detail) : run(command, &sorted);
    }
    free(sorted.operands);
    free(sorted.settings);
    if (fflush(stdout) != 0)
        code = code != 0 ? code : error_info(ERR_INTERNAL)->exit_code;
    return code;
}
