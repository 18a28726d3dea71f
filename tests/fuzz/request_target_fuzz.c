/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * request_target_fuzz.c - path, query and headers of a request. A match is what the table says, an Allow header
 * lists methods that do match, a key is decoded once, and all that is accepted fits into its message.
 *
 * Input: a byte (bit 0: the operator's listener, bit 1: with a prefix), then the fields method, target,
 * X-Request-Id, traceparent, tracestate, Content-Type.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistr.h>

#include "actors/http/email.h"
#include "actors/http/request_headers.h"
#include "actors/http/route.h"
#include "actors/http/target.h"
#include "proto/errors.h"
#include "proto/text_buffer.h"
#include "proto/uuid7.h"
#include "tests/fuzz/fuzz_input.h"

enum { FIELD_MAX = 8192 };

typedef struct request {
    listener_kind_t listener;
    const char *prefix;
    text_t method, target, request_id, traceparent, tracestate, content_type;
} request_t;

static bool inside(text_t part, text_t whole)
{
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static bool told(const detail_t *detail)
{
    size_t size = strlen(detail->text);
    return size > 0 && u8_check((const uint8_t *)detail->text, size) == NULL &&
           strpbrk(detail->text, "\r\n") == NULL;
}

/* --- routes ----------------------------------------------------------------------------------- */

static void check_allow(const request_t *request, const char *allow)
{
    char methods[ALLOW_SIZE], *rest = methods;
    snprintf(methods, sizeof(methods), "%s", allow);
    for (char *method; (method = strsep(&rest, ",")) != NULL;) {
        route_match_t match;
        method += *method == ' ';
        must(*method != '\0' && !text_equal(text_of(method), request->method));
        must(route_match(&match, request->listener, request->prefix, text_of(method),
                         request->target) == 0);
    }
}

static void check_match(const request_t *request, const route_match_t *match)
{
    must(match->info != NULL && match->allow[0] == '\0');
    must(text_equal(request->method, text_of(match->info->method)));
    must(match->info->audience != (request->listener == LISTENER_API ? FOR_OPERATOR : FOR_CLIENTS));
    must(inside(match->key, request->target) && inside(match->query, request->target));
    must((match->key.size > 0) == (strchr(match->info->pattern, '{') != NULL));
    if (match->key.size > 0)
        must(memchr(match->key.data, '/', match->key.size) == NULL &&
             memchr(match->key.data, '?', match->key.size) == NULL);
}

/* --- keys ------------------------------------------------------------------------------------- */

static int parse_key(user_key_t *out, text_t segment)
{
    detail_t detail = {{0}};
    int error = user_key_parse(out, segment, &detail);
    must(error == 0 || error == ERR_BAD_PATH || error == ERR_USER_NOT_FOUND);
    must((error != 0) == told(&detail));
    if (error == 0)
        must((out->id_size == ID_BYTES && out->email_key_size == 0) ||
             (out->id_size == 0 && out->email_key_size >= 3));
    return error;
}

static bool same_key(const user_key_t *a, const user_key_t *b)
{
    return text_equal((text_t){(const char *)a->id, a->id_size},
                      (text_t){(const char *)b->id, b->id_size}) &&
           text_equal((text_t){a->email_key, a->email_key_size},
                      (text_t){b->email_key, b->email_key_size});
}

static void encode(text_buffer_t *out, text_t text)
{
    for (size_t i = 0; i < text.size; i++) {
        char byte[4];
        snprintf(byte, sizeof(byte), i % 2 == 0 ? "%%%02x" : "%%%02X", (unsigned char)text.data[i]);
        text_add(out, text_of(byte));
    }
}

/* Encoding a text says the same as the text, unless a percent sign says something else in it. */
static void check_encoded(text_t text, int error, const user_key_t *key)
{
    user_key_t again;
    text_buffer_t encoded = {0};
    encode(&encoded, text);
    must(parse_key(&again, text_buffer_view(&encoded)) == error);
    must(error != 0 || same_key(&again, key));
    text_buffer_fini(&encoded);
}

static void check_key(text_t segment, user_key_t *key)
{
    int error = parse_key(key, segment);
    if (memchr(segment.data, '%', segment.size) == NULL)
        check_encoded(segment, error, key);
    if (error != 0) {
        key->id_size = key->email_key_size = 0;
    } else if (key->id_size > 0) {
        char text[UUID_TEXT_SIZE];
        uuid_text(text, key->id);
        check_encoded(text_of(text), 0, key);
    } else if (email_fault((text_t){key->email_key, key->email_key_size}) == NULL) {
        check_encoded((text_t){key->email_key, key->email_key_size}, 0, key);
    }
}

/* --- queries ---------------------------------------------------------------------------------- */

static void check_query(text_t query)
{
    list_query_t list, again;
    detail_t detail = {{0}};
    int error = list_query_parse(&list, query, &detail);
    must(error == 0 || error == ERR_BAD_QUERY);
    must((error != 0) == told(&detail));
    if (error != 0)
        return;
    must(list.limit >= 1 && list.limit <= LIST_LIMIT_MAX);
    must(list.cursor_size == 0 || list.cursor_size == ID_BYTES);
    char text[128], cursor[UUID_TEXT_SIZE];
    int size = snprintf(text, sizeof(text), "limit=%d", list.limit);
    if (list.cursor_size > 0) {
        uuid_text(cursor, list.cursor);
        snprintf(text + size, sizeof(text) - (size_t)size, "&cursor=%s", cursor);
    }
    must(list_query_parse(&again, text_of(text), &detail) == 0);
    must(again.limit == list.limit && again.cursor_size == list.cursor_size);
    must(list.cursor_size == 0 || memcmp(again.cursor, list.cursor, ID_BYTES) == 0);
}

/* --- headers ---------------------------------------------------------------------------------- */

static bool all_zeros(const char *digits, size_t size)
{
    size_t zeros = 0;
    while (zeros < size && digits[zeros] == '0')
        zeros++;
    return zeros == size;
}

static void check_traceparent(text_t value)
{
    must(value.size == 55 && memcmp(value.data, "00-", 3) == 0);
    for (size_t i = 0; i < value.size; i++) {
        bool dash = i == 2 || i == 35 || i == 52;
        must(dash ? value.data[i] == '-' : strchr("0123456789abcdef", value.data[i]) != NULL);
        must(value.data[i] != '\0');
    }
    must(!all_zeros(value.data + 3, 32) && !all_zeros(value.data + 36, 16));
}

static void check_media_type(text_t value)
{
    static const char json[] = "application/json";
    if (!content_type_is(value, json))
        return;
    must(value.size >= sizeof(json) - 1 && strncasecmp(value.data, json, sizeof(json) - 1) == 0);
    must(value.size == sizeof(json) - 1 || strchr("; \t", value.data[sizeof(json) - 1]) != NULL);
    must(!content_type_is(value, "application/merge-patch+json"));
}

/* What the checks let through travels to the store; frame_add aborts at what is out of bounds. */
static void check_message(const request_t *request, const user_key_t *key)
{
    msg_user_read_t sent = {.request_id = TEXT("ours")};
    frame_t frame = {0};
    frame_reader_t reader = {0};
    message_t message;
    if (request_id_is_usable(request->request_id))
        sent.request_id = request->request_id;
    if (traceparent_is_valid(request->traceparent)) {
        check_traceparent(request->traceparent);
        sent.traceparent = request->traceparent;
    }
    if (tracestate_is_usable(request->tracestate))
        sent.tracestate = request->tracestate;
    sent.id = (text_t){(const char *)key->id, key->id_size};
    sent.email_key = (text_t){key->email_key, key->email_key_size};
    frame_add(&frame, MSG_user_read, 1, &sent);
    frame_reader_reset(&reader, frame.bytes.data, frame.bytes.size);
    must(frame_reader_next(&reader, &message) == 1);
    must(text_equal(message.user_read.request_id, sent.request_id));
    must(text_equal(message.user_read.email_key, sent.email_key));
    frame_reader_fini(&reader);
    frame_clear(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t choice = fuzz_byte(&input);
    request_t request = {.listener = (choice & 1) != 0 ? LISTENER_ADMIN : LISTENER_API,
                         .prefix = (choice & 2) != 0 ? "/api/v1" : ""};
    text_t *fields[] = {&request.method,      &request.target,     &request.request_id,
                        &request.traceparent, &request.tracestate, &request.content_type};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        *fields[i] = fuzz_field(&input, FIELD_MAX);
    route_match_t match;
    user_key_t key = {.id_size = 0};
    int error =
        route_match(&match, request.listener, request.prefix, request.method, request.target);
    if (error == 0)
        check_match(&request, &match);
    else
        must(match.info == NULL && error == (match.allow[0] != '\0' ? ERR_METHOD : ERR_NO_ROUTE));
    if (error == ERR_METHOD)
        check_allow(&request, match.allow);
    if (error == 0 && match.key.size > 0)
        check_key(match.key, &key);
    if (error == 0 && match.info->route == ROUTE_LIST)
        check_query(match.query);
    check_media_type(request.content_type);
    check_message(&request, &key);
    fuzz_input_fini(&input);
    return 0;
}
