/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/incoming_event.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdio.h>

#include "proto/errors.h"

enum { SHOWN_BYTES = 64, SEQUENCE_MAX_DIGITS = 18 };

#define SEQUENCE_HEADER "cloudEvents_sequence"

/* --- the body ----------------------------------------------------------------------------------- */

static bool parse_json(json_t **out, text_t body, rejection_t *why)
{
    json_error_t error;
    *out = json_loadb(body.size > 0 ? body.data : "", body.size, JSON_REJECT_DUPLICATES, &error);
    if (*out != NULL)
        return true;
    why->slug = "bad-json";
    detail_set(&why->reason, 0, "the body is not valid JSON: %s, at byte %d", error.text,
               error.position);
    return false;
}

/* What is there but no text counts as untold: whoever else publishes may keep something of its own under
 * these names. */
static text_t member_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (text_t){json_string_value(value), json_string_length(value)};
}

static validity_t validity_of(const json_t *context)
{
    const json_t *is_valid = json_object_get(context, "is_valid");
    if (!json_is_boolean(is_valid))
        return VALIDITY_UNTOLD;
    return json_typeof(is_valid) == JSON_TRUE ? USER_VALID : USER_DISABLED;
}

static bool read_json(incoming_event_t *out, text_t body, body_told_t *told, rejection_t *why)
{
    if (!parse_json(&out->document, body, why))
        return false;
    const json_t *context = json_object_get(out->document, "context");
    if (!json_is_object(context)) {
        why->slug = "no-context";
        detail_set(&why->reason, 0, "the body has no member `context` that is an object");
        return false;
    }
    *told = (body_told_t){.created_at = member_text(out->document, "created_at"),
                          .id = member_text(context, "id"),
                          .email = member_text(context, "email"),
                          .first_name = member_text(context, "first_name"),
                          .last_name = member_text(context, "last_name"),
                          .user_created_at = member_text(context, "created_at"),
                          .user_updated_at = member_text(context, "updated_at"),
                          .validity = validity_of(context)};
    return true;
}

static bool read_body(incoming_event_t *out, text_t body, body_told_t *told, rejection_t *why)
{
    if (body.size > INCOMING_BODY_MAX_BYTES) {
        why->slug = "body-too-large";
        detail_set(&why->reason, 0, "the body has %zu bytes, more than %d", body.size,
                   INCOMING_BODY_MAX_BYTES);
        return false;
    }
    return own_body_read(told, body) || read_json(out, body, told, why);
}

/* --- its texts ---------------------------------------------------------------------------------- */

static const struct {
    const char *name; /* in the context */
    size_t from;      /* in body_told_t */
    size_t to;        /* in incoming_event_t */
    size_t max_bytes;
} context_texts[] = {
#define CONTEXT_TEXT(name, from, to, max)                                                          \
    {                                                                                              \
        name, offsetof(body_told_t, from), offsetof(incoming_event_t, to), max                     \
    }
    CONTEXT_TEXT("id", id, user_key, USER_KEY_MAX_BYTES),
    CONTEXT_TEXT("email", email, email, EMAIL_MAX_BYTES),
    CONTEXT_TEXT("first_name", first_name, first_name, NAME_MAX_BYTES),
    CONTEXT_TEXT("last_name", last_name, last_name, NAME_MAX_BYTES),
    CONTEXT_TEXT("created_at", user_created_at, registered_at, INCOMING_TIME_MAX_BYTES),
    CONTEXT_TEXT("updated_at", user_updated_at, occurred_at, INCOMING_TIME_MAX_BYTES),
#undef CONTEXT_TEXT
};

static bool take_texts(incoming_event_t *out, const body_told_t *told, rejection_t *why)
{
    for (size_t i = 0; i < sizeof(context_texts) / sizeof(context_texts[0]); i++) {
        text_t text = *(const text_t *)(const void *)((const char *)told + context_texts[i].from);
        if (text.size > context_texts[i].max_bytes) {
            why->slug = "text-too-long";
            detail_set(&why->reason, 0, "context.%s has %zu bytes, more than %zu",
                       context_texts[i].name, text.size, context_texts[i].max_bytes);
            return false;
        }
        *(text_t *)(void *)((char *)out + context_texts[i].to) = text;
    }
    if (out->email.size > 0)
        return true;
    why->slug = "no-email";
    detail_set(&why->reason, 0, "context.email is not a text");
    return false;
}

static void fill_in(incoming_event_t *out, text_t created_at)
{
    if (created_at.size > INCOMING_TIME_MAX_BYTES)
        created_at = (text_t){0};
    if (out->user_key.size == 0)
        out->user_key = out->email;
    if (out->registered_at.size == 0)
        out->registered_at = created_at;
    if (out->occurred_at.size == 0)
        out->occurred_at = created_at;
}

/* --- properties ------------------------------------------------------------------------------- */

static bool take_kind(incoming_event_t *out, const broker_message_t *message, rejection_t *why)
{
    if (message->type.size == 0) {
        out->kind = out->validity == USER_DISABLED ? EVENT_USER_DELETE : EVENT_USER_CREATE;
        return true;
    }
    int kind = event_kind_parse(message->type);
    if (kind >= 0) {
        out->kind = (event_kind_t)kind;
        return true;
    }
    int shown = message->type.size < SHOWN_BYTES ? (int)message->type.size : SHOWN_BYTES;
    why->slug = "unknown-type";
    detail_set(&why->reason, 0, "the message's type '%.*s' is none that is known here", shown,
               message->type.data);
    return false;
}

/* The type belongs to the identity: a view and a registration may have the same body. */
static void hash_message(unsigned char out[EVP_MAX_MD_SIZE], unsigned *size,
                         const broker_message_t *message)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    must(hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1);
    must(EVP_DigestUpdate(hash, message->type.data, message->type.size) == 1);
    must(EVP_DigestUpdate(hash, message->body.data, message->body.size) == 1);
    must(EVP_DigestFinal_ex(hash, out, size) == 1);
    EVP_MD_CTX_free(hash);
}

static void take_message_id(incoming_event_t *out, const broker_message_t *message)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    out->message_id = message->message_id;
    if (message->message_id.size > 0)
        return;
    hash_message(digest, &size, message);
    int at = snprintf(out->hashed_id, HASHED_ID_SIZE, "sha256:");
    for (unsigned i = 0; i < size; i++)
        at += snprintf(out->hashed_id + at, (size_t)(HASHED_ID_SIZE - at), "%02x", digest[i]);
    out->message_id = text_of(out->hashed_id);
}

/* A sequence that is no number of this kind is another producer's and counts as untold. */
static int64_t sequence_of(const broker_message_t *message)
{
    text_t digits = {0};
    int64_t sequence = 0;
    for (size_t i = 0; i < message->header_count; i++)
        if (text_equal(message->headers[i].key, TEXT(SEQUENCE_HEADER)))
            digits = message->headers[i].value;
    if (digits.size > SEQUENCE_MAX_DIGITS)
        return 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return 0;
        sequence = sequence * 10 + (digits.data[i] - '0');
    }
    return sequence;
}

/* --- the whole -------------------------------------------------------------------------------- */

bool incoming_event_parse(incoming_event_t *out, const broker_message_t *message, rejection_t *why)
{
    body_told_t told;
    *out = (incoming_event_t){0};
    if (!read_body(out, message->body, &told, why))
        return false;
    out->validity = told.validity;
    if (!take_kind(out, message, why) || !take_texts(out, &told, why))
        return false;
    fill_in(out, told.created_at);
    out->sequence = sequence_of(message);
    take_message_id(out, message);
    return true;
}

void incoming_event_fini(incoming_event_t *event)
{
    json_decref(event->document);
    event->document = NULL;
}
