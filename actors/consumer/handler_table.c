/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/handler_table.h"

#include <stdio.h>
#include <string.h>

#include "proto/errors.h"

enum { NAMES_SIZE = 256 };

typedef const char *(*name_at_t)(size_t i);

static const char *event_name_at(size_t i)
{
    return event_kind_name((event_kind_t)i);
}

static const char *processor_name_at(size_t i)
{
    return processors[i].name;
}

/* Tells which row has a value that is none of the known ones. Rows count from 1, as in the file. */
static int unknown(size_t row, const handler_t *handler, const char *what, const char *value,
                   name_at_t name_at, size_t count, detail_t *detail)
{
    char names[NAMES_SIZE] = "";
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(names + size, sizeof(names) - size, "%s%s", i > 0 ? ", " : "",
                                 name_at(i));
        must(size < sizeof(names)); /* they are those of our own tables */
    }
    return detail_set(detail, ERR_BAD_SETTING,
                      "handlers, row %zu ('%.64s'): there is no %s '%.64s'; known are %s%s",
                      row + 1, handler->label, what, value, names,
                      name_at == processor_name_at ? ", " EXEC_PREFIX "COMMAND" : "");
}

/* The command of "exec:COMMAND", or NULL. */
static const char *command_of(const char *processor)
{
    size_t size = sizeof(EXEC_PREFIX) - 1;
    return strncmp(processor, EXEC_PREFIX, size) == 0 && processor[size] != '\0' ? processor + size
                                                                                 : NULL;
}

static const processor_t *find(const char *name, const more_processors_t *more)
{
    for (size_t i = 0; i < more->count; i++)
        if (strcmp(more->processors[i].name, name) == 0)
            return &more->processors[i];
    return processor_find(name);
}

/* Rows with the same command share a child. */
static int child_of(handler_table_t *self, const char *command)
{
    size_t i = 0;
    while (i < self->command_count && strcmp(self->commands[i], command) != 0)
        i++;
    if (i == self->command_count)
        self->commands[self->command_count++] = command;
    return (int)i;
}

static int add_row(handler_table_t *out, const handler_t *handlers, size_t row, const char *queue,
                   const more_processors_t *more, detail_t *detail)
{
    const handler_t *handler = &handlers[row];
    const processor_t *processor = find(handler->processor, more);
    const char *command = command_of(handler->processor);
    int kind = event_kind_parse(text_of(handler->event));
    if (kind < 0)
        return unknown(row, handler, "event", handler->event, event_name_at, EVENT_KIND_COUNT,
                       detail);
    if (processor == NULL && command == NULL)
        return unknown(row, handler, "processor", handler->processor, processor_name_at,
                       processor_count, detail);
    if (strcmp(handler->queue, queue) != 0)
        return 0;
    if (handler_table_has(out, (event_kind_t)kind))
        return detail_set(detail, ERR_BAD_SETTING,
                          "handlers, row %zu ('%.64s'): a row before it has the event '%.64s' of "
                          "queue '%.64s' already; leave one of them",
                          row + 1, handler->label, handler->event, queue);
    out->by_kind[kind] = command == NULL ? processor : NULL;
    out->child_of_kind[kind] = command == NULL ? -1 : child_of(out, command);
    out->names[kind] = handler->processor;
    return 0;
}

int handler_table_init(handler_table_t *out, const handler_t *handlers, size_t count,
                       const char *queue, const more_processors_t *more, detail_t *detail)
{
    int error = 0;
    memset(out, 0, sizeof(*out));
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        out->child_of_kind[kind] = -1;
        out->names[kind] = "";
    }
    for (size_t row = 0; row < count && error == 0; row++)
        error = add_row(out, handlers, row, queue, more, detail);
    return error;
}
