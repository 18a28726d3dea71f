/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/incoming_event.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdio.h>

#include "proto/errors.h"

enum { SHOWN_BYTES = 64, SEQUENCE_MAX_DIGITS = 18 };

#define SEQUENCE_HEADER "cloudEvents_sequence"

/* --- texts of the body ------------------------------------------------------------------------ */

/* Members of the context that are kept. What is there but no text counts as untold: whoever else
 * publishes may keep something of its own under these names. */
static const struct {
    const char *name;
    size_t offset, max_bytes;
} context_texts[] = {
    {"id", offsetof(incoming_event_t, user_key), USER_KEY_MAX_BYTES},
    {"email", offsetof(incoming_event_t, email), EMAIL_MAX_BYTES},
    {"first_name", offsetof(incoming_event_t, first_name), NAME_MAX_BYTES},
    {"last_name", offsetof(incoming_event_t, last_name), NAME_MAX_BYTES},
    {"created_at", offsetof(incoming_event_t, registered_at), INCOMING_TIME_MAX_BYTES},
    {"updated_at", offsetof(incoming_event_t, occurred_at), INCOMING_TIME_MAX_BYTES},
};

static text_t member_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (text_t){json_string_value(value), json_string_length(value)};
}

static bool take_texts(incoming_event_t *out, const json_t *context, rejection_t *why)
{
    for (size_t i = 0; i < sizeof(context_texts) / sizeof(context_texts[0]); i++) {
        text_t text = member_text(context, context_texts[i].name);
        if (text.size > context_texts[i].max_bytes) {
            why->slug = "text-too-long";
            detail_set(&why->reason, 0, "context.%s has %zu bytes, more than %zu",
                       context_texts[i].name, text.size, context_texts[i].max_bytes);
            return false;
        }
        *(text_t *)(void *)((char *)out + context_texts[i].offset) = text;
    }
    if (out->email.size > 0)
        return true;
    why->slug = "no-email";
    detail_set(&why->reason, 0, "context.email is not a text");
    return false;
}

static void fill_in(incoming_event_t *out)
{
    text_t created_at = member_text(out->document, "created_at");
    if (created_at.size > INCOMING_TIME_MAX_BYTES)
        created_at = (text_t){0};
    if (out->user_key.size == 0)
        out->user_key = out->email;
    if (out->registered_at.size == 0)
        out->registered_at = created_at;
    if (out->occurred_at.size == 0)
        out->occurred_at = created_at;
}

static validity_t validity_of(const json_t *context)
{
    const json_t *is_valid = json_object_get(context, "is_valid");
    if (!json_is_boolean(is_valid))
        return VALIDITY_UNTOLD;
    return json_typeof(is_valid) == JSON_TRUE ? USER_VALID : USER_DISABLED;
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

static bool read_body(incoming_event_t *out, text_t body, rejection_t *why)
{
    json_error_t error;
    if (body.size > INCOMING_BODY_MAX_BYTES) {
        why->slug = "body-too-large";
        detail_set(&why->reason, 0, "the body has %zu bytes, more than %d", body.size,
                   INCOMING_BODY_MAX_BYTES);
        return false;
    }
    out->document =
        json_loadb(body.size > 0 ? body.data : "", body.size, JSON_REJECT_DUPLICATES, &error);
    if (out->document != NULL)
        return true;
    why->slug = "bad-json";
    detail_set(&why->reason, 0, "the body is not valid JSON: %s, at byte %d", error.text,
               error.position);
    return false;
}

bool incoming_event_parse(incoming_event_t *out, const broker_message_t *message, rejection_t *why)
{
    *out = (incoming_event_t){0};
    if (!read_body(out, message->body, why))
        return false;
    const json_t *context = json_object_get(out->document, "context");
    if (!json_is_object(context)) {
        why->slug = "no-context";
        detail_set(&why->reason, 0, "the body has no member `context` that is an object");
        return false;
    }
    out->validity = validity_of(context);
    if (!take_kind(out, message, why) || !take_texts(out, context, why))
        return false;
    fill_in(out);
    out->sequence = sequence_of(message);
    take_message_id(out, message);
    return true;
}

void incoming_event_fini(incoming_event_t *event)
{
    json_decref(event->document);
    event->document = NULL;
}
