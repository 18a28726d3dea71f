/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * settings_fuzz.c - the settings file, with environment and flags over it. What loads is within the rows of
 * settings.def and loads again from flags to the same; what does not is told in one line.
 *
 * Input: the file, then fields: a flag ("--key=value"), or an entry of the environment ("KEY=value").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unistr.h>

#include "pipeline/settings.h"
#include "proto/errors.h"
#include "proto/text_buffer.h"
#include "tests/fuzz/fuzz_input.h"

enum { FILE_MAX = 16384, FIELD_MAX = 5000, SOURCES_MAX = 8, PATH_SIZE = 64 };

typedef struct sources {
    char *flags[SOURCES_MAX + 1];
    int flag_count;
    char *environment[SOURCES_MAX + 1]; /* NULL at its end */
    size_t variable_count;
} sources_t;

/* Writes the file once more, in memory. */
static void write_file(char path[PATH_SIZE], text_t text)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("settings", MFD_CLOEXEC);
    must(fd >= 0 && ftruncate(fd, 0) == 0);
    must(pwrite(fd, text.data, text.size, 0) == (ssize_t)text.size);
    snprintf(path, PATH_SIZE, "--config=/proc/self/fd/%d", fd);
}

/* Other files of this machine are nothing to read here. */
static bool names_a_file(const char *source)
{
    return strncmp(source, "--config", 8) == 0 || strncmp(source, "USERBUS_CONFIG", 14) == 0 ||
           strstr(source, "_FILE=") != NULL;
}

static void take_sources(sources_t *out, fuzz_input_t *input)
{
    for (int i = 0; i < SOURCES_MAX && input->size > 0; i++) {
        char *source = fuzz_string(input, FIELD_MAX);
        if (names_a_file(source))
            continue;
        if (source[0] == '-')
            out->flags[out->flag_count++] = source;
        else
            out->environment[out->variable_count++] = source;
    }
}

static bool is_choice(const char *choices, const char *value)
{
    char padded[256], wanted[256];
    snprintf(padded, sizeof(padded), "|%s|", choices);
    snprintf(wanted, sizeof(wanted), "|%s|", value);
    return strstr(padded, wanted) != NULL && strchr(value, '|') == NULL;
}

static void check_row(const settings_t *settings, const setting_row_t *row)
{
    const void *at = (const char *)settings + row->offset;
    const char *text;
    switch (row->type) {
    case SETTING_NUMBER:
        must(*(const int64_t *)at >= row->lo && *(const int64_t *)at <= row->hi);
        break;
    case SETTING_SWITCH:
        must(*(const int64_t *)at == 0 || *(const int64_t *)at == 1);
        break;
    case SETTING_CHOICE:
        must(is_choice(row->choices, *(char *const *)at));
        break;
    case SETTING_TEXT:
        text = *(char *const *)at;
        must((int64_t)strlen(text) >= row->lo && (int64_t)strlen(text) <= row->hi);
        break;
    }
}

static void check_handlers(const settings_t *settings)
{
    must(settings->handler_count <= HANDLERS_MAX);
    for (size_t i = 0; i < settings->handler_count; i++) {
        const handler_t *handler = &settings->handlers[i];
        const char *texts[] = {handler->label, handler->queue, handler->event, handler->processor};
        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
            must(strlen(texts[j]) >= 1 && strlen(texts[j]) <= HANDLER_TEXT_MAX);
    }
}

static char *flag_of(const settings_t *settings, const setting_row_t *row)
{
    const void *at = (const char *)settings + row->offset;
    char name[SETTING_NAME_SIZE], *flag = NULL;
    int size = 0;
    setting_flag_name(name, row->key);
    if (row->type == SETTING_NUMBER)
        size = asprintf(&flag, "%s=%lld", name, (long long)*(const int64_t *)at);
    else if (row->type == SETTING_SWITCH)
        size = asprintf(&flag, "%s=%s", name, *(const int64_t *)at != 0 ? "on" : "off");
    else
        size = asprintf(&flag, "%s=%s", name, *(char *const *)at);
    must(size > 0);
    return flag;
}

static void check_equal(const settings_t *a, const settings_t *b)
{
    for (size_t i = 0; i < setting_row_count; i++) {
        const setting_row_t *row = &setting_rows[i];
        const void *at_a = (const char *)a + row->offset, *at_b = (const char *)b + row->offset;
        if (row->type == SETTING_NUMBER || row->type == SETTING_SWITCH)
            must(*(const int64_t *)at_a == *(const int64_t *)at_b);
        else
            must(strcmp(*(char *const *)at_a, *(char *const *)at_b) == 0);
    }
}

/* Flags are read by other code than the file, and must mean the same. */
static void check_as_flags(const settings_t *settings)
{
    char *none[] = {NULL}, **flags = calloc(setting_row_count, sizeof(*flags));
    settings_t again;
    detail_t detail;
    must(flags != NULL);
    for (size_t i = 0; i < setting_row_count; i++)
        flags[i] = flag_of(settings, &setting_rows[i]);
    must(settings_load(&again, (int)setting_row_count, flags, none, &detail) == 0);
    check_equal(settings, &again);
    settings_fini(&again);
    for (size_t i = 0; i < setting_row_count; i++)
        free(flags[i]);
    free(flags);
}

static void check_told(const detail_t *detail)
{
    size_t size = strlen(detail->text);
    must(size > 0 && u8_check((const uint8_t *)detail->text, size) == NULL);
    for (size_t i = 0; i < size; i++)
        must((unsigned char)detail->text[i] >= ' ' && detail->text[i] != 0x7f);
}

static void check_load(const sources_t *sources)
{
    settings_t settings, again;
    detail_t detail = {{0}}, detail_again = {{0}};
    int error = settings_load(&settings, sources->flag_count, sources->flags, sources->environment,
                              &detail);
    must(error == 0 || error == ERR_BAD_SETTING || error == ERR_USAGE);
    if (error == 0) {
        for (size_t i = 0; i < setting_row_count; i++)
            check_row(&settings, &setting_rows[i]);
        check_handlers(&settings);
        check_as_flags(&settings);
    } else {
        check_told(&detail);
    }
    must(settings_load(&again, sources->flag_count, sources->flags, sources->environment,
                       &detail_again) == error);
    must(strcmp(detail.text, detail_again.text) == 0);
    if (error == 0)
        check_equal(&settings, &again);
    settings_fini(&settings);
    settings_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[PATH_SIZE];
    fuzz_input_t input;
    sources_t sources = {.flags = {path}, .flag_count = 1};
    fuzz_input_init(&input, data, size);
    write_file(path, fuzz_field(&input, FILE_MAX));
    take_sources(&sources, &input);
    check_load(&sources);
    fuzz_input_fini(&input);
    return 0;
}
