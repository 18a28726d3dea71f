/* SPDX-License-Identifier: Apache-2.0
 * log.h - the structured log: one logfmt line per event on stderr.
 *
 *   ts=2026-11-24T10:00:00.123456Z level=info actor=bridge.0 event=connected host=localhost port=5672
 *
 * A line is one write of at most LOG_LINE_MAX bytes. When stderr cannot take it at once (a pipe that
 * nobody reads) the line is dropped and counted, and the next one that passes says how many: the log
 * never stops an actor. Values are quoted and escaped when they hold anything but plain characters.
 */
#ifndef USERBUS_PIPELINE_LOG_H
#define USERBUS_PIPELINE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

typedef enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } log_level_t;

enum { LOG_LINE_MAX = 2048 };

typedef struct log_field {
    const char *key;
    text_t text; /* data NULL: the number counts */
    int64_t number;
} log_field_t;

#define LOG_STR(key, value)  ((log_field_t){(key), text_of(value), 0})
#define LOG_TEXT(key, value) ((log_field_t){(key), (value), 0})
#define LOG_INT(key, value)  ((log_field_t){(key), {NULL, 0}, (value)})

/* Lines below the level are not written. Set once, before any thread starts. LOG_INFO at first. */
void log_set_level(log_level_t level);
int log_enabled(log_level_t level);

void log_write(log_level_t level, const char *actor, const char *event, const log_field_t *fields,
               size_t count);

/* log_event(LOG_WARN, self->name, "connect_failed", LOG_STR("detail", text), LOG_INT("retry_ms", 5)) */
#define log_event(level, actor, event, ...)                                                        \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const log_field_t fields_[] = {__VA_ARGS__};                                           \
            log_write(level, actor, event, fields_, sizeof(fields_) / sizeof(fields_[0]));         \
        }                                                                                          \
    } while (0)

#endif
