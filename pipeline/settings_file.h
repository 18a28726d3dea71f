/* SPDX-License-Identifier: Apache-2.0
 * settings_file.h - reads the YAML settings file: a mapping of settings to scalars, and `handlers`,
 * a list of {label, queue, event, processor}. Knows the file's shape, not the settings.
 */
#ifndef USERBUS_PIPELINE_SETTINGS_FILE_H
#define USERBUS_PIPELINE_SETTINGS_FILE_H

#include "pipeline/settings.h"

/* Where what was read goes. A callback's error ends the reading and is returned. */
typedef struct settings_file_sink {
    void *argument;
    /* `source` names file and line. All borrowed for the call. */
    int (*scalar)(void *argument, const char *key, const char *value, const char *source,
                  detail_t *detail);
    int (*handlers)(void *argument, const handler_t *handlers, size_t count);
} settings_file_sink_t;

/* ERR_BAD_SETTING: the file cannot be read, is not YAML of that shape, names a key twice or is larger
 * than 1 MiB; *detail names file and line. */
int settings_file_read(const char *path, const settings_file_sink_t *sink, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
