/* rooms: consumer pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * incoming_event_fuzz.c - a message that the worker gets. An event is within the bounds that the inbox relies on; a
 * rejection says why; and a dead letter of it can be sent, is the original, and stays so when it dies again.
 *
 * Input: the fields type, message_id, content_type, app_id, correlation_id, then headers ("key=value") up to an
 * empty field, then the body.
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <jansson.h>
#include <string.h>

#include "actors/consumer/dead_letter.h"
#include "actors/consumer/incoming_event.h"
#include "pipeline/broker_decode.h" /* BROKER_RECEIVED_HEADERS_MAX */
#include "pipeline/broker_encode.h"
#include "proto/errors.h"
#include "tests/fuzz/fuzz_input.h"

enum {
    SHORT_STRING_MAX = 255, /* of AMQP: no property or key is longer */
    HEADER_MAX = 4096,
    FRAME_MAX = 131072,
    FRAME_HEAD_BYTES = 7,
};

/* jansson takes nothing else for a string. */
static bool is_utf8(text_t text)
{
    json_t *string = json_stringn(text.size > 0 ? text.data : "", text.size);
    json_decref(string);
    return string != NULL;
}

static bool is_member(const json_t *object, const char *name, text_t text)
{
    const json_t *value = json_object_get(object, name);
    return text.size == json_string_length(value) &&
           (text.size == 0 || memcmp(text.data, json_string_value(value), text.size) == 0);
}

/* A body that was taken without the parser. */
static void check_as_the_parser_reads(const incoming_event_t *event, text_t body)
{
    json_t *document = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *context = json_object_get(document, "context");
    const json_t *is_valid = json_object_get(context, "is_valid");
    must(json_is_object(document) && json_object_size(document) == 3);
    must(json_is_object(context) && json_object_size(context) == 9);
    must(is_member(context, "email", event->email));
    must(is_member(context, "first_name", event->first_name));
    must(is_member(context, "last_name", event->last_name));
    must(is_member(context, "id", event->user_key) ||
         (is_member(context, "id", TEXT("")) && text_equal(event->user_key, event->email)));
    must(is_member(context, "created_at", event->registered_at) ||
         is_member(context, "created_at", TEXT("")));
    must(is_member(context, "updated_at", event->occurred_at) ||
         is_member(context, "updated_at", TEXT("")));
    must(json_is_boolean(is_valid) && json_is_true(is_valid) == (event->validity == USER_VALID));
    must(json_is_integer(json_object_get(context, "view_count")));
    must(json_is_integer(json_object_get(context, "version")));
    json_decref(document);
}

/* --- events ----------------------------------------------------------------------------------- */

static void check_event(const incoming_event_t *event, const broker_message_t *message)
{
    const struct {
        text_t text;
        size_t least, most;
    } texts[] = {
        {event->user_key, 1, USER_KEY_MAX_BYTES},
        {event->email, 1, EMAIL_MAX_BYTES},
        {event->first_name, 0, NAME_MAX_BYTES},
        {event->last_name, 0, NAME_MAX_BYTES},
        {event->registered_at, 0, INCOMING_TIME_MAX_BYTES},
        {event->occurred_at, 0, INCOMING_TIME_MAX_BYTES},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        must(texts[i].text.size >= texts[i].least && texts[i].text.size <= texts[i].most);
        must(is_utf8(texts[i].text));
    }
    must((int)event->kind >= 0 && event->kind < EVENT_KIND_COUNT);
    must(message->type.size == 0 ||
         text_equal(message->type, text_of(event_kind_name(event->kind))));
    must(event->sequence >= 0);
    must(message->body.size <= INCOMING_BODY_MAX_BYTES);
    if (event->document == NULL)
        check_as_the_parser_reads(event, message->body);
    else
        must(json_is_object(event->document));
    if (message->message_id.size > 0)
        must(text_equal(event->message_id, message->message_id));
    else
        must(event->message_id.size == 71 && memcmp(event->message_id.data, "sha256:", 7) == 0);
}

static void check_told(const rejection_t *why)
{
    size_t size = strlen(why->reason.text);
    must(why->slug != NULL && strlen(why->slug) > 0);
    must(size > 0 && is_utf8(text_of(why->reason.text)));
    for (size_t i = 0; i < size; i++)
        must((unsigned char)why->reason.text[i] >= ' ' && why->reason.text[i] != 0x7f);
}

static void check_again(const incoming_event_t *event, bool taken, const broker_message_t *message)
{
    static incoming_event_t again;
    rejection_t why = {0};
    must(incoming_event_parse(&again, message, &why) == taken);
    if (taken) {
        must(text_equal(again.message_id, event->message_id) && again.kind == event->kind);
        must(text_equal(again.user_key, event->user_key) && again.sequence == event->sequence);
        must(text_equal(again.occurred_at, event->occurred_at) &&
             again.validity == event->validity);
    }
    incoming_event_fini(&again);
}

/* --- dead letters ----------------------------------------------------------------------------- */

static uint64_t number_at(const char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

static void check_property(amqp_flags_t flags, amqp_flags_t flag, amqp_bytes_t got, text_t sent)
{
    must(((flags & flag) != 0) == (sent.size > 0));
    if (sent.size > 0)
        must(text_equal((text_t){got.bytes, got.len}, sent));
}

/* As rabbitmq-c reads them on the other side. */
static void check_properties(amqp_bytes_t encoded, const broker_message_t *sent)
{
    amqp_pool_t pool;
    void *decoded = NULL;
    init_amqp_pool(&pool, 4096);
    must(amqp_decode_properties(AMQP_BASIC_CLASS, &pool, encoded, &decoded) >= 0);
    const amqp_basic_properties_t *got = decoded;
    check_property(got->_flags, AMQP_BASIC_TYPE_FLAG, got->type, sent->type);
    check_property(got->_flags, AMQP_BASIC_MESSAGE_ID_FLAG, got->message_id, sent->message_id);
    check_property(got->_flags, AMQP_BASIC_APP_ID_FLAG, got->app_id, sent->app_id);
    must(got->delivery_mode == 2 && (size_t)got->headers.num_entries == sent->header_count);
    for (size_t i = 0; i < sent->header_count; i++) {
        const amqp_table_entry_t *entry = &got->headers.entries[i];
        must(text_equal((text_t){entry->key.bytes, entry->key.len}, sent->headers[i].key));
        must(entry->value.kind == AMQP_FIELD_KIND_UTF8);
        must(text_equal((text_t){entry->value.value.bytes.bytes, entry->value.value.bytes.len},
                        sent->headers[i].value));
    }
    empty_amqp_pool(&pool);
}

/* Frames of legal size, the second the properties, the rest the body. */
static void check_sent(const broker_message_t *message)
{
    text_buffer_t out = {0}, body = {0};
    broker_encode_publish(&out, 1, FRAME_MAX, message);
    size_t at = 0;
    for (int i = 0; at < out.size; i++) {
        size_t size = (size_t)number_at(out.data + at + 3, 4);
        char *payload = out.data + at + FRAME_HEAD_BYTES;
        must(size + FRAME_HEAD_BYTES + 1 <= FRAME_MAX && at + FRAME_HEAD_BYTES + size < out.size);
        must((uint8_t)payload[size] == AMQP_FRAME_END);
        must(out.data[at] == (i == 0   ? AMQP_FRAME_METHOD
                              : i == 1 ? AMQP_FRAME_HEADER
                                       : AMQP_FRAME_BODY));
        if (i == 1)
            check_properties((amqp_bytes_t){size - 12, payload + 12}, message);
        if (i > 1)
            text_add(&body, (text_t){payload, size});
        at += FRAME_HEAD_BYTES + size + 1;
    }
    must(text_equal(text_buffer_view(&body), message->body));
    text_buffer_fini(&out);
    text_buffer_fini(&body);
}

static text_t header_of(const broker_message_t *message, text_t key)
{
    text_t found = {NULL, 0};
    for (size_t i = 0; i < message->header_count; i++) {
        if (!text_equal(message->headers[i].key, key))
            continue;
        must(found.data == NULL); /* ours stand there once */
        found = message->headers[i].value;
        must(found.data != NULL);
    }
    return found;
}

static void check_letter(const dead_letter_t *letter, const broker_message_t *original,
                         const death_t *death)
{
    const broker_message_t *message = &letter->message;
    text_t failed_at = header_of(message, TEXT("userbus_first_failed_at"));
    must(message->header_count <= BROKER_PUBLISH_HEADERS_MAX);
    must(text_equal(message->routing_key, TEXT("user.dead")) && message->exchange.size == 0);
    must(text_equal(message->body, original->body) && text_equal(message->type, original->type));
    must(text_equal(message->message_id, original->message_id));
    must(text_equal(header_of(message, TEXT("userbus_error")), text_of(death->error)));
    must(text_equal(header_of(message, TEXT("userbus_reason")), text_of(death->reason)));
    must(text_equal(header_of(message, TEXT("userbus_queue")), TEXT("user")));
    must(text_equal(header_of(message, TEXT("userbus_user")), death->user_key));
    must(header_of(message, TEXT("userbus_fingerprint")).size == FINGERPRINT_SIZE - 1);
    must((header_of(message, TEXT("userbus_sequence")).size > 0) == (death->sequence > 0));
    must(failed_at.size >= 1 && failed_at.size < TIME_TEXT_SIZE);
    check_sent(message);
}

static void check_dead(const broker_message_t *original, const death_t *death)
{
    static dead_letter_t first, second;
    text_t at = TEXT("userbus_first_failed_at"), why = TEXT("userbus_fingerprint");
    death_t later = *death;
    later.first_failed_us += 1000000;
    dead_letter_make(&first, original, "user", death);
    check_letter(&first, original, death);
    dead_letter_make(&second, &first.message, "user", &later);
    check_letter(&second, original, &later);
    must(second.message.header_count == first.message.header_count);
    must(text_equal(header_of(&second.message, at), header_of(&first.message, at)));
    must(text_equal(header_of(&second.message, why), header_of(&first.message, why)));
}

/* --- the message ------------------------------------------------------------------------------ */

static size_t take_headers(broker_header_t headers[BROKER_RECEIVED_HEADERS_MAX],
                           fuzz_input_t *input)
{
    size_t count = 0;
    while (count < BROKER_RECEIVED_HEADERS_MAX && input->size > 0) {
        text_t field = fuzz_field(input, HEADER_MAX);
        if (field.size == 0)
            break;
        const char *equals = memchr(field.data, '=', field.size);
        size_t key = equals != NULL ? (size_t)(equals - field.data) : field.size;
        size_t rest = equals != NULL ? field.size - key - 1 : 0;
        headers[count++] =
            (broker_header_t){{field.data, key < SHORT_STRING_MAX ? key : SHORT_STRING_MAX},
                              {field.data + field.size - rest, rest}};
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static incoming_event_t event;
    broker_header_t headers[BROKER_RECEIVED_HEADERS_MAX];
    broker_message_t message = {
        .exchange = TEXT("userbus"), .routing_key = TEXT("user"), .headers = headers};
    rejection_t why = {0};
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    message.type = fuzz_field(&input, SHORT_STRING_MAX);
    message.message_id = fuzz_field(&input, SHORT_STRING_MAX);
    message.content_type = fuzz_field(&input, SHORT_STRING_MAX);
    message.app_id = fuzz_field(&input, SHORT_STRING_MAX);
    message.correlation_id = fuzz_field(&input, SHORT_STRING_MAX);
    message.header_count = take_headers(headers, &input);
    message.body = fuzz_rest(&input);
    bool taken = incoming_event_parse(&event, &message, &why);
    death_t death = {.error = "made-up",
                     .reason = "a processor would not have it",
                     .processor = "",
                     .attempts = 1};
    if (taken) {
        check_event(&event, &message);
        death.user_key = event.user_key;
        death.sequence = event.sequence;
    } else {
        check_told(&why);
        death.error = why.slug;
        death.reason = why.reason.text;
    }
    check_again(&event, taken, &message);
    check_dead(&message, &death);
    incoming_event_fini(&event);
    fuzz_input_fini(&input);
    return 0;
}
