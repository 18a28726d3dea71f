/* SPDX-License-Identifier: Apache-2.0
 * settings.h - the settings of settings.def: defaults < YAML file < environment < flags.
 *
 * The only place that reads the environment. A key that is unknown, a value out of range or a file
 * that cannot be read is one line that names key, value and source.
 */
#ifndef USERBUS_PIPELINE_SETTINGS_H
#define USERBUS_PIPELINE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/actor.h" /* detail_t */

/* One row of the handler table: which processor runs for which event of which queue. */
typedef struct handler {
    char *label, *queue, *event, *processor;
} handler_t;

/* A queue's name with ".dead" behind it must fit into the 255 bytes of AMQP. */
enum { HANDLERS_MAX = 64, HANDLER_TEXT_MAX = 200 };

/* One member per row of settings.def: TEXT and CHOICE are `char *` (never NULL), NUMBER is int64_t,
 * SWITCH is int64_t 0 or 1. */
typedef struct settings {
#define TEXT_SETTING(key, fallback, lo, hi, secret, doc) char *key;
#define NUMBER_SETTING(key, fallback, lo, hi, unit, doc) int64_t key;
#define CHOICE_SETTING(key, fallback, choices, doc)      char *key;
#define SWITCH_SETTING(key, fallback, doc)               int64_t key;
#include "proto/settings.def"
#undef TEXT_SETTING
#undef NUMBER_SETTING
#undef CHOICE_SETTING
#undef SWITCH_SETTING
    handler_t handlers[HANDLERS_MAX];
    size_t handler_count;
} settings_t;

/* A row of settings.def, for whoever lists them: the usage and SETTINGS.md. */
typedef enum setting_type {
    SETTING_TEXT,
    SETTING_NUMBER,
    SETTING_CHOICE,
    SETTING_SWITCH
} setting_type_t;

typedef struct setting_row {
    const char *key;
    setting_type_t type;
    size_t offset; /* in settings_t */
    const char *fallback;
    bool secret;         /* never shown; KEY_FILE may name a file that holds it */
    int64_t lo, hi;      /* value of a NUMBER, bytes of a TEXT */
    const char *unit;    /* NUMBER */
    const char *choices; /* CHOICE and SWITCH: "a|b" */
    const char *doc;
} setting_row_t;

extern const setting_row_t setting_rows[];
extern const size_t setting_row_count;

enum { SETTING_NAME_SIZE = 64 };

/* "HTTP_THREADS" and "--http-threads" of the key "http_threads". */
void setting_environment_name(char out[SETTING_NAME_SIZE], const char *key);
void setting_flag_name(char out[SETTING_NAME_SIZE], const char *key);

/* Reads all sources. flags: `--key value` or `--key=value`, flag_count strings; `--config FILE` (or
 * USERBUS_CONFIG in the environment) names the YAML file. environment: as the process's envp. On
 * error ERR_BAD_SETTING, or ERR_USAGE for a flag that does not exist, and *detail is the line to
 * show. settings_fini in both cases. */
int settings_load(settings_t *out, int flag_count, char *const *flags, char *const *environment,
                  detail_t *detail) __attribute__((warn_unused_result));

void settings_fini(settings_t *settings);

#endif
