/* SPDX-License-Identifier: Apache-2.0
 * actor.c - the thread behind every actor. The starter and the thread share nothing but messages:
 * actor_ready goes to a mailbox made for this one start, actor_ended to the supervisor, stop to the
 * actor's own mailbox.
 */
#include "pipeline/actor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "proto/plain_text.h"

struct actor {
    pthread_t thread;
    sender_t *sender;
};

/* What the new thread needs to begin; it frees this. */
typedef struct birth {
    const char *name;
    mailroom_t *room;
    const actor_class_t *class;
    const void *conf; /* valid until actor_ready is sent */
    char ready_address[ADDRESS_MAX_BYTES];
} birth_t;

int detail_set(detail_t *detail, int error, const char *format, ...)
{
    if (detail == NULL)
        return error;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail->text, sizeof(detail->text), format, arguments);
    va_end(arguments);
    plain_text(detail->text);
    return error;
}

static void say_ready(const birth_t *birth, int error, const detail_t *detail)
{
    sender_t *starter = sender_open(birth->room, birth->ready_address);
    msg_actor_ready_t ready = {.error = error, .detail = text_of(detail->text)};
    frame_t frame = {0};
    frame_add(&frame, MSG_actor_ready, 0, &ready);
    sender_send(starter, &frame);
    sender_close(&starter);
}

static void say_ended(mailroom_t *room, const char *name, int error, const detail_t *detail)
{
    sender_t *supervisor = sender_open(room, SUPERVISOR_ADDRESS);
    msg_actor_ended_t ended = {
        .name = text_of(name), .error = error, .detail = text_of(detail->text)};
    frame_t frame = {0};
    frame_add(&frame, MSG_actor_ended, 0, &ended);
    sender_send(supervisor, &frame);
    sender_close(&supervisor);
}

static void *actor_main(void *argument)
{
    birth_t *birth = argument;
    actor_self_t self = {.name = birth->name, .room = birth->room};
    const actor_class_t *class = birth->class;
    detail_t detail = {{0}};
    void *state = NULL;
    pthread_setname_np(pthread_self(), birth->name);
    int error = mailbox_open(&self.mailbox, self.room, self.name);
    if (error != 0)
        detail_set(&detail, error, "the mailbox '%s' is in use", self.name);
    else
        error = class->init(&state, &self, birth->conf, &detail);
    if (error != 0) {
        mailbox_close(&self.mailbox); /* first, so that the starter may try again at once */
        say_ready(birth, error, &detail);
        free(birth);
        return NULL;
    }
    say_ready(birth, 0, &detail);
    free(birth);
    error = class->run(state, &detail);
    class->fini(state);
    mailbox_close(&self.mailbox);
    say_ended(self.room, self.name, error, &detail);
    return NULL;
}

/* Every signal belongs to the main thread. */
static int spawn(pthread_t *thread, birth_t *birth)
{
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int failed = pthread_create(thread, NULL, actor_main, birth);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return failed;
}

static int await_ready(mailbox_t *mailbox, int timeout_ms, detail_t *detail)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    frame_reader_t reader = {0};
    int error = ERR_DEADLINE;
    for (int64_t left = timeout_ms; left > 0; left = deadline - clock_mono_ms()) {
        if (!mailbox_receive(mailbox, &reader)) {
            mailbox_wait(mailbox, -1, 0, (int)left);
            continue;
        }
        message_t message;
        must(frame_reader_next(&reader, &message) == 1 && message.type == MSG_actor_ready);
        error = (int)message.actor_ready.error;
        detail_set(detail, error, "%.*s", (int)message.actor_ready.detail.size,
                   message.actor_ready.detail.data);
        break;
    }
    frame_reader_fini(&reader);
    return error;
}

int actor_start(actor_t **out, mailroom_t *room, const char *name, const actor_class_t *class,
                const void *conf, int start_timeout_ms, detail_t *detail)
{
    *out = NULL;
    birth_t *birth = calloc(1, sizeof(*birth));
    must(birth != NULL);
    *birth = (birth_t){.name = name, .room = room, .class = class, .conf = conf};
    must(snprintf(birth->ready_address, sizeof(birth->ready_address), "start.%s", name) <
         (int)sizeof(birth->ready_address));
    mailbox_t *mailbox = NULL;
    int error = mailbox_open(&mailbox, room, birth->ready_address);
    if (error != 0) {
        free(birth);
        return detail_set(detail, error, "actor '%s' is being started already", name);
    }
    actor_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    int failed = spawn(&self->thread, birth);
    if (failed != 0) {
        free(birth);
        free(self);
        mailbox_close(&mailbox);
        return detail_set(detail, ERR_INTERNAL, "no thread for actor '%s': %s", name,
                          strerror(failed));
    }
    error = await_ready(mailbox, start_timeout_ms, detail);
    mailbox_close(&mailbox);
    if (error == 0) {
        self->sender = sender_open(room, name);
        *out = self;
        return 0;
    }
    if (error == ERR_DEADLINE)
        detail_set(detail, error, "actor '%s' did not start within %d ms", name, start_timeout_ms);
    else
        must(pthread_join(self->thread, NULL) == 0);
    free(self);
    return error;
}

void actor_read_mail(const actor_self_t *self, frame_reader_t *reader,
                     const message_handler_t handlers[MSG_count], void *state)
{
    while (mailbox_receive(self->mailbox, reader)) {
        message_t message;
        int got;
        while ((got = frame_reader_next(reader, &message)) == 1)
            if (handlers[message.type] != NULL)
                handlers[message.type](state, &message);
        if (got != 0)
            log_event(LOG_ERROR, self->name, "bad_frame");
    }
}

static struct timespec in_ms(int ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

void actor_send_stop(actor_t *self, int deadline_ms)
{
    msg_stop_t stop = {.deadline_ms = deadline_ms};
    frame_t frame = {0};
    frame_add(&frame, MSG_stop, 0, &stop);
    sender_send(self->sender, &frame);
}

int actor_join(actor_t **self, int deadline_ms)
{
    actor_t *actor = *self;
    *self = NULL;
    struct timespec until = in_ms(deadline_ms);
    int failed = pthread_clockjoin_np(actor->thread, NULL, CLOCK_MONOTONIC, &until);
    sender_close(&actor->sender);
    free(actor);
    return failed == 0 ? 0 : ERR_DEADLINE;
}

int actor_stop(actor_t **self, int deadline_ms)
{
    if (*self == NULL)
        return 0;
    actor_send_stop(*self, deadline_ms);
    return actor_join(self, deadline_ms);
}
