/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/request_headers.h"

#include <string.h>
#include <strings.h>

enum { TRACEPARENT_BYTES = 55, TRACESTATE_MAX_BYTES = 512 };

static bool all_within(text_t text, char first, char last)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < first || text.data[i] > last)
            return false;
    return true;
}

bool request_id_is_usable(text_t value)
{
    return value.size >= 1 && value.size <= REQUEST_ID_MAX_BYTES && all_within(value, '!', '~');
}

/* Lower-case hexadecimal; `zero_too`: also when every digit is 0. */
static bool is_hex(const char *digits, size_t size, bool zero_too)
{
    return strspn(digits, "0123456789abcdef") >= size && (zero_too || strspn(digits, "0") < size);
}

bool traceparent_is_valid(text_t value)
{
    char text[TRACEPARENT_BYTES + 1];
    if (value.size != TRACEPARENT_BYTES)
        return false;
    memcpy(text, value.data, TRACEPARENT_BYTES);
    text[TRACEPARENT_BYTES] = '\0';
    return memcmp(text, "00-", 3) == 0 && is_hex(text + 3, 32, false) && text[35] == '-' &&
           is_hex(text + 36, 16, false) && text[52] == '-' && is_hex(text + 53, 2, true);
}

bool tracestate_is_usable(text_t value)
{
    return value.size >= 1 && value.size <= TRACESTATE_MAX_BYTES && all_within(value, ' ', '~');
}

bool content_type_is(text_t value, const char *media_type)
{
    const char *end = value.size > 0 ? memchr(value.data, ';', value.size) : NULL;
    size_t size = end != NULL ? (size_t)(end - value.data) : value.size;
    while (size > 0 && (value.data[size - 1] == ' ' || value.data[size - 1] == '\t'))
        size--;
    return size == strlen(media_type) && strncasecmp(value.data, media_type, size) == 0;
}
