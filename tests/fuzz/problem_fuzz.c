/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * problem_fuzz.c - problem+json. Whatever it tells of, it is JSON, and says exactly that.
 *
 * Input: a byte for the error, then the fields detail (empty: the usual one), request id, and for each bad member
 * its name ("\1": the whole document) and what is wrong with it. Texts are UTF-8 by contract; others are mended.
 */
#include <jansson.h>
#include <string.h>
#include <unistr.h>

#include "actors/http/problem.h"
#include "actors/http/user_input.h" /* INVALID_MEMBERS_MAX */
#include "proto/errors.h"
#include "tests/fuzz/fuzz_input.h"

enum { FIELD_MAX = 4096 };

static void mend(char *text, size_t size)
{
    if (size == 0 || u8_check((uint8_t *)text, size) == NULL)
        return;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80)
            text[i] = '?';
}

static char *take_string(fuzz_input_t *input)
{
    char *text = fuzz_string(input, FIELD_MAX);
    mend(text, strlen(text));
    return text;
}

static text_t take_name(fuzz_input_t *input)
{
    text_t name = fuzz_field(input, FIELD_MAX);
    mend((char *)(uintptr_t)name.data, name.size);
    if (name.size == 1 && name.data[0] == 1)
        return (text_t){NULL, 0};
    return name;
}

static text_t member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    must(json_is_string(value));
    return (text_t){json_string_value(value), json_string_length(value)};
}

/* RFC 6901 section 4, backwards: the pointer of this name. */
static void check_pointer(text_t pointer, text_t name)
{
    size_t at = 0;
    if (name.data == NULL) {
        must(pointer.size == 0);
        return;
    }
    must(pointer.size > 0 && pointer.data[at++] == '/');
    for (size_t i = 0; i < name.size; i++) {
        char byte = pointer.data[at++];
        must(at <= pointer.size && byte != '/');
        if (byte == '~')
            byte = pointer.data[at++] == '0' ? '~' : '/';
        must(byte == name.data[i]);
    }
    must(at == pointer.size);
}

static void check_members(const json_t *json, const problem_t *problem)
{
    const json_t *errors = json_object_get(json, "errors");
    must(json_array_size(errors) == problem->invalid_count);
    must(json_object_size(json) == (problem->invalid_count > 0 ? 6 : 5));
    for (size_t i = 0; i < problem->invalid_count; i++) {
        const json_t *entry = json_array_get(errors, i);
        check_pointer(member(entry, "pointer"), problem->invalid[i].name);
        must(text_equal(member(entry, "detail"), text_of(problem->invalid[i].detail)));
        must(json_object_size(entry) == 2);
    }
}

static void check_problem(const problem_t *problem)
{
    text_buffer_t out = {0};
    const error_info_t *info = error_info(problem->error);
    problem_json(&out, problem);
    json_t *json = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    must(json_is_object(json));
    text_t type = member(json, "type");
    must(type.size > 20 &&
         text_equal((text_t){type.data + 20, type.size - 20}, text_of(info->slug)));
    must(text_equal(member(json, "title"), text_of(info->title)));
    must(json_integer_value(json_object_get(json, "status")) == info->http_status);
    must(text_equal(member(json, "request_id"), text_of(problem->request_id)));
    text_t detail = member(json, "detail");
    must(problem->detail != NULL ? text_equal(detail, text_of(problem->detail)) : detail.size > 10);
    check_members(json, problem);
    json_decref(json);
    text_buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    invalid_member_t invalid[INVALID_MEMBERS_MAX];
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    problem_t problem = {.error = -(int)(fuzz_byte(&input) % ERR_ORDINAL_end), .invalid = invalid};
    char *detail = take_string(&input);
    problem.detail = detail[0] != '\0' ? detail : NULL;
    problem.request_id = take_string(&input);
    while (input.size > 0 && problem.invalid_count < INVALID_MEMBERS_MAX) {
        text_t name = take_name(&input);
        invalid[problem.invalid_count++] = (invalid_member_t){name, take_string(&input)};
    }
    check_problem(&problem);
    fuzz_input_fini(&input);
    return 0;
}
