/* SPDX-License-Identifier: Apache-2.0
 * settings.c - one setter for every source: it checks the value against its row and names the source
 * when it refuses. Sources run from the weakest to the strongest, so the last one to speak wins.
 */
#include "pipeline/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/settings_file.h"
#include "proto/errors.h"

#define SWITCH_CHOICES "on|off"

const setting_row_t setting_rows[] = {
#define TEXT_SETTING(key, fallback, lo, hi, secret, doc)                                           \
    {#key, SETTING_TEXT, offsetof(settings_t, key), fallback, secret, lo, hi, "", "", doc},
#define NUMBER_SETTING(key, fallback, lo, hi, unit, doc)                                           \
    {#key, SETTING_NUMBER, offsetof(settings_t, key), #fallback, false, lo, hi, unit, "", doc},
#define CHOICE_SETTING(key, fallback, choices, doc)                                                \
    {#key, SETTING_CHOICE, offsetof(settings_t, key), fallback, false, 0, 0, "", choices, doc},
#define SWITCH_SETTING(key, fallback, doc)                                                         \
    {#key, SETTING_SWITCH, offsetof(settings_t, key), fallback, false, 0, 0, "", SWITCH_CHOICES,   \
     doc},
#include "proto/settings.def"
#undef TEXT_SETTING
#undef NUMBER_SETTING
#undef CHOICE_SETTING
#undef SWITCH_SETTING
};

const size_t setting_row_count = sizeof(setting_rows) / sizeof(setting_rows[0]);

static const struct {
    const char *label, *queue, *event, *processor;
} default_handlers[] = {
    {"Register a user", "user", "user.create", "register_processor"},
    {"View user", "user", "user.read", "count_user_viewing_processor"},
    {"Update user", "user", "user.update", "notify_user_update"},
    {"Delete a user", "user", "user.delete", "disable_user_processor"},
};

void setting_environment_name(char out[SETTING_NAME_SIZE], const char *key)
{
    size_t size = strlen(key);
    must(size < SETTING_NAME_SIZE); /* it is one of our table's */
    for (size_t i = 0; i <= size; i++)
        out[i] = (char)toupper((unsigned char)key[i]);
}

void setting_flag_name(char out[SETTING_NAME_SIZE], const char *key)
{
    snprintf(out, SETTING_NAME_SIZE, "--%s", key);
    for (char *at = out; *at != '\0'; at++)
        if (*at == '_')
            *at = '-';
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    must(copy != NULL);
    return copy;
}

static const setting_row_t *row_of(const char *key)
{
    for (size_t i = 0; i < setting_row_count; i++)
        if (strcmp(setting_rows[i].key, key) == 0)
            return &setting_rows[i];
    return NULL;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t size = strlen(value);
    for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        size_t word = strcspn(at, "|");
        if (word == size && strncmp(at, value, size) == 0)
            return true;
    }
    return false;
}

static bool parse_number(int64_t *out, const char *value)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    bool whole =
        (isdigit((unsigned char)value[0]) || value[0] == '-') && *end == '\0' && errno == 0;
    if (whole)
        *out = number;
    return whole;
}

static int refuse(const setting_row_t *row, const char *value, const char *source, detail_t *detail)
{
    const char *shown = row->secret ? "(hidden)" : value;
    if (row->type == SETTING_NUMBER)
        return detail_set(detail, ERR_BAD_SETTING,
                          "setting %s: '%s' from %s is not a whole number of %lld..%lld (%s)",
                          row->key, shown, source, (long long)row->lo, (long long)row->hi,
                          row->doc);
    if (row->type == SETTING_TEXT)
        return detail_set(detail, ERR_BAD_SETTING,
                          "setting %s: '%.32s' from %s is not a text of %lld..%lld bytes (%s)",
                          row->key, shown, source, (long long)row->lo, (long long)row->hi,
                          row->doc);
    return detail_set(detail, ERR_BAD_SETTING, "setting %s: '%s' from %s is not one of %s (%s)",
                      row->key, shown, source, row->choices, row->doc);
}

/* *number is the value of a number or a switch. */
static bool is_allowed(const setting_row_t *row, const char *value, int64_t *number)
{
    int64_t size = (int64_t)strlen(value);
    if (row->type == SETTING_NUMBER)
        return parse_number(number, value) && *number >= row->lo && *number <= row->hi;
    if (row->type == SETTING_TEXT)
        return size >= row->lo && size <= row->hi;
    *number = strcmp(value, "on") == 0;
    return is_choice(row->choices, value);
}

static int set(settings_t *settings, const setting_row_t *row, const char *value,
               const char *source, detail_t *detail)
{
    void *at = (char *)settings + row->offset;
    int64_t number = 0;
    if (!is_allowed(row, value, &number))
        return refuse(row, value, source, detail);
    if (row->type == SETTING_NUMBER || row->type == SETTING_SWITCH) {
        *(int64_t *)at = number;
        return 0;
    }
    free(*(char **)at);
    *(char **)at = copy_of(value);
    return 0;
}

/* A secret's file holds the value alone; the newline that editors add is not part of it. */
static int set_from_file(settings_t *settings, const setting_row_t *row, const char *path,
                         const char *source, detail_t *detail)
{
    char value[4096];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return detail_set(detail, ERR_BAD_SETTING,
                          "setting %s: file '%s' from %s cannot be read: %s", row->key, path,
                          source, strerror(errno));
    size_t size = fread(value, 1, sizeof(value), file);
    int failed = ferror(file);
    (void)fclose(file);
    if (failed || size == sizeof(value))
        return detail_set(
            detail, ERR_BAD_SETTING,
            "setting %s: file '%s' from %s cannot be read or holds more than %zu bytes", row->key,
            path, source, sizeof(value) - 1);
    value[size] = '\0';
    value[strcspn(value, "\r\n")] = '\0';
    return set(settings, row, value, source, detail);
}

static const char *look_up(char *const *environment, const char *name)
{
    size_t size = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}

static int set_from_environment(settings_t *settings, char *const *environment, detail_t *detail)
{
    for (size_t i = 0; i < setting_row_count; i++) {
        const setting_row_t *row = &setting_rows[i];
        char name[SETTING_NAME_SIZE + 8], source[SETTING_NAME_SIZE + 32];
        setting_environment_name(name, row->key);
        const char *value = look_up(environment, name);
        snprintf(source, sizeof(source), "environment %s", name);
        int error = value != NULL ? set(settings, row, value, source, detail) : 0;
        if (error != 0)
            return error;
        strcat(name, "_FILE");
        const char *path = row->secret ? look_up(environment, name) : NULL;
        if (path == NULL)
            continue;
        snprintf(source, sizeof(source), "environment %s", name);
        if (value != NULL)
            return detail_set(detail, ERR_BAD_SETTING,
                              "setting %s: give it directly or by %s, not both", row->key, name);
        error = set_from_file(settings, row, path, source, detail);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Splits `--key=value` or `--key value` at flags[*at] and moves *at behind it. */
static int next_flag(char *const *flags, int flag_count, int *at, char name[SETTING_NAME_SIZE],
                     const char **value, detail_t *detail)
{
    const char *flag = flags[(*at)++];
    size_t size = strcspn(flag, "=");
    if (strncmp(flag, "--", 2) != 0 || size >= SETTING_NAME_SIZE)
        return detail_set(detail, ERR_USAGE, "'%s' is not a flag; --help lists them", flag);
    memcpy(name, flag, size);
    name[size] = '\0';
    if (flag[size] == '=')
        *value = flag + size + 1;
    else if (*at < flag_count)
        *value = flags[(*at)++];
    else
        return detail_set(detail, ERR_USAGE, "flag %s needs a value", name);
    return 0;
}

static int set_from_flags(settings_t *settings, int flag_count, char *const *flags,
                          detail_t *detail)
{
    for (int at = 0; at < flag_count;) {
        char name[SETTING_NAME_SIZE], key[SETTING_NAME_SIZE], source[SETTING_NAME_SIZE + 8];
        const char *value = NULL;
        int error = next_flag(flags, flag_count, &at, name, &value, detail);
        must(error == 0 && value != NULL); /* find_config has been over them */
        if (strcmp(name, "--config") == 0)
            continue;
        snprintf(key, sizeof(key), "%s", name + 2);
        for (char *c = key; *c != '\0'; c++)
            *c = *c == '-' ? '_' : *c;
        const setting_row_t *row = strchr(name + 2, '_') == NULL ? row_of(key) : NULL;
        if (row == NULL)
            return detail_set(detail, ERR_USAGE, "there is no flag %s; --help lists them", name);
        snprintf(source, sizeof(source), "flag %s", name);
        error = set(settings, row, value, source, detail);
        if (error != 0)
            return error;
    }
    return 0;
}

/* The file's name must be known before its values are overruled, hence a pass of its own. */
static int find_config(const char **path, int flag_count, char *const *flags,
                       char *const *environment, detail_t *detail)
{
    *path = look_up(environment, "USERBUS_CONFIG");
    for (int at = 0; at < flag_count;) {
        char name[SETTING_NAME_SIZE];
        const char *value = NULL;
        int error = next_flag(flags, flag_count, &at, name, &value, detail);
        if (error != 0)
            return error;
        if (strcmp(name, "--config") == 0)
            *path = value;
    }
    return 0;
}

/* A name that is no setting's has no row that says whether its value may be shown: it is taken for a misspelt
 * secret when it sounds like one, and so is a URL, which may have credentials. */
static bool looks_secret(const char *key, const char *value)
{
    static const char *const words[] = {"url", "pass", "key", "token", "secret", "credential"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(key, words[i]) != NULL)
            return true;
    return strstr(value, "://") != NULL;
}

static int set_file_scalar(void *argument, const char *key, const char *value, const char *source,
                           detail_t *detail)
{
    const setting_row_t *row = row_of(key);
    if (row == NULL)
        return detail_set(detail, ERR_BAD_SETTING,
                          "setting %s: there is no such setting ('%s' from %s); --help lists them",
                          key, looks_secret(key, value) ? "(hidden)" : value, source);
    return set(argument, row, value, source, detail);
}

static void clear_handlers(settings_t *settings)
{
    for (size_t i = 0; i < settings->handler_count; i++) {
        handler_t *handler = &settings->handlers[i];
        free(handler->label);
        free(handler->queue);
        free(handler->event);
        free(handler->processor);
    }
    settings->handler_count = 0;
}

static void add_handler(settings_t *settings, const char *label, const char *queue,
                        const char *event, const char *processor)
{
    must(settings->handler_count < HANDLERS_MAX);
    settings->handlers[settings->handler_count++] =
        (handler_t){copy_of(label), copy_of(queue), copy_of(event), copy_of(processor)};
}

/* The file's table takes the place of the one before as a whole: a mix of both would be hard to
 * foresee. */
static int set_file_handlers(void *argument, const handler_t *handlers, size_t count)
{
    settings_t *settings = argument;
    clear_handlers(settings);
    for (size_t i = 0; i < count; i++)
        add_handler(settings, handlers[i].label, handlers[i].queue, handlers[i].event,
                    handlers[i].processor);
    return 0;
}

static void set_defaults(settings_t *settings)
{
    for (size_t i = 0; i < setting_row_count; i++)
        must(set(settings, &setting_rows[i], setting_rows[i].fallback, "default", NULL) == 0);
    for (size_t i = 0; i < sizeof(default_handlers) / sizeof(default_handlers[0]); i++)
        add_handler(settings, default_handlers[i].label, default_handlers[i].queue,
                    default_handlers[i].event, default_handlers[i].processor);
}

int settings_load(settings_t *out, int flag_count, char *const *flags, char *const *environment,
                  detail_t *detail)
{
    memset(out, 0, sizeof(*out));
    set_defaults(out);
    const char *config = NULL;
    int error = find_config(&config, flag_count, flags, environment, detail);
    if (error == 0 && config != NULL) {
        const settings_file_sink_t sink = {out, set_file_scalar, set_file_handlers};
        error = settings_file_read(config, &sink, detail);
    }
    if (error == 0)
        error = set_from_environment(out, environment, detail);
    if (error == 0)
        error = set_from_flags(out, flag_count, flags, detail);
    return error;
}

void settings_fini(settings_t *settings)
{
    for (size_t i = 0; i < setting_row_count; i++) {
        const setting_row_t *row = &setting_rows[i];
        if (row->type == SETTING_TEXT || row->type == SETTING_CHOICE)
            free(*(char **)((char *)settings + row->offset));
    }
    clear_handlers(settings);
    memset(settings, 0, sizeof(*settings));
}
