/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/dead_letter.h"

#include <stdio.h>

enum { OWN_ERROR, OWN_REASON, OWN_QUEUE, OWN_FIRST_FAILED_AT, OWN_COUNT };

static const text_t own_keys[OWN_COUNT] = {
    [OWN_ERROR] = {"userbus_error", 13},
    [OWN_REASON] = {"userbus_reason", 14},
    [OWN_QUEUE] = {"userbus_queue", 13},
    [OWN_FIRST_FAILED_AT] = {"userbus_first_failed_at", 23},
};

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

/* Ours come first, so that the bounds can only leave out others. */
static size_t collect_headers(dead_letter_t *out, const broker_message_t *original)
{
    size_t count = OWN_COUNT, bytes = 0;
    for (size_t i = 0; i < original->header_count; i++) {
        const broker_header_t *header = &original->headers[i];
        int own = own_of(header->key);
        if (own == OWN_FIRST_FAILED_AT && header->value.size < TIME_TEXT_SIZE)
            out->headers[own].value = header->value;
        if (own != OWN_COUNT || header->key.size > DEAD_LETTER_KEY_MAX_BYTES ||
            bytes + size_of(header) > DEAD_LETTER_HEADERS_MAX_BYTES ||
            count == BROKER_PUBLISH_HEADERS_MAX)
            continue;
        bytes += size_of(header);
        out->headers[count++] = *header;
    }
    return count;
}

void dead_letter_make(dead_letter_t *out, const broker_message_t *original, const char *queue,
                      const rejection_t *why, int64_t now_us)
{
    snprintf(out->routing_key, sizeof(out->routing_key), "%s.dead", queue);
    time_text(out->failed_at, now_us);
    const text_t values[OWN_COUNT] = {
        [OWN_ERROR] = text_of(why->slug),
        [OWN_REASON] = text_of(why->reason.text),
        [OWN_QUEUE] = text_of(queue),
        [OWN_FIRST_FAILED_AT] = text_of(out->failed_at),
    };
    for (int i = 0; i < OWN_COUNT; i++)
        out->headers[i] = (broker_header_t){own_keys[i], values[i]};
    out->message = *original;
    out->message.exchange = TEXT("");
    out->message.routing_key = text_of(out->routing_key);
    out->message.delivery_mode = 2;
    out->message.headers = out->headers;
    out->message.header_count = collect_headers(out, original);
}
