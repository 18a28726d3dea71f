/* SPDX-License-Identifier: Apache-2.0
 * supervisor.c - see supervisor.h.
 */
#include "pipeline/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum { RESTART_BASE_MS = 100, RESTART_CAP_MS = 10000, STAGE_MIN_MS = 100 };

static const char ME[] = "supervisor";

/* What became of one supervised actor. */
typedef struct ward {
    actor_t *actor; /* NULL: does not run */
    backoff_t backoff;
    int failures;          /* without a healthy minute between */
    int64_t started_ms;    /* monotonic */
    int64_t restart_at_ms; /* monotonic; 0: no restart is due */
} ward_t;

struct supervisor {
    mailroom_t *room;
    mailbox_t *mailbox;
    frame_reader_t reader;
    int signal_fd;
    const supervised_t *actors;
    ward_t *wards; /* beside actors */
    size_t count;
};

static int start_ward(supervisor_t *self, size_t i, int timeout_ms, detail_t *detail)
{
    const supervised_t *actor = &self->actors[i];
    ward_t *ward = &self->wards[i];
    ward->restart_at_ms = 0;
    ward->started_ms = clock_mono_ms();
    return actor_start(&ward->actor, self->room, actor->name, actor->class, actor->conf, timeout_ms,
                       detail);
}

/* An actor that does not end holds its sockets, and the room could never be closed. error: what the
 * process was to end with anyway, or 0. */
static void end_at_once(const char *name, int error)
{
    log_event(LOG_ERROR, ME, "stop_deadline_missed", LOG_STR("name", name),
              LOG_STR("detail", "the process ends now; the next start recovers from the database"));
    _exit(error_info(error != 0 ? error : ERR_DEADLINE)->exit_code);
}

/* error: for which they are stopped, or 0. Stages stop from the last to the first. Each may use half of the time that is left, the first
 * stage all of it, so that a slow one cannot take the time of those that must still save. */
static void stop_all(supervisor_t *self, int timeout_ms, int error)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    for (size_t end = self->count; end > 0;) {
        size_t begin = end;
        while (begin > 0 && self->actors[begin - 1].stage == self->actors[end - 1].stage)
            begin--;
        int64_t left = deadline - clock_mono_ms();
        int64_t share = begin > 0 ? left / 2 : left;
        int share_ms = share > STAGE_MIN_MS ? (int)share : STAGE_MIN_MS;
        for (size_t i = begin; i < end; i++)
            if (self->wards[i].actor != NULL)
                actor_send_stop(self->wards[i].actor, share_ms);
        int64_t stage_deadline = clock_mono_ms() + share_ms + STAGE_MIN_MS;
        for (size_t i = begin; i < end; i++) {
            int64_t rest = stage_deadline - clock_mono_ms();
            if (self->wards[i].actor != NULL &&
                actor_join(&self->wards[i].actor, rest > 0 ? (int)rest : 0) != 0)
                end_at_once(self->actors[i].name, error);
        }
        end = begin;
    }
}

static int take_signals(void)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    must(pthread_sigmask(SIG_BLOCK, &ours, NULL) == 0);
    must(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    int fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    must(fd >= 0);
    return fd;
}

int supervisor_start(supervisor_t **out, const supervised_t *actors, size_t count, detail_t *detail)
{
    *out = NULL;
    supervisor_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->signal_fd = take_signals();
    self->room = mailroom_open();
    must(mailbox_open(&self->mailbox, self->room, SUPERVISOR_ADDRESS) == 0);
    self->actors = actors;
    self->count = count;
    self->wards = calloc(count, sizeof(*self->wards));
    must(self->wards != NULL);
    for (size_t i = 0; i < count; i++) {
        self->wards[i].backoff = (backoff_t){.base_ms = RESTART_BASE_MS, .cap_ms = RESTART_CAP_MS};
        int error = start_ward(self, i, FIRST_START_TIMEOUT_MS, detail);
        if (error == 0)
            continue;
        if (error == ERR_DEADLINE)
            end_at_once(actors[i].name, error);
        stop_all(self, START_TIMEOUT_MS, error);
        supervisor_close(&self);
        return error;
    }
    *out = self;
    return 0;
}

static size_t index_of(const supervisor_t *self, text_t name)
{
    size_t i = 0;
    while (i < self->count && !text_equal(text_of(self->actors[i].name), name))
        i++;
    must(i < self->count);
    return i;
}

/* An actor is down with `error`: plans its restart, or gives the error when there is none. */
static int plan_restart(supervisor_t *self, size_t i, int error, const detail_t *detail)
{
    const supervised_t *actor = &self->actors[i];
    ward_t *ward = &self->wards[i];
    int64_t now = clock_mono_ms();
    if (now - ward->started_ms >= HEALTHY_MS) {
        ward->failures = 0;
        backoff_reset(&ward->backoff);
    }
    ward->failures++;
    bool again = actor->on_failure == FAILURE_IS_ITS_OWN ||
                 (actor->on_failure == FAILURE_RESTARTS && error != ERR_DATABASE_FATAL &&
                  ward->failures <= RESTARTS_MAX);
    int delay = again ? backoff_next_ms(&ward->backoff, random_bits()) : 0;
    log_event(LOG_ERROR, ME, again ? "actor_failed" : "actor_failed_for_good",
              LOG_STR("name", actor->name), LOG_STR("error", error_info(error)->name),
              LOG_STR("detail", detail->text), LOG_INT("failures", ward->failures),
              LOG_INT("restart_in_ms", delay));
    ward->restart_at_ms = again ? now + delay : 0;
    return again ? 0 : error;
}

static int on_actor_ended(supervisor_t *self, const msg_actor_ended_t *ended, detail_t *detail)
{
    size_t i = index_of(self, ended->name);
    must(actor_join(&self->wards[i].actor, START_TIMEOUT_MS) == 0);
    /* Nobody asked it to stop, so an end without an error is a fault of ours as well. */
    int error = ended->error != 0 ? (int)ended->error : ERR_INTERNAL;
    detail_set(detail, error, "%.*s", (int)ended->detail.size, ended->detail.data);
    return plan_restart(self, i, error, detail);
}

static int read_mail(supervisor_t *self, detail_t *detail)
{
    while (mailbox_receive(self->mailbox, &self->reader)) {
        message_t message;
        while (frame_reader_next(&self->reader, &message) == 1) {
            must(message.type == MSG_actor_ended);
            int error = on_actor_ended(self, &message.actor_ended, detail);
            if (error != 0)
                return error;
        }
    }
    return 0;
}

/* Starts what is due; *wait_ms becomes the time until the next one is, -1: none is planned. */
static int restart_due(supervisor_t *self, int *wait_ms, detail_t *detail)
{
    *wait_ms = -1;
    for (size_t i = 0; i < self->count; i++) {
        ward_t *ward = &self->wards[i];
        if (ward->restart_at_ms == 0)
            continue;
        int64_t left = ward->restart_at_ms - clock_mono_ms();
        int error = 0;
        if (left <= 0) {
            error = start_ward(self, i, START_TIMEOUT_MS, detail);
            if (error == ERR_DEADLINE)
                end_at_once(self->actors[i].name, error);
            if (error == 0) {
                log_event(LOG_INFO, ME, "actor_restarted", LOG_STR("name", self->actors[i].name));
                continue;
            }
            error = plan_restart(self, i, error, detail);
            left = ward->restart_at_ms - clock_mono_ms();
        }
        if (error != 0)
            return error;
        if (*wait_ms < 0 || left < *wait_ms)
            *wait_ms = left > 0 ? (int)left : 0;
    }
    return 0;
}

static bool signal_came(supervisor_t *self)
{
    struct signalfd_siginfo info;
    if (read(self->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return false;
    log_event(LOG_INFO, ME, "stopping", LOG_STR("signal", strsignal((int)info.ssi_signo)));
    return true;
}

int supervisor_run(supervisor_t *self, int stop_timeout_ms, detail_t *detail)
{
    int error = 0, wait_ms = -1;
    while (error == 0) {
        mailbox_wait(self->mailbox, self->signal_fd, POLLIN, wait_ms);
        if (signal_came(self))
            break;
        error = read_mail(self, detail);
        if (error == 0)
            error = restart_due(self, &wait_ms, detail);
    }
    /* What waits for the one that failed waits in vain. */
    stop_all(self,
             error == 0 || stop_timeout_ms < FAILED_STOP_MS ? stop_timeout_ms : FAILED_STOP_MS,
             error);
    log_event(LOG_INFO, ME, "stopped",
              LOG_STR("error", error == 0 ? "none" : error_info(error)->name));
    return error;
}

void supervisor_close(supervisor_t **self)
{
    if (*self == NULL)
        return;
    frame_reader_fini(&(*self)->reader);
    mailbox_close(&(*self)->mailbox);
    mailroom_close(&(*self)->room);
    close((*self)->signal_fd);
    free((*self)->wards);
    free(*self);
    *self = NULL;
}
