/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/plain_text.h"

#include <stddef.h>

/* Bytes of the character that begins here, or 0. Since the text is terminated, and no row takes a NUL for a byte
 * behind the first, nothing beyond its end is read. RFC 3629 section 4, less C0, DEL and C1. */
static size_t character_size(const unsigned char *at)
{
    static const struct {
        unsigned char first, last;               /* lead bytes of the row */
        unsigned char second_first, second_last; /* bytes that may follow it */
        size_t size;
    } rows[] = {
        {0x20, 0x7e, 0x00, 0xff, 1}, {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    size_t row = 0, rest = 2;
    while (row < sizeof(rows) / sizeof(rows[0]) && (*at < rows[row].first || *at > rows[row].last))
        row++;
    if (row == sizeof(rows) / sizeof(rows[0]) || at[1] < rows[row].second_first ||
        at[1] > rows[row].second_last)
        return 0;
    while (rest < rows[row].size && (at[rest] & 0xc0) == 0x80)
        rest++;
    return rest < rows[row].size ? 0 : rows[row].size;
}

void plain_text(char *text)
{
    while (*text != '\0') {
        size_t size = character_size((const unsigned char *)text);
        if (size == 0)
            *text = '?';
        text += size > 0 ? size : 1;
    }
}
