/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/target.h"

#include <string.h>

#include "actors/http/characters.h"
#include "actors/http/email.h"
#include "proto/errors.h"
#include "proto/hex.h"
#include "proto/uuid7.h"

/* A text after decoding. What is longer than any value we know is cut: it matches nothing. */
typedef struct decoded {
    char data[EMAIL_MAX_BYTES + 1];
    size_t size;
    bool cut;
    bool has_control; /* C0 or DEL, also in what was cut off */
} decoded_t;

/* False: a "%" without two hexadecimal digits behind it. */
static bool percent_decode(decoded_t *out, text_t raw)
{
    out->size = 0;
    out->cut = out->has_control = false;
    for (size_t i = 0; i < raw.size; i++) {
        char byte = raw.data[i];
        if (byte == '%') {
            int high = i + 2 < raw.size ? hex_digit(raw.data[i + 1]) : -1;
            int low = i + 2 < raw.size ? hex_digit(raw.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)byte < 0x20 || byte == 0x7f)
            out->has_control = true;
        if (out->size < sizeof(out->data))
            out->data[out->size++] = byte;
        else
            out->cut = true;
    }
    return true;
}

static bool key_is_readable(const decoded_t *key)
{
    characters_t characters;
    if (key->has_control)
        return false;
    /* A cut key may end inside a character. */
    if (!characters_scan(&characters, (text_t){key->data, key->size}))
        return key->cut;
    return !characters.has_control;
}

int user_key_parse(user_key_t *out, text_t segment, detail_t *detail)
{
    decoded_t decoded;
    out->id_size = out->email_key_size = 0;
    if (!percent_decode(&decoded, segment))
        return detail_set(detail, ERR_BAD_PATH,
                          "The path has a %% without two hexadecimal digits behind it: write %%25 "
                          "for a percent sign.");
    if (!key_is_readable(&decoded))
        return detail_set(detail, ERR_BAD_PATH,
                          "The last part of the path must be UTF-8 without control characters.");
    text_t text = {decoded.data, decoded.size};
    if (uuid_parse(out->id, text)) {
        out->id_size = ID_BYTES;
        return 0;
    }
    if (email_fault(text) == NULL)
        out->email_key_size = email_fold(out->email_key, text);
    if (out->email_key_size == 0)
        return detail_set(detail, ERR_USER_NOT_FOUND,
                          "The last part of the path is neither the id nor the email of a user.");
    return 0;
}

static bool parse_limit(list_query_t *out, text_t value)
{
    int limit = 0;
    if (value.size == 0 || value.size > 3)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        limit = limit * 10 + (value.data[i] - '0');
    }
    out->limit = limit;
    return limit >= 1 && limit <= LIST_LIMIT_MAX;
}

static bool parse_cursor(list_query_t *out, text_t value)
{
    if (!uuid_parse(out->cursor, value))
        return false;
    out->cursor_size = ID_BYTES;
    return true;
}

typedef struct parameter {
    const char *name;
    bool (*parse)(list_query_t *out, text_t value);
    const char *rule;
} parameter_t;

static const parameter_t parameters[] = {
    {"limit", parse_limit, "a whole number of 1 to 100"},
    {"cursor", parse_cursor, "the cursor of a link to the next page"},
};
enum { PARAMETER_COUNT = sizeof(parameters) / sizeof(parameters[0]) };

/* Only names that are plain are shown, so that a detail stays one short line of ASCII. */
static int unknown_parameter(const decoded_t *name, detail_t *detail)
{
    bool plain = name->size > 0 && name->size <= 32;
    for (size_t i = 0; i < name->size && plain; i++)
        plain = name->data[i] > ' ' && name->data[i] < 0x7f;
    if (!plain)
        return detail_set(detail, ERR_BAD_QUERY,
                          "The query has a parameter that does not exist: use limit and cursor.");
    return detail_set(detail, ERR_BAD_QUERY,
                      "There is no query parameter '%.*s': use limit and cursor.", (int)name->size,
                      name->data);
}

static int parse_pair(list_query_t *out, bool seen[PARAMETER_COUNT], text_t pair, detail_t *detail)
{
    const char *equals = memchr(pair.data, '=', pair.size);
    size_t name_size = equals != NULL ? (size_t)(equals - pair.data) : pair.size;
    text_t raw_value = {NULL, 0};
    if (equals != NULL)
        raw_value = (text_t){equals + 1, pair.size - name_size - 1};
    decoded_t name, value;
    if (!percent_decode(&name, (text_t){pair.data, name_size}) ||
        !percent_decode(&value, raw_value))
        return detail_set(detail, ERR_BAD_QUERY,
                          "The query has a %% without two hexadecimal digits behind it.");
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        if (!text_equal(text_of(parameters[i].name), (text_t){name.data, name.size}))
            continue;
        if (seen[i])
            return detail_set(detail, ERR_BAD_QUERY,
                              "The query parameter '%s' is given twice: give it once.",
                              parameters[i].name);
        seen[i] = true;
        if (!parameters[i].parse(out, (text_t){value.data, value.size}))
            return detail_set(detail, ERR_BAD_QUERY, "The query parameter '%s' must be %s.",
                              parameters[i].name, parameters[i].rule);
        return 0;
    }
    return unknown_parameter(&name, detail);
}

int list_query_parse(list_query_t *out, text_t query, detail_t *detail)
{
    bool seen[PARAMETER_COUNT] = {false};
    *out = (list_query_t){.limit = LIST_LIMIT_DEFAULT};
    while (query.size > 0) {
        const char *and = memchr(query.data, '&', query.size);
        text_t pair = {query.data, and != NULL ? (size_t)(and-query.data) : query.size};
        size_t step = pair.size + (and != NULL ? 1 : 0);
        int error = pair.size > 0 ? parse_pair(out, seen, pair, detail) : 0;
        if (error != 0)
            return error;
        query = (text_t){query.data + step, query.size - step};
    }
    return 0;
}
