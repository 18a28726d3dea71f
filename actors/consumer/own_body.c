/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/own_body.h"

#include <string.h>
#include <unistr.h>

enum { NUMBER_MAX_DIGITS = 18 };

static bool take(text_t *rest, text_t literal)
{
    if (rest->size < literal.size || memcmp(rest->data, literal.data, literal.size) != 0)
        return false;
    rest->data += literal.size;
    rest->size -= literal.size;
    return true;
}

/* What stands between quotes, when it means itself: no escape, nothing that must be escaped, UTF-8 (RFC 8259 section 7). */
static bool is_plain(text_t text)
{
    unsigned char all = 0;
    bool well = true;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        all |= byte;
        well &= byte >= 0x20 && byte != '\\';
    }
    return well && (all < 0x80 || u8_check((const uint8_t *)text.data, text.size) == NULL);
}

/* A text to its closing quote. */
static bool take_text(text_t *rest, text_t *out)
{
    const char *end = rest->size > 0 ? memchr(rest->data, '"', rest->size) : NULL;
    if (end == NULL)
        return false;
    *out = (text_t){rest->data, (size_t)(end - rest->data)};
    rest->data += out->size + 1;
    rest->size -= out->size + 1;
    return is_plain(*out);
}

/* A whole number, not negative, whose value nobody asks for. */
static bool pass_number(text_t *rest)
{
    size_t digits = 0;
    while (digits < rest->size && rest->data[digits] >= '0' && rest->data[digits] <= '9')
        digits++;
    if (digits == 0 || digits > NUMBER_MAX_DIGITS || (digits > 1 && rest->data[0] == '0'))
        return false;
    rest->data += digits;
    rest->size -= digits;
    return true;
}

static bool take_validity(text_t *rest, validity_t *out)
{
    *out = take(rest, TEXT("true")) ? USER_VALID : USER_DISABLED;
    return *out == USER_VALID || take(rest, TEXT("false"));
}

bool own_body_read(body_told_t *out, text_t body)
{
    text_t queue;
    return take(&body, TEXT("{\"created_at\": \"")) && take_text(&body, &out->created_at) &&
           take(&body, TEXT(", \"queue\": \"")) && take_text(&body, &queue) &&
           take(&body, TEXT(", \"context\": {\"id\": \"")) && take_text(&body, &out->id) &&
           take(&body, TEXT(", \"email\": \"")) && take_text(&body, &out->email) &&
           take(&body, TEXT(", \"first_name\": \"")) && take_text(&body, &out->first_name) &&
           take(&body, TEXT(", \"last_name\": \"")) && take_text(&body, &out->last_name) &&
           take(&body, TEXT(", \"view_count\": ")) && pass_number(&body) &&
           take(&body, TEXT(", \"is_valid\": ")) && take_validity(&body, &out->validity) &&
           take(&body, TEXT(", \"version\": ")) && pass_number(&body) &&
           take(&body, TEXT(", \"created_at\": \"")) && take_text(&body, &out->user_created_at) &&
           take(&body, TEXT(", \"updated_at\": \"")) && take_text(&body, &out->user_updated_at) &&
           take(&body, TEXT("}}")) && body.size == 0;
}
