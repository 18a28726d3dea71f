/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_buffer.h"

#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

void text_buffer_fini(text_buffer_t *buffer)
{
    free(buffer->data);
    *buffer = (text_buffer_t){0};
}

char *text_reserve(text_buffer_t *buffer, size_t more)
{
    if (buffer->data != NULL && buffer->capacity - buffer->size >= more)
        return buffer->data + buffer->size;
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : 512;
    while (capacity - buffer->size < more)
        capacity *= 2;
    buffer->data = realloc(buffer->data, capacity);
    must(buffer->data != NULL);
    buffer->capacity = capacity;
    return buffer->data + buffer->size;
}

void text_add(text_buffer_t *buffer, text_t text)
{
    if (text.size == 0)
        return;
    memcpy(text_reserve(buffer, text.size), text.data, text.size);
    buffer->size += text.size;
}

text_t int_text(char out[INT_TEXT_MAX], int64_t value)
{
    char *at = out + INT_TEXT_MAX;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        *--at = '-';
    return (text_t){at, (size_t)(out + INT_TEXT_MAX - at)};
}

void text_add_int(text_buffer_t *buffer, int64_t value)
{
    char digits[INT_TEXT_MAX];
    text_add(buffer, int_text(digits, value));
}

void text_add_json_string(text_buffer_t *buffer, text_t text)
{
    static const char hex[] = "0123456789abcdef";
    char *to = text_reserve(buffer, 6 * text.size + 2); /* \u00XX is the longest form of a byte */
    *to++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte == '"' || byte == '\\') {
            *to++ = '\\';
            *to++ = (char)byte;
        } else if (byte < 0x20) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[byte >> 4];
            to[5] = hex[byte & 15];
            to += 6;
        } else {
            *to++ = (char)byte;
        }
    }
    *to++ = '"';
    buffer->size = (size_t)(to - buffer->data);
}
