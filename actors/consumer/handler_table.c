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
    for (size_t i = 0; i < count && size < sizeof(names); i++)
        size += (size_t)snprintf(names + size, sizeof(names) - size, "%s%s", i > 0 ? ", " : "",
                                 name_at(i));
    return detail_set(detail, ERR_BAD_SETTING,
                      "handlers, row %zu ('%.64s'): there is no %s '%.64s'; known are %s", row + 1,
                      handler->label, what, value, names);
}

static int add_row(handler_table_t *out, const handler_t *handlers, size_t row, const char *queue,
                   detail_t *detail)
{
    const handler_t *handler = &handlers[row];
    const processor_t *processor = processor_find(handler->processor);
    int kind = event_kind_parse(text_of(handler->event));
    if (kind < 0)
        return unknown(row, handler, "event", handler->event, event_name_at, EVENT_KIND_COUNT,
                       detail);
    if (processor == NULL)
        return unknown(row, handler, "processor", handler->processor, processor_name_at,
                       processor_count, detail);
    if (strcmp(handler->queue, queue) != 0)
        return 0;
    if (out->by_kind[kind] != NULL)
        return detail_set(detail, ERR_BAD_SETTING,
                          "handlers, row %zu ('%.64s'): a row before it has the event '%.64s' of "
                          "queue '%.64s' already; leave one of them",
                          row + 1, handler->label, handler->event, queue);
    out->by_kind[kind] = processor;
    return 0;
}

int handler_table_init(handler_table_t *out, const handler_t *handlers, size_t count,
                       const char *queue, detail_t *detail)
{
    int error = 0;
    *out = (handler_table_t){{NULL}};
    for (size_t row = 0; row < count && error == 0; row++)
        error = add_row(out, handlers, row, queue, detail);
    return error;
}
