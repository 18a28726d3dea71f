/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/log.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "proto/event.h" /* time_text */

static log_level_t threshold = LOG_INFO;
static atomic_uint_fast64_t dropped; /* lines, since the last one that passed */

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

/* A line under construction; what does not fit is cut. */
typedef struct line {
    char data[LOG_LINE_MAX];
    size_t size;
} line_t;

void log_set_level(log_level_t level)
{
    threshold = level;
}

int log_enabled(log_level_t level)
{
    return level >= threshold;
}

static void add(line_t *line, const char *data, size_t size)
{
    size_t room = sizeof(line->data) - 1 - line->size; /* one byte stays for the newline */
    if (size > room)
        size = room;
    memcpy(line->data + line->size, data, size);
    line->size += size;
}

static void add_terminated(line_t *line, const char *text)
{
    add(line, text, strlen(text));
}

static int is_plain(text_t value)
{
    if (value.size == 0)
        return 0;
    for (size_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte == 0x7f)
            return 0;
    }
    return 1;
}

/* Control bytes would let a value forge a line, so they never pass as they are. */
static void add_quoted(line_t *line, text_t value)
{
    add(line, "\"", 1);
    for (size_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        char escaped[5];
        if (byte == '"' || byte == '\\')
            add(line, (char[]){'\\', (char)byte}, 2);
        else if (byte == '\n')
            add(line, "\\n", 2);
        else if (byte < ' ' || byte == 0x7f)
            add(line, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\x%02x", byte));
        else
            add(line, value.data + i, 1);
    }
    add(line, "\"", 1);
}

static void add_field(line_t *line, const log_field_t *field)
{
    add(line, " ", 1);
    add_terminated(line, field->key);
    add(line, "=", 1);
    if (field->text.data == NULL) {
        char digits[24];
        add(line, digits,
            (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)field->number));
    } else if (is_plain(field->text)) {
        add(line, field->text.data, field->text.size);
    } else {
        add_quoted(line, field->text);
    }
}

static int stderr_takes_a_line(void)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) != 0;
}

void log_write(log_level_t level, const char *actor, const char *event, const log_field_t *fields,
               size_t count)
{
    line_t line;
    line.size = 0;
    char now[TIME_TEXT_SIZE];
    time_text(now, clock_wall_us());
    add_field(&line, &LOG_STR("ts", now));
    add_field(&line, &LOG_STR("level", level_names[level]));
    add_field(&line, &LOG_STR("actor", actor));
    add_field(&line, &LOG_STR("event", event));
    for (size_t i = 0; i < count; i++)
        add_field(&line, &fields[i]);
    uint_fast64_t lost = atomic_exchange(&dropped, 0);
    if (lost > 0)
        add_field(&line, &LOG_INT("lines_dropped", (int64_t)lost));
    line.data[line.size++] = '\n';
    /* The first field brought a space. A line is one write, so lines of threads do not mix. */
    if (!stderr_takes_a_line() || write(STDERR_FILENO, line.data + 1, line.size - 1) < 0)
        atomic_fetch_add(&dropped, lost + 1);
}
