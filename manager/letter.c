/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/letter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "manager/time_input.h"
#include "proto/errors.h"

enum { BODY_READ_MAX_BYTES = 1 << 20, HEADERS_BYTES_MAX = 100 * 1024, SEQUENCE_MAX_DIGITS = 18 };

#define OWN_PREFIX "userbus_"

/* --- a copy ----------------------------------------------------------------------------------- */

/* The texts of a message that are copied, but its headers and body. */
#define MESSAGE_TEXTS(m)                                                                           \
    {                                                                                              \
        &(m)->exchange, &(m)->routing_key, &(m)->content_type, &(m)->app_id, &(m)->message_id,     \
            &(m)->type, &(m)->correlation_id                                                       \
    }

enum { MESSAGE_TEXT_COUNT = 7 };

static size_t size_of(const broker_message_t *message, bool with_body)
{
    const text_t *const texts[MESSAGE_TEXT_COUNT] = MESSAGE_TEXTS(message);
    size_t size = message->header_count * sizeof(broker_header_t);
    for (size_t i = 0; i < MESSAGE_TEXT_COUNT; i++)
        size += texts[i]->size;
    for (size_t i = 0; i < message->header_count; i++)
        size += message->headers[i].key.size + message->headers[i].value.size;
    return size + (with_body ? message->body.size : 0);
}

static void move_text(text_t *text, char **at)
{
    if (text->size > 0)
        memcpy(*at, text->data, text->size);
    text->data = *at;
    *at += text->size;
}

static void copy_message(letter_t *self, const broker_message_t *message, bool with_body)
{
    broker_header_t *headers = malloc(self->bytes + 1);
    must(headers != NULL);
    char *at = (char *)(headers + message->header_count);
    self->memory = headers;
    self->message = *message;
    self->message.headers = headers;
    text_t *const texts[MESSAGE_TEXT_COUNT] = MESSAGE_TEXTS(&self->message);
    for (size_t i = 0; i < MESSAGE_TEXT_COUNT; i++)
        move_text(texts[i], &at);
    for (size_t i = 0; i < message->header_count; i++) {
        headers[i] = message->headers[i];
        move_text(&headers[i].key, &at);
        move_text(&headers[i].value, &at);
    }
    if (with_body)
        move_text(&self->message.body, &at);
    else
        self->message.body = (text_t){NULL, 0};
}

/* --- what it tells ---------------------------------------------------------------------------- */

static text_t header_of(const letter_t *self, const char *name)
{
    for (size_t i = 0; i < self->message.header_count; i++)
        if (text_equal(self->message.headers[i].key, text_of(name)))
            return self->message.headers[i].value;
    return (text_t){NULL, 0};
}

static void keep(char out[LETTER_USER_SIZE], const char *data, size_t size)
{
    if (out[0] == '\0' && size > 0 && size < LETTER_USER_SIZE) {
        memcpy(out, data, size);
        out[size] = '\0';
    }
}

static void keep_member(char out[LETTER_USER_SIZE], const json_t *context, const char *name)
{
    const json_t *value = json_object_get(context, name);
    keep(out, json_string_value(value), json_string_length(value));
}

static void tell_user(letter_t *self, text_t body)
{
    text_t user = header_of(self, "userbus_user");
    text_t subject = header_of(self, "cloudEvents_subject");
    json_t *document = body.size > 0 && body.size <= BODY_READ_MAX_BYTES
                           ? json_loadb(body.data, body.size, 0, NULL)
                           : NULL;
    const json_t *context = json_object_get(document, "context");
    keep(self->user, user.data, user.size);
    keep(self->user, subject.data, subject.size);
    keep_member(self->user, context, "id");
    keep_member(self->user, context, "email");
    keep_member(self->email, context, "email");
    json_decref(document);
}

static int64_t number_of(text_t digits)
{
    int64_t number = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9' || digits.size > SEQUENCE_MAX_DIGITS)
            return 0;
        number = number * 10 + (digits.data[i] - '0');
    }
    return number;
}

letter_t *letter_new(const broker_message_t *message, uint64_t tag, size_t arrival, bool with_body)
{
    letter_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->tag = tag;
    self->arrival = arrival;
    self->bytes = size_of(message, with_body);
    copy_message(self, message, with_body);
    self->error = header_of(self, "userbus_error");
    self->reason = header_of(self, "userbus_reason");
    self->queue = header_of(self, "userbus_queue");
    self->attempts = header_of(self, "userbus_attempts");
    self->fingerprint = header_of(self, "userbus_fingerprint");
    self->first_failed_at = header_of(self, "userbus_first_failed_at");
    self->sequence = number_of(header_of(self, "userbus_sequence"));
    if (self->sequence == 0)
        self->sequence = number_of(header_of(self, "cloudEvents_sequence"));
    if (!time_input_parse(&self->first_failed_us, self->first_failed_at))
        self->first_failed_us = -1;
    tell_user(self, message->body);
    return self;
}

void letter_free(letter_t *self)
{
    free(self->memory);
    free(self);
}

/* --- filters ---------------------------------------------------------------------------------- */

static bool means(text_t wanted, text_t told)
{
    return wanted.size == 0 || text_equal(wanted, told);
}

static bool means_user(text_t wanted, const letter_t *self)
{
    size_t size = strlen(self->email);
    return means(wanted, text_of(self->user)) ||
           (wanted.size == size && strncasecmp(wanted.data, self->email, size) == 0);
}

bool letter_matches(const letter_t *self, const letter_filter_t *filter, int64_t now_us)
{
    int64_t age_us = now_us - self->first_failed_us;
    bool by_age = filter->older_than_us >= 0 || filter->newer_than_us >= 0;
    if (by_age && self->first_failed_us < 0)
        return false;
    if (filter->older_than_us >= 0 && age_us <= filter->older_than_us)
        return false;
    if (filter->newer_than_us >= 0 && age_us >= filter->newer_than_us)
        return false;
    return means(filter->event, self->message.type) &&
           means(filter->id, self->message.message_id) &&
           means(filter->fingerprint, self->fingerprint) && means_user(filter->user, self);
}

/* --- order ------------------------------------------------------------------------------------ */

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_user(const void *left, const void *right)
{
    const letter_t *a = *(letter_t *const *)left, *b = *(letter_t *const *)right;
    int order = strcmp(a->user, b->user);
    if (order == 0)
        order = compare_numbers(a->sequence, b->sequence);
    return order != 0 ? order : compare_numbers((int64_t)a->arrival, (int64_t)b->arrival);
}

static int by_round(const void *left, const void *right)
{
    const letter_t *a = *(letter_t *const *)left, *b = *(letter_t *const *)right;
    int order = compare_numbers((int64_t)a->round, (int64_t)b->round);
    return order != 0 ? order : compare_numbers((int64_t)a->arrival, (int64_t)b->arrival);
}

void letters_plan(letter_t **letters, size_t count)
{
    if (count == 0)
        return;
    qsort(letters, count, sizeof(void *), by_user);
    for (size_t i = 0; i < count; i++) {
        bool follows = i > 0 && letters[i]->user[0] != '\0' &&
                       strcmp(letters[i]->user, letters[i - 1]->user) == 0;
        letters[i]->before = follows ? letters[i - 1] : NULL;
        letters[i]->round = follows ? letters[i - 1]->round + 1 : 0;
    }
    qsort(letters, count, sizeof(void *), by_round);
}

/* --- the replay ------------------------------------------------------------------------------- */

/* What told of the failure that is to be over. */
static bool is_past(text_t key)
{
    if (text_equal(key, TEXT("x-delivery-count"))) /* the broker's own count of deliveries */
        return true;
    static const text_t prefix = {OWN_PREFIX, sizeof(OWN_PREFIX) - 1};
    return key.size >= prefix.size && memcmp(key.data, prefix.data, prefix.size) == 0 &&
           !text_equal(key, TEXT("userbus_first_failed_at"));
}

bool replayed_letter_make(replayed_letter_t *out, const letter_t *letter, text_t exchange,
                          text_t queue, int64_t now_us)
{
    size_t count = 0, bytes = 0;
    time_text(out->replayed_at, now_us);
    out->headers[count++] =
        (broker_header_t){TEXT("userbus_replayed_at"), text_of(out->replayed_at)};
    for (size_t i = 0; i < letter->message.header_count; i++) {
        const broker_header_t *header = &letter->message.headers[i];
        if (is_past(header->key))
            continue;
        bytes += header->key.size + header->value.size;
        if (count == BROKER_PUBLISH_HEADERS_MAX || bytes > HEADERS_BYTES_MAX)
            return false;
        out->headers[count++] = *header;
    }
    out->message = letter->message;
    out->message.exchange = exchange;
    out->message.routing_key = letter->queue.size > 0 ? letter->queue : queue;
    out->message.delivery_mode = 2;
    out->message.headers = out->headers;
    out->message.header_count = count;
    return true;
}
