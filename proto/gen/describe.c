/* SPDX-License-Identifier: Apache-2.0
 * describe.c - prints MESSAGES.md or SETTINGS.md from the tables: `userbus_describe messages`.
 */
#include <stdio.h>
#include <string.h>

#include "pipeline/settings.h"
#include "proto/message.h"

static const char *const field_types[] = {
    [FIELD_STR] = "text", [FIELD_BIN] = "bytes", [FIELD_INT] = "number"};

static void print_bounds(const field_info_t *field)
{
    const char *unit = field->type == FIELD_INT ? "" : " bytes";
    if (field->hi == INT64_MAX)
        printf("from %lld%s", (long long)field->lo, unit);
    else if (field->lo == field->hi)
        printf("%lld%s", (long long)field->lo, unit);
    else
        printf("%lld..%lld%s", (long long)field->lo, (long long)field->hi, unit);
}

static void print_messages(void)
{
    printf(
        "# Messages between actors\n\n"
        "Generated from `proto/messages.def` by `scripts/docs`; do not edit.\n\n"
        "A message is one flat msgpack array: `[type, corr, field, ...]`, where `type` is the "
        "number "
        "below and\n`corr` the sender's own mark, which a reply returns. A frame holds one or more "
        "messages back to back.\n");
    for (int type = 0; type < MSG_count; type++) {
        const message_info_t *info = &message_infos[type];
        printf("\n## %d `%s`\n\n%s: %s\n\n| field | type | bounds | meaning |\n|---|---|---|---|\n",
               type, info->name, info->route, info->doc);
        for (size_t i = 0; i < info->field_count; i++) {
            printf("| `%s` | %s | ", info->fields[i].name, field_types[info->fields[i].type]);
            print_bounds(&info->fields[i]);
            printf(" | %s |\n", info->fields[i].doc);
        }
    }
}

/* A bar would end the table's cell. */
static void print_choices(const char *choices)
{
    printf("`");
    for (const char *at = choices; *at != '\0'; at++) {
        if (*at == '|')
            printf("`, `");
        else
            putchar(*at);
    }
    printf("`");
}

static void print_settings(void)
{
    printf("# Settings\n\n"
           "Generated from `proto/settings.def` by `scripts/docs`; do not edit.\n\n"
           "Weakest first: default, YAML file (`--config FILE` or `USERBUS_CONFIG`), environment, "
           "flag. An "
           "unknown key,\na value out of range and a file that cannot be read are errors (exit "
           "code 78). A "
           "secret can be read from a\nfile that `KEY_FILE` in the environment names.\n\n"
           "| YAML key | environment | flag | default | allowed | meaning "
           "|\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < setting_row_count; i++) {
        const setting_row_t *row = &setting_rows[i];
        char name[SETTING_NAME_SIZE], flag[SETTING_NAME_SIZE];
        setting_environment_name(name, row->key);
        setting_flag_name(flag, row->key);
        printf("| `%s` | `%s` | `%s` | %s%s%s | ", row->key, name, flag,
               row->fallback[0] != '\0' ? "`" : "",
               row->fallback[0] != '\0' ? row->fallback : "empty",
               row->fallback[0] != '\0' ? "`" : "");
        if (row->type == SETTING_NUMBER)
            printf("%lld..%lld %s", (long long)row->lo, (long long)row->hi, row->unit);
        else if (row->type == SETTING_TEXT)
            printf("%lld..%lld bytes%s", (long long)row->lo, (long long)row->hi,
                   row->secret ? ", secret" : "");
        else
            print_choices(row->choices);
        printf(" | %s |\n", row->doc);
    }
    printf("\n`handlers` in the YAML file replaces the handler table: a list of mappings with "
           "`label`, "
           "`queue`,\n`event` and `processor`.\n");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "messages") == 0) {
        print_messages();
    } else if (argc == 2 && strcmp(argv[1], "settings") == 0) {
        print_settings();
    } else {
        fprintf(stderr, "usage: userbus_describe messages|settings\n");
        return 64;
    }
    return fflush(stdout) == 0 ? 0 : 74;
}
