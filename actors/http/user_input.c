/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/user_input.h"

#include "actors/http/characters.h"
#include "actors/http/email.h"
#include "proto/errors.h"

/* Takes a member's value into its place; NULL, or what is wrong with it. */
typedef const char *take_t(user_input_t *out, const json_t *value);

static text_t string_of(const json_t *value)
{
    return (text_t){json_string_value(value), json_string_length(value)};
}

static const char *take_email(user_input_t *out, const json_t *value)
{
    if (json_typeof(value) != JSON_STRING)
        return "must be a string";
    const char *fault = email_fault(string_of(value));
    if (fault != NULL)
        return fault;
    size_t size = email_fold(out->email_key_bytes, string_of(value));
    if (size == 0) /* never: an email without fault always fits, but input shall not abort */
        return "is too long";
    out->email = string_of(value);
    out->email_key = (text_t){out->email_key_bytes, size};
    return NULL;
}

static const char *take_name(text_t *to, const json_t *value)
{
    characters_t characters;
    if (json_typeof(value) != JSON_STRING)
        return "must be a string";
    if (!characters_are_readable(&characters, string_of(value)))
        return "must not hold control characters";
    if (characters.count < NAME_MIN_CHARACTERS || characters.count > NAME_MAX_CHARACTERS)
        return "must be 2 to 100 characters long";
    *to = string_of(value);
    return NULL;
}

static const char *take_first_name(user_input_t *out, const json_t *value)
{
    return take_name(&out->first_name, value);
}

static const char *take_last_name(user_input_t *out, const json_t *value)
{
    return take_name(&out->last_name, value);
}

static const char *take_is_valid(user_input_t *out, const json_t *value)
{
    json_type type = json_typeof(value);
    if (type != JSON_TRUE && type != JSON_FALSE)
        return "must be true or false";
    out->is_valid = type == JSON_TRUE;
    return NULL;
}

static const struct {
    text_t name;
    bool required; /* in a POST */
    take_t *take;  /* NULL: read-only */
} members[] = {
    {{"email", 5}, true, take_email},
    {{"first_name", 10}, true, take_first_name},
    {{"last_name", 9}, true, take_last_name},
    {{"is_valid", 8}, false, take_is_valid},
    {{"id", 2}, false, NULL},
    {{"view_count", 10}, false, NULL},
    {{"version", 7}, false, NULL},
    {{"created_at", 10}, false, NULL},
    {{"updated_at", 10}, false, NULL},
};
enum { MEMBER_COUNT = sizeof(members) / sizeof(members[0]) };

static void note_invalid(user_input_t *out, text_t name, const char *detail)
{
    if (out->invalid_count < INVALID_MEMBERS_MAX)
        out->invalid[out->invalid_count++] = (invalid_member_t){name, detail};
}

static const char *take_member(user_input_t *out, input_kind_t kind, text_t name,
                               const json_t *value)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (!text_equal(name, members[i].name))
            continue;
        if (members[i].take == NULL)
            return "is read-only";
        if (kind == INPUT_PATCH && json_typeof(value) == JSON_NULL)
            return "cannot be removed";
        return members[i].take(out, value);
    }
    return "is not a member of a user";
}

static void take_members(user_input_t *out, input_kind_t kind)
{
    for (void *at = json_object_iter(out->document); at != NULL;
         at = json_object_iter_next(out->document, at)) {
        text_t name = {json_object_iter_key(at), json_object_iter_key_len(at)};
        const char *fault = take_member(out, kind, name, json_object_iter_value(at));
        if (fault != NULL)
            note_invalid(out, name, fault);
    }
    for (size_t i = 0; i < MEMBER_COUNT && kind == INPUT_CREATE; i++)
        if (members[i].required && json_object_get(out->document, members[i].name.data) == NULL)
            note_invalid(out, members[i].name, "is required");
}

/* The library's own text quotes the body, which belongs into no answer and no log. */
static int bad_json(const json_error_t *error, detail_t *detail)
{
    static const struct {
        enum json_error_code code;
        const char *text;
    } causes[] = {
        {json_error_duplicate_key, "names a member twice"},
        {json_error_premature_end_of_input, "ends too early"},
        {json_error_end_of_input_expected, "goes on behind its end"},
        {json_error_invalid_utf8, "is not UTF-8"},
        {json_error_numeric_overflow, "has a number that is too large"},
        {json_error_stack_overflow, "is nested too deeply"},
        {json_error_null_byte_in_key, "has a NUL in the name of a member"},
    };
    const char *cause = "is not JSON";
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
        if (causes[i].code == json_error_code(error))
            cause = causes[i].text;
    return detail_set(detail, ERR_BAD_JSON,
                      "The body %s, at line %d, column %d: send one JSON object.", cause,
                      error->line > 0 ? error->line : 1, error->column > 0 ? error->column : 1);
}

int user_input_parse(user_input_t *out, input_kind_t kind, text_t body, detail_t *detail)
{
    json_error_t error;
    out->email = out->email_key = out->first_name = out->last_name = (text_t){NULL, 0};
    out->is_valid = -1;
    out->invalid_count = 0;
    /* Any JSON value and NUL are let in, so that what is well-formed but wrong is told apart from
     * what is not JSON. */
    out->document = json_loadb(body.size > 0 ? body.data : "", body.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (out->document == NULL)
        return bad_json(&error, detail);
    if (json_typeof(out->document) == JSON_OBJECT)
        take_members(out, kind);
    else
        note_invalid(out, (text_t){NULL, 0}, "must be a JSON object");
    return out->invalid_count > 0 ? ERR_INVALID_USER : 0;
}

void user_input_fini(user_input_t *input)
{
    json_decref(input->document);
    input->document = NULL;
}
