/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/waiting_letters.h"

#include "actors/consumer/dead_letter.h"
#include "actors/consumer/stored_message.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"

void waiting_letters_init(waiting_letters_t *self, const char *actor, const char *queue)
{
    *self = (waiting_letters_t){.actor = actor, .queue = queue};
    pending_letters_init(&self->pending, WAITING_LETTERS_MAX);
}

void waiting_letters_fini(waiting_letters_t *self)
{
    pending_letters_fini(&self->pending);
    text_buffer_fini(&self->error);
    text_buffer_fini(&self->reason);
}

bool waiting_letters_has_room(const waiting_letters_t *self)
{
    return self->pending.count < WAITING_LETTERS_MAX;
}

static const char *terminated(text_buffer_t *buffer, text_t text)
{
    text_buffer_clear(buffer);
    text_add(buffer, text);
    text_add(buffer, (text_t){"", 1});
    return buffer->data;
}

static void keep_lane(waiting_letters_t *self, retry_lane_t *lane, uint64_t publish_tag)
{
    size_t slot = 0;
    while (slot < WAITING_LETTERS_MAX && self->lanes[slot] != NULL)
        slot++;
    must(slot < WAITING_LETTERS_MAX && pending_letters_add(&self->pending, slot, publish_tag));
    self->lanes[slot] = lane;
}

void waiting_letters_publish(waiting_letters_t *self, broker_connection_t *connection,
                             retry_lane_t *lane, const waiting_event_t *waiting,
                             const char *processor)
{
    stored_message_t stored;
    dead_letter_t letter;
    const death_t death = {
        .error = terminated(&self->error, waiting->error),
        .reason = terminated(&self->reason, waiting->reason),
        .attempts = waiting->attempts,
        .first_failed_us = waiting->first_failed_us,
        .processor = processor,
        .user_key = waiting->user_key,
        .sequence = waiting->sequence,
    };
    if (!stored_message_unpack(&stored, waiting->properties, waiting->body))
        stored.message =
            (broker_message_t){.message_id = waiting->message_id, .body = waiting->body};
    dead_letter_make(&letter, &stored.message, self->queue, &death);
    keep_lane(self, lane, broker_publish(connection, &letter.message));
    FAILPOINT("consumer.letter_published");
    log_event(LOG_WARN, self->actor, "dead_letter", LOG_TEXT("message_id", waiting->message_id),
              LOG_STR("error", death.error), LOG_STR("reason", death.reason),
              LOG_STR("fingerprint", letter.fingerprint), LOG_INT("attempts", death.attempts));
}

typedef struct visit {
    waiting_letters_t *self;
    lane_visit_t visit;
    void *context;
} visit_t;

static void on_confirmed(void *context, uint64_t slot, bool multiple)
{
    const visit_t *visit = context;
    retry_lane_t *lane = visit->self->lanes[slot];
    (void)multiple;
    visit->self->lanes[slot] = NULL;
    visit->visit(visit->context, lane);
}

void waiting_letters_confirm(waiting_letters_t *self, uint64_t publish_tag, bool multiple,
                             lane_visit_t visit, void *context)
{
    visit_t with = {self, visit, context};
    pending_letters_confirm(&self->pending, publish_tag, multiple, on_confirmed, &with);
}

void waiting_letters_lost(waiting_letters_t *self, lane_visit_t visit, void *context)
{
    for (size_t i = self->pending.count; i-- > 0;) {
        size_t slot = (size_t)self->pending.letters[i].delivery_tag;
        retry_lane_t *lane = self->lanes[slot];
        self->lanes[slot] = NULL;
        visit(context, lane);
    }
    pending_letters_clear(&self->pending);
}
