/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/usage.h"

enum { OPTIONS_IN_LINE = 4 };

static void print_command(FILE *to, const command_t *command)
{
    size_t count = 0;
    while (command->options[count].name != NULL)
        count++;
    fprintf(to, "  userbus %s%s%s%s", command->words, command->operands[0] != '\0' ? " " : "",
            command->operands, count > OPTIONS_IN_LINE ? " [OPTION…]" : "");
    for (const option_t *option = command->options;
         count <= OPTIONS_IN_LINE && option->name != NULL; option++)
        fprintf(to, " [%s%s%s]", option->name, option->value != NULL ? " " : "",
                option->value != NULL ? option->value : "");
    fprintf(to, "\n      %s\n", command->summary);
}

static void print_options(FILE *to, const command_t *command)
{
    if (command->options[0].name != NULL)
        fprintf(to, "\nOptions:\n");
    for (const option_t *option = command->options; option->name != NULL; option++)
        fprintf(to, "  %s%s%s\n      %s\n", option->name, option->value != NULL ? " " : "",
                option->value != NULL ? option->value : "", option->doc);
}

static void print_setting(FILE *to, const setting_row_t *row)
{
    char flag[SETTING_NAME_SIZE], name[SETTING_NAME_SIZE];
    setting_flag_name(flag, row->key);
    setting_environment_name(name, row->key);
    fprintf(to, "  %s (%s), default '%s'\n      %s", flag, name, row->fallback, row->doc);
    if (row->secret)
        fprintf(to, "; %s_FILE names a file that holds it", name);
    if (row->type == SETTING_NUMBER)
        fprintf(to, "; %lld..%lld %s", (long long)row->lo, (long long)row->hi, row->unit);
    if (row->type == SETTING_CHOICE || row->type == SETTING_SWITCH)
        fprintf(to, "; one of %s", row->choices);
    fputc('\n', to);
}

void usage_print(FILE *to, const command_t *command)
{
    fprintf(to,
            "userbus saves users and tells everyone: each request becomes an event in RabbitMQ.\n\n"
            "Usage:\n");
    for (size_t i = 0; i < command_count; i++)
        if (command == NULL || command == &commands[i])
            print_command(to, &commands[i]);
    fprintf(to, "  userbus --version\n");
    if (command != NULL)
        print_options(to, command);
    fprintf(to, "\nSettings, each as a flag, an environment variable or a key of the YAML file\n"
                "(--config FILE or USERBUS_CONFIG); flags win over the environment, that over the "
                "file:\n\n");
    for (size_t i = 0; i < setting_row_count; i++)
        print_setting(to, &setting_rows[i]);
    fprintf(to,
            "\nExit codes: 0 done, 64 usage or unknown queue, 69 broker unavailable, 70 internal,\n"
            "75 temporary (try again), 78 configuration.\n");
}
