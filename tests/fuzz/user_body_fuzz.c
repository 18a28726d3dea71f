/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * user_body_fuzz.c - the body of a POST or PATCH. What is accepted is within the documented bounds, fits into
 * its message to the store and comes out of the user's JSON again; what is not says why.
 *
 * Input: 'P' for a PATCH or any other byte for a POST, then the body.
 */
#include <string.h>
#include <unistr.h>

#include "actors/http/characters.h"
#include "actors/http/email.h"
#include "actors/http/user_input.h"
#include "proto/errors.h"
#include "tests/fuzz/fuzz_input.h"

static bool is_utf8(text_t text)
{
    return text.size == 0 || u8_check((const uint8_t *)text.data, text.size) == NULL;
}

static void check_name(text_t name)
{
    characters_t characters;
    if (name.data == NULL)
        return;
    must(is_utf8(name) && name.size <= NAME_MAX_BYTES);
    must(u8_mbsnlen((const uint8_t *)name.data, name.size) >= NAME_MIN_CHARACTERS);
    must(u8_mbsnlen((const uint8_t *)name.data, name.size) <= NAME_MAX_CHARACTERS);
    must(characters_scan(&characters, name) && !characters.has_control);
}

static size_t count_of(text_t text, char wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == wanted;
    return count;
}

static void check_email(text_t email, text_t key)
{
    char again[EMAIL_KEY_MAX_BYTES];
    must((email.data == NULL) == (key.data == NULL));
    if (email.data == NULL)
        return;
    must(is_utf8(email) && email.size <= EMAIL_MAX_BYTES);
    must(count_of(email, '@') == 1 && email.data[0] != '@' && email.data[email.size - 1] != '@');
    for (size_t i = 0; i < email.size; i++)
        must((unsigned char)email.data[i] > ' ' && email.data[i] != 0x7f);
    must(is_utf8(key) && key.size <= EMAIL_KEY_MAX_BYTES && count_of(key, '@') == 1);
    /* who asks with the key finds the same user */
    size_t size = email_fold(again, key);
    must(text_equal(key, (text_t){again, size}));
}

/* The bounds of the message are those of the input, or frame_add aborts. */
static void check_message(const user_input_t *input)
{
    frame_t frame = {0};
    frame_reader_t reader = {0};
    message_t message;
    msg_user_update_t update = {.request_id = TEXT("r"),
                                .new_email = input->email,
                                .new_email_key = input->email_key,
                                .new_first_name = input->first_name,
                                .new_last_name = input->last_name,
                                .new_is_valid = input->is_valid};
    msg_user_create_t create = {.request_id = TEXT("r"),
                                .email = input->email,
                                .email_key = input->email_key,
                                .first_name = input->first_name,
                                .last_name = input->last_name,
                                .is_valid = input->is_valid != 0};
    frame_add(&frame, MSG_user_update, 0, &update);
    bool whole = input->email.data != NULL && input->first_name.data != NULL &&
                 input->last_name.data != NULL;
    if (whole)
        frame_add(&frame, MSG_user_create, 0, &create);
    frame_reader_reset(&reader, frame.bytes.data, frame.bytes.size);
    must(frame_reader_next(&reader, &message) == 1);
    must(text_equal(message.user_update.new_email, input->email));
    must(text_equal(message.user_update.new_first_name, input->first_name));
    must(frame_reader_next(&reader, &message) == whole);
    frame_reader_fini(&reader);
    frame_clear(&frame);
}

static void put(char *to, text_t text)
{
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    to[text.size] = '\0';
}

static void check_member(const json_t *object, const char *name, text_t expected)
{
    const json_t *value = json_object_get(object, name);
    must(json_is_string(value));
    must(text_equal((text_t){json_string_value(value), json_string_length(value)}, expected));
}

/* What the store keeps is what the client and the event show. */
static void check_json(const user_input_t *input)
{
    user_t user = {.version = 1, .sequence = 1, .is_valid = input->is_valid != 0};
    text_buffer_t json = {0}, body = {0};
    put(user.email, input->email);
    put(user.first_name, input->first_name);
    put(user.last_name, input->last_name);
    user_json(&json, &user);
    event_body_json(&body, 0, "user", text_buffer_view(&json));
    json_t *document = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *context = json_object_get(document, "context");
    must(json_is_object(context));
    check_member(context, "email", input->email);
    check_member(context, "first_name", input->first_name);
    check_member(context, "last_name", input->last_name);
    must(json_is_true(json_object_get(context, "is_valid")) == user.is_valid);
    json_decref(document);
    text_buffer_fini(&body);
    text_buffer_fini(&json);
}

static void check_accepted(const user_input_t *input, input_kind_t kind)
{
    must(json_is_object(input->document) && input->invalid_count == 0);
    must(input->is_valid >= -1 && input->is_valid <= 1);
    check_email(input->email, input->email_key);
    check_name(input->first_name);
    check_name(input->last_name);
    if (kind == INPUT_CREATE)
        must(input->email.data != NULL && input->first_name.data != NULL &&
             input->last_name.data != NULL);
    check_message(input);
    check_json(input);
}

static void check_refused(const user_input_t *input, int error, const detail_t *detail)
{
    if (error == ERR_BAD_JSON) {
        must(detail->text[0] != '\0' && is_utf8(text_of(detail->text)) &&
             input->invalid_count == 0);
        return;
    }
    must(error == ERR_INVALID_USER);
    must(input->invalid_count >= 1 && input->invalid_count <= INVALID_MEMBERS_MAX);
    for (size_t i = 0; i < input->invalid_count; i++)
        must(is_utf8(input->invalid[i].name) && input->invalid[i].detail[0] != '\0');
}

static void check_same(const user_input_t *a, const user_input_t *b)
{
    must(text_equal(a->email, b->email) && text_equal(a->email_key, b->email_key));
    must(text_equal(a->first_name, b->first_name) && text_equal(a->last_name, b->last_name));
    must(a->is_valid == b->is_valid && a->invalid_count == b->invalid_count);
    for (size_t i = 0; i < a->invalid_count; i++)
        must(text_equal(a->invalid[i].name, b->invalid[i].name) &&
             a->invalid[i].detail == b->invalid[i].detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static user_input_t first, second;
    fuzz_input_t input;
    detail_t detail = {{0}};
    fuzz_input_init(&input, data, size);
    input_kind_t kind = fuzz_byte(&input) == 'P' ? INPUT_PATCH : INPUT_CREATE;
    text_t body = fuzz_rest(&input);
    int error = user_input_parse(&first, kind, body, &detail);
    if (error == 0)
        check_accepted(&first, kind);
    else
        check_refused(&first, error, &detail);
    /* Again it is the same; and whatever may be created may be what a patch says. */
    must(user_input_parse(&second, error == 0 ? INPUT_PATCH : kind, body, &detail) == error);
    check_same(&first, &second);
    user_input_fini(&first);
    user_input_fini(&second);
    fuzz_input_fini(&input);
    return 0;
}
