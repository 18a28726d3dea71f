/* SPDX-License-Identifier: Apache-2.0
 * text_buffer.h - text that grows, and the JSON writing that every answer and event shares.
 *
 * Reading JSON is jansson's work; writing a flat record of known members into a reused buffer is
 * cheaper than building a tree first, and this is on the path of every request.
 */
#ifndef USERBUS_PROTO_TEXT_BUFFER_H
#define USERBUS_PROTO_TEXT_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

enum { INT_TEXT_MAX = 20 /* of an int64_t, with its sign */ };

/* Zero-initialised is empty and valid. Out of memory aborts. */
typedef struct text_buffer {
    char *data; /* not terminated */
    size_t size, capacity;
} text_buffer_t;

void text_buffer_fini(text_buffer_t *buffer);

/* Forgets the content, keeps the memory. */
static inline void text_buffer_clear(text_buffer_t *buffer)
{
    buffer->size = 0;
}

static inline text_t text_buffer_view(const text_buffer_t *buffer)
{
    return (text_t){buffer->data, buffer->size};
}

/* Makes room for `more` bytes behind the content and returns where they begin; what is written there
 * counts when size is raised. */
char *text_reserve(text_buffer_t *buffer, size_t more);

/* A number's decimal digits, at the end of `out`. */
text_t int_text(char out[INT_TEXT_MAX], int64_t value);

void text_add(text_buffer_t *buffer, text_t text);
void text_add_int(text_buffer_t *buffer, int64_t value);

/* Appends a JSON string with its quotes (RFC 8259 section 7). `text` is valid UTF-8, which is
 * copied as it is; quotes, backslashes and control characters are escaped. */
void text_add_json_string(text_buffer_t *buffer, text_t text);

#endif
