/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/output.h"

#include <stdio.h>
#include <unistd.h>

#include "proto/errors.h"

void print_safely(text_t text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        bool is_c1 = byte == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
        i += is_c1;
        putchar(is_c1 || byte < 0x20 || byte == 0x7f ? '?' : byte);
    }
}

void print_column(text_t text, int width)
{
    int gap = (int)text.size < width ? width - (int)text.size : 0;
    print_safely(text);
    printf("%*s  ", gap, "");
}

json_t *text_json(text_t text)
{
    json_t *value = text.size > 0 ? json_stringn(text.data, text.size) : NULL;
    return value != NULL ? value : json_null();
}

void print_json_line(json_t *value)
{
    must(value != NULL && json_dumpf(value, stdout, 0) == 0);
    putchar('\n');
    json_decref(value);
}

void print_progress(const char *what, size_t done, size_t total)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s %zu of %zu", what, done, total);
}

void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
}
