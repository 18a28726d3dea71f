/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/letter_box.h"

#include <stdio.h>
#include <stdlib.h>

#include "manager/output.h"
#include "manager/pace.h"
#include "pipeline/clock.h"
#include "proto/errors.h"

enum {
    ARRIVAL_MAX_MS =
        3000, /* nothing came for so long: the rest is in other hands, or has expired */
    ACKS_PER_FLUSH = 256,
    WINDOW = 256, /* letters in flight */
};

/* --- reading ---------------------------------------------------------------------------------- */

int letter_box_open(letter_box_t *out, const settings_t *settings, const char *queue,
                    detail_t *detail)
{
    uint32_t consumers = 0;
    *out = (letter_box_t){.settings = settings, .queue = queue};
    if (snprintf(out->name, sizeof(out->name), "%s.dead", queue) >= (int)sizeof(out->name))
        return detail_set(detail, ERR_USAGE, "--queue: the name is too long");
    int error = operator_broker_open(&out->broker, settings, "userbus dead_letters", detail);
    if (error == 0)
        error = broker_queue_depth(out->broker, out->name, &out->depth, &consumers, detail);
    if (error ==
        0) /* before anything is delivered, which would stand between a call and its reply */
        error = broker_confirm_select(out->broker, detail);
    return error;
}

static void look_at(letter_box_t *self, const broker_event_t *event, const letter_filter_t *filter,
                    bool with_bodies)
{
    letter_t *letter = letter_new(&event->message, event->tag, self->seen, with_bodies);
    self->seen++;
    if (!letter_matches(letter, filter, clock_wall_us())) {
        letter_free(letter);
        return;
    }
    self->bytes += letter->bytes;
    self->letters[self->count++] = letter;
}

static bool is_full(const letter_box_t *self)
{
    return self->seen == LETTERS_MAX || self->bytes >= LETTERS_MAX_BYTES;
}

/* What has arrived; *progress: that was anything. */
static int read_arrived(letter_box_t *self, const letter_filter_t *filter, bool with_bodies,
                        bool *progress, detail_t *detail)
{
    broker_event_t event;
    int got = 0;
    *progress = false;
    while (self->seen < self->depth && !is_full(self) &&
           (got = broker_next(self->broker, &event, detail)) == 1) {
        if (event.kind == BROKER_CANCELLED)
            return detail_set(detail, ERR_BROKER_DOWN, "the queue %s went away", self->name);
        if (event.kind != BROKER_DELIVERY)
            continue;
        look_at(self, &event, filter, with_bodies);
        *progress = true;
    }
    return got < 0 ? got : 0;
}

int letter_box_read(letter_box_t *self, const letter_filter_t *filter, bool with_bodies,
                    detail_t *detail)
{
    int64_t until_ms = clock_mono_ms() + ARRIVAL_MAX_MS;
    size_t most = self->depth < LETTERS_MAX ? self->depth : LETTERS_MAX;
    self->letters = calloc(most + 1, sizeof(letter_t *));
    must(self->letters != NULL);
    int error =
        self->depth == 0 ? 0 : broker_consume(self->broker, self->name, LETTERS_MAX, detail);
    while (error == 0 && self->seen < self->depth && !is_full(self)) {
        bool progress = false;
        error = read_arrived(self, filter, with_bodies, &progress, detail);
        int64_t now_ms = clock_mono_ms();
        if (progress)
            until_ms = now_ms + ARRIVAL_MAX_MS;
        else if (error == 0 && now_ms >= until_ms)
            break;
        else if (error == 0)
            error = operator_broker_wait(self->broker, (int)(until_ms - now_ms), detail);
    }
    self->is_partial = self->seen < self->depth;
    return error;
}

void letter_box_close(letter_box_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        letter_free(self->letters[i]);
    free(self->letters);
    broker_close(&self->broker);
    *self = (letter_box_t){0};
}

/* --- deleting --------------------------------------------------------------------------------- */

/* Nothing answers an ack, and a quorum queue holds acks back when many come at once: those that it holds
 * when the connection ends are lost, and their letters are dead letters still. So the last one is not acked but put
 * back, which happens in order behind the acks: once it is delivered again, they have been done. */
static int await_acks(letter_box_t *self, letter_t *last, detail_t *detail)
{
    int64_t until_ms = clock_mono_ms() + OPERATOR_STALL_MS + (int64_t)self->count; /* 1 ms each */
    broker_event_t event = {0};
    int got = 0;
    broker_requeue(self->broker, last->tag);
    while (clock_mono_ms() < until_ms) {
        int error = operator_broker_wait(self->broker, BROKER_IDLE_MAX_MS, detail);
        while (error == 0 && (got = broker_next(self->broker, &event, detail)) == 1) {
            if (event.kind != BROKER_DELIVERY || !event.redelivered ||
                !text_equal(event.message.message_id, last->message.message_id))
                continue;
            last->tag = event.tag;
            return 0;
        }
        if (error != 0 || got < 0)
            return error != 0 ? error : got;
    }
    return detail_set(detail, ERR_UNFINISHED,
                      "the broker did not show that it has deleted the letters; look at %s again",
                      self->name);
}

static int ack_last(letter_box_t *self, letter_t *last, detail_t *detail)
{
    int error = await_acks(self, last, detail);
    if (error != 0)
        return error;
    broker_ack(self->broker, last->tag, false);
    return broker_flush(self->broker, detail);
}

int letter_box_discard(letter_box_t *self, size_t count, detail_t *detail)
{
    int error = 0;
    for (size_t i = 0; i + 1 < count && error == 0; i++) {
        broker_ack(self->broker, self->letters[i]->tag, false);
        if (i % ACKS_PER_FLUSH == ACKS_PER_FLUSH - 1)
            error = operator_broker_wait(self->broker, 0, detail);
    }
    if (count == 0 || error != 0)
        return error;
    return ack_last(self, self->letters[count - 1], detail);
}

/* --- replaying -------------------------------------------------------------------------------- */

typedef struct replay {
    letter_box_t *box;
    pace_t pace;
    letter_t **by_tag;             /* [tag - 1]: the letter that was published with it */
    letter_t *unacked;             /* the latest that is replayed: its ack comes last, or NULL */
    size_t published, first_open;  /* first_open: index of the oldest without outcome */
    size_t in_flight, done, total; /* done: with an outcome, or passed over */
    bool blocked;
    int64_t heard_ms; /* monotonic: when the broker last said something */
} replay_t;

static void settle(replay_t *self, letter_t *letter, bool confirmed)
{
    if (letter->state != LETTER_IN_FLIGHT)
        return;
    letter->state = confirmed && !letter->is_returned ? LETTER_REPLAYED : LETTER_FAILED;
    if (letter->state == LETTER_REPLAYED) {
        if (self->unacked != NULL)
            broker_ack(self->box->broker, self->unacked->tag, false);
        self->unacked = letter;
    }
    self->in_flight--;
    self->done++;
}

static void on_outcome(replay_t *self, const broker_event_t *event)
{
    if (event->tag == 0 || event->tag > self->published)
        return;
    for (size_t i = event->multiple ? self->first_open : event->tag - 1; i < event->tag; i++)
        settle(self, self->by_tag[i], event->kind == BROKER_ACK);
    while (self->first_open < self->published &&
           self->by_tag[self->first_open]->state != LETTER_IN_FLIGHT)
        self->first_open++;
}

/* A return names its message only by its id: whichever has that id did not arrive for certain. */
static void on_return(replay_t *self, const broker_event_t *event)
{
    for (size_t i = self->first_open; i < self->published; i++)
        if (text_equal(self->by_tag[i]->message.message_id, event->message.message_id))
            self->by_tag[i]->is_returned = true;
}

/* Deliveries beyond what was looked at are passed over: not acked, they go back at the end. */
static int read_broker(replay_t *self, detail_t *detail)
{
    broker_event_t event;
    int got;
    while ((got = broker_next(self->box->broker, &event, detail)) == 1) {
        self->heard_ms = clock_mono_ms();
        if (event.kind == BROKER_ACK || event.kind == BROKER_NACK)
            on_outcome(self, &event);
        else if (event.kind == BROKER_RETURN)
            on_return(self, &event);
        else if (event.kind == BROKER_BLOCKED || event.kind == BROKER_UNBLOCKED)
            self->blocked = event.kind == BROKER_BLOCKED;
    }
    return got;
}

static int turn(replay_t *self, int timeout_ms, detail_t *detail)
{
    int error = operator_broker_wait(self->box->broker, timeout_ms, detail);
    if (error == 0)
        error = read_broker(self, detail);
    if (error == 0 && self->in_flight > 0 && !self->blocked &&
        clock_mono_ms() - self->heard_ms > OPERATOR_STALL_MS)
        return detail_set(detail, ERR_BROKER_DOWN, "the broker confirms nothing any more");
    if (timeout_ms > 0)
        print_progress("replayed", self->done, self->total);
    return error;
}

/* Until at most so many are in flight, and the broker takes publishes. */
static int await_room(replay_t *self, size_t most, detail_t *detail)
{
    int error = 0;
    while (error == 0 && (self->in_flight > most || self->blocked))
        error = turn(self, BROKER_IDLE_MAX_MS, detail);
    return error;
}

static int await_pace(replay_t *self, detail_t *detail)
{
    int error = 0, wait_ms;
    while (error == 0 && (wait_ms = pace_wait_ms(&self->pace, clock_mono_ms())) > 0)
        error = turn(self, wait_ms, detail);
    return error;
}

static void publish(replay_t *self, letter_t *letter)
{
    replayed_letter_t made;
    const settings_t *settings = self->box->settings;
    if (!replayed_letter_make(&made, letter, text_of(settings->exchange_name),
                              text_of(self->box->queue), clock_wall_us())) {
        letter->state = LETTER_FAILED;
        self->done++;
        return;
    }
    letter->state = LETTER_IN_FLIGHT;
    self->by_tag[self->published++] = letter;
    must(broker_publish(self->box->broker, &made.message) == self->published);
    self->heard_ms = self->in_flight == 0 ? clock_mono_ms() : self->heard_ms;
    self->in_flight++;
    self->pace.sent++;
}

static int replay_one(replay_t *self, letter_t *letter, bool round_begins, detail_t *detail)
{
    /* Without an id a return could not be told from another one's. */
    bool alone = letter->message.message_id.size == 0;
    int error = await_room(self, round_begins || alone ? 0 : WINDOW - 1, detail);
    if (error == 0)
        error = await_pace(self, detail);
    if (error != 0)
        return error;
    if (letter->before != NULL && letter->before->state != LETTER_REPLAYED) {
        letter->state = LETTER_FAILED;
        self->done++;
        return 0;
    }
    publish(self, letter);
    return alone ? await_room(self, 0, detail) : 0;
}

int letter_box_replay(letter_box_t *self, size_t count, int64_t per_second, detail_t *detail)
{
    replay_t replay = {.box = self,
                       .pace = {.per_second = per_second, .start_ms = clock_mono_ms()},
                       .by_tag = calloc(count + 1, sizeof(letter_t *)),
                       .total = count};
    must(replay.by_tag != NULL);
    letters_plan(self->letters, self->count);
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++)
        error = replay_one(&replay, self->letters[i],
                           i > 0 && self->letters[i]->round != self->letters[i - 1]->round, detail);
    if (error == 0)
        error = await_room(&replay, 0, detail);
    if (error == 0 && replay.unacked != NULL)
        error = ack_last(self, replay.unacked, detail);
    end_progress();
    free(replay.by_tag);
    return error;
}
