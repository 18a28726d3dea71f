/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/dead_letter.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    OWN_ERROR,
    OWN_REASON,
    OWN_ATTEMPTS,
    OWN_FIRST_FAILED_AT,
    OWN_FINGERPRINT,
    OWN_QUEUE,
    OWN_USER,
    OWN_SEQUENCE,
    OWN_COUNT
};

#define OWN(name)                                                                                  \
    {                                                                                              \
        "userbus_" name, sizeof("userbus_" name) - 1                                               \
    }

static const text_t own_keys[OWN_COUNT] = {
    [OWN_ERROR] = OWN("error"),
    [OWN_REASON] = OWN("reason"),
    [OWN_ATTEMPTS] = OWN("attempts"),
    [OWN_FIRST_FAILED_AT] = OWN("first_failed_at"),
    [OWN_FINGERPRINT] = OWN("fingerprint"),
    [OWN_QUEUE] = OWN("queue"),
    [OWN_USER] = OWN("user"),
    [OWN_SEQUENCE] = OWN("sequence"),
};

/* FNV-1a; what comes next is told apart by a byte that stands in none of the texts. */
static uint64_t hash_text(uint64_t hash, text_t text)
{
    for (size_t i = 0; i <= text.size; i++) {
        hash ^= i < text.size ? (unsigned char)text.data[i] : 0xff;
        hash *= 0x100000001b3;
    }
    return hash;
}

void fingerprint_of(char out[FINGERPRINT_SIZE], const char *error, text_t type,
                    const char *processor)
{
    uint64_t hash = hash_text(0xcbf29ce484222325, text_of(error));
    hash = hash_text(hash, type);
    hash = hash_text(hash, text_of(processor));
    snprintf(out, FINGERPRINT_SIZE, "%016" PRIx64, hash);
}

/* OWN_COUNT: it is the original's. */
static int own_of(text_t key)
{
    int own = 0;
    while (own < OWN_COUNT && !text_equal(own_keys[own], key))
        own++;
    return own;
}

static size_t size_of(const broker_header_t *header)
{
    return header->key.size + header->value.size;
}

static bool is_too_much(const broker_header_t *header, size_t bytes)
{
    return header->key.size > DEAD_LETTER_KEY_MAX_BYTES ||
           bytes + size_of(header) > DEAD_LETTER_HEADERS_MAX_BYTES;
}

/* Behind `count` of ours, so that the bounds can only leave out others. */
static size_t collect_headers(dead_letter_t *out, size_t count, const broker_message_t *original)
{
    size_t bytes = 0;
    for (size_t i = 0; i < original->header_count && count < BROKER_PUBLISH_HEADERS_MAX; i++) {
        const broker_header_t *header = &original->headers[i];
        if (own_of(header->key) != OWN_COUNT || is_too_much(header, bytes))
            continue;
        bytes += size_of(header);
        out->headers[count++] = *header;
    }
    return count;
}

/* The time of the first failure, when it has failed in a life before. */
static text_t first_failed_at(const dead_letter_t *self, const broker_message_t *original)
{
    for (size_t i = 0; i < original->header_count; i++) {
        text_t value = original->headers[i].value;
        if (own_of(original->headers[i].key) == OWN_FIRST_FAILED_AT && value.size > 0 &&
            value.size < TIME_TEXT_SIZE)
            return value;
    }
    return text_of(self->failed_at);
}

void dead_letter_make(dead_letter_t *out, const broker_message_t *original, const char *queue,
                      const death_t *death)
{
    size_t count = 0;
    snprintf(out->routing_key, sizeof(out->routing_key), "%s.dead", queue);
    snprintf(out->attempts, sizeof(out->attempts), "%" PRId64, death->attempts);
    snprintf(out->sequence, sizeof(out->sequence), "%" PRId64, death->sequence);
    time_text(out->failed_at, death->first_failed_us);
    fingerprint_of(out->fingerprint, death->error, original->type, death->processor);
    const text_t values[OWN_COUNT] = {
        [OWN_ERROR] = text_of(death->error),
        [OWN_REASON] = text_of(death->reason),
        [OWN_ATTEMPTS] = text_of(out->attempts),
        [OWN_FIRST_FAILED_AT] = first_failed_at(out, original),
        [OWN_FINGERPRINT] = text_of(out->fingerprint),
        [OWN_QUEUE] = text_of(queue),
        [OWN_USER] = death->user_key,
        [OWN_SEQUENCE] = death->sequence > 0 ? text_of(out->sequence) : TEXT(""),
    };
    for (int i = 0; i < OWN_COUNT; i++)
        if (values[i].size > 0)
            out->headers[count++] = (broker_header_t){own_keys[i], values[i]};
    out->message = *original;
    out->message.exchange = TEXT("");
    out->message.routing_key = text_of(out->routing_key);
    out->message.delivery_mode = 2;
    out->message.headers = out->headers;
    out->message.header_count = collect_headers(out, count, original);
}
