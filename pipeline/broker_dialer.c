/* SPDX-License-Identifier: Apache-2.0
 * broker_dialer.c - the plan decides, a thread per attempt acts, and a lock around the outcome stands
 * between it and the actor.
 *
 * A job has two owners, its thread and the dialer; the last one to let go frees it. `abandoned` and
 * `ended` are each set once under the lock, so exactly one side gets the connection: the dialer when the
 * thread ended first, the thread when it was abandoned before.
 */
#include "pipeline/broker_dialer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "proto/errors.h"

/* What is asked for, with texts of its own. */
typedef struct dial_order {
    char *url, *name, *exchange, *exchange_type, *queue_type, *queue;
    int64_t dead_letter_retention_s;
    int heartbeat_s;
    uint16_t prefetch;
} dial_order_t;

typedef struct dial_job {
    /* written before the thread begins */
    dial_order_t order;
    bool declare_only; /* and close the connection again */
    int64_t deadline_ms;
    int wake_fd; /* borrowed from the dialer until the job is abandoned */
    pthread_mutex_t lock;
    /* under the lock */
    int owners;
    bool abandoned, ended;
    int error;
    detail_t detail;
    broker_connection_t *connection;
} dial_job_t;

struct broker_dialer {
    broker_urls_t urls;
    dial_order_t order; /* of every job but for the URL */
    broker_dial_plan_t plan;
    int wake_fd;
    int broker;                    /* being tried or in use; -1: none */
    dial_job_t *current;           /* of the attempt under way; NULL: none */
    dial_job_t *hung[BROKERS_MAX]; /* abandoned and, when last looked at, not ended */
    dial_job_t *mender;            /* NULL: none */
};

/* --- jobs ------------------------------------------------------------------------------------- */

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    must(copy != NULL);
    return copy;
}

static dial_order_t order_of(const char *url, const char *name, const broker_topology_t *topology,
                             int heartbeat_s, uint16_t prefetch)
{
    return (dial_order_t){.url = copy_of(url),
                          .name = copy_of(name),
                          .exchange = copy_of(topology->exchange),
                          .exchange_type = copy_of(topology->exchange_type),
                          .queue_type = copy_of(topology->queue_type),
                          .queue = copy_of(topology->queue),
                          .dead_letter_retention_s = topology->dead_letter_retention_s,
                          .heartbeat_s = heartbeat_s,
                          .prefetch = prefetch};
}

static void free_order(dial_order_t *order)
{
    free(order->url);
    free(order->name);
    free(order->exchange);
    free(order->exchange_type);
    free(order->queue_type);
    free(order->queue);
}

static broker_topology_t topology_of(const dial_order_t *order)
{
    return (broker_topology_t){order->exchange, order->exchange_type, order->queue_type,
                               order->queue, order->dead_letter_retention_s};
}

/* One of the two owners leaves. */
static void let_go(dial_job_t *job)
{
    pthread_mutex_lock(&job->lock);
    bool last = --job->owners == 0;
    pthread_mutex_unlock(&job->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&job->lock);
    free_order(&job->order);
    free(job);
}

static int set_up(broker_connection_t *connection, const dial_job_t *job, detail_t *detail)
{
    const broker_topology_t topology = topology_of(&job->order);
    broker_set_deadline(connection, job->deadline_ms);
    int error = broker_declare(connection, &topology, detail);
    if (error == 0 && !job->declare_only)
        error = broker_confirm_select(connection, detail);
    if (error == 0 && !job->declare_only && job->order.prefetch > 0)
        error = broker_consume(connection, job->order.queue, job->order.prefetch, detail);
    broker_set_deadline(connection, 0);
    return error;
}

/* Hands the outcome to the dialer, or keeps it when nobody waits for it any more. */
static void deliver(dial_job_t *job, int error, const detail_t *detail,
                    broker_connection_t **connection)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&job->lock);
    job->ended = true;
    if (!job->abandoned) {
        job->error = error;
        job->detail = *detail;
        job->connection = *connection;
        *connection = NULL;
        must(write(job->wake_fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
    }
    pthread_mutex_unlock(&job->lock);
}

static void *dial_main(void *argument)
{
    dial_job_t *job = argument;
    const broker_login_t login = {job->order.url, job->order.name, job->order.heartbeat_s};
    broker_connection_t *connection = NULL;
    detail_t detail = {{0}};
    pthread_setname_np(pthread_self(), "dial");
    int error = broker_open_by(&connection, &login, job->deadline_ms, &detail);
    if (error == 0)
        error = set_up(connection, job, &detail);
    if (error != 0 || job->declare_only)
        broker_close(&connection);
    deliver(job, error, &detail, &connection);
    broker_close(&connection);
    let_go(job);
    return NULL;
}

/* Every signal belongs to the main thread. */
static int spawn(dial_job_t *job)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_attr_init(&attributes) == 0);
    must(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int failed = pthread_create(&thread, &attributes, dial_main, job);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_attr_destroy(&attributes);
    return failed;
}

/* NULL: the system has no thread for it. */
static dial_job_t *begin_job(const broker_dialer_t *self, int broker, bool declare_only)
{
    const dial_order_t *order = &self->order;
    const broker_topology_t topology = topology_of(order);
    dial_job_t *job = calloc(1, sizeof(*job));
    must(job != NULL);
    job->order = order_of(self->urls.texts[broker], order->name, &topology, order->heartbeat_s,
                          order->prefetch);
    job->declare_only = declare_only;
    job->deadline_ms = clock_mono_ms() + DIAL_TIMEOUT_MS;
    job->wake_fd = self->wake_fd;
    job->owners = 2;
    must(pthread_mutex_init(&job->lock, NULL) == 0);
    if (spawn(job) == 0)
        return job;
    job->owners = 1;
    let_go(job);
    return NULL;
}

static bool has_ended(dial_job_t *job)
{
    pthread_mutex_lock(&job->lock);
    bool ended = job->ended;
    pthread_mutex_unlock(&job->lock);
    return ended;
}

/* The outcome of a job that has ended, which is let go. */
static int collect(dial_job_t **job, broker_connection_t **connection, detail_t *detail)
{
    dial_job_t *done = *job;
    *job = NULL;
    pthread_mutex_lock(&done->lock);
    int error = done->error;
    if (detail != NULL)
        *detail = done->detail;
    *connection = done->connection;
    pthread_mutex_unlock(&done->lock);
    let_go(done);
    return error;
}

/* Nobody waits for it any more. What it had left for us already is closed; true: it has ended. */
static bool abandon(dial_job_t *job)
{
    pthread_mutex_lock(&job->lock);
    bool ended = job->ended;
    job->abandoned = true;
    broker_connection_t *connection = job->connection;
    job->connection = NULL;
    pthread_mutex_unlock(&job->lock);
    broker_abandon(&connection);
    return ended;
}

/* --- the dialer ------------------------------------------------------------------------------- */

broker_dialer_t *broker_dialer_open(const broker_dialer_conf_t *conf)
{
    broker_dialer_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    must(broker_urls_split(&self->urls, conf->urls, NULL));
    self->order = order_of("", conf->name, &conf->topology, conf->heartbeat_s, conf->prefetch);
    self->broker = -1;
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(self->wake_fd >= 0);
    broker_dial_plan_init(&self->plan, self->urls.count, random_bits());
    return self;
}

static void abandon_and_let_go(dial_job_t **job)
{
    if (*job == NULL)
        return;
    abandon(*job);
    let_go(*job);
    *job = NULL;
}

void broker_dialer_close(broker_dialer_t **self)
{
    broker_dialer_t *dialer = *self;
    if (dialer == NULL)
        return;
    *self = NULL;
    abandon_and_let_go(&dialer->current);
    abandon_and_let_go(&dialer->mender);
    for (size_t i = 0; i < BROKERS_MAX; i++)
        abandon_and_let_go(&dialer->hung[i]);
    close(dialer->wake_fd);
    free_order(&dialer->order);
    broker_urls_fini(&dialer->urls);
    free(dialer);
}

/* Plans the broker's next attempt and leaves none in hand. */
static int failed(broker_dialer_t *self, int error)
{
    broker_dial_plan_failed(&self->plan, (size_t)self->broker, error, clock_mono_ms(),
                            random_bits());
    self->broker = -1;
    return error;
}

/* False: the last attempt at this broker still hangs in its lookup. */
static bool is_free(broker_dialer_t *self, int broker)
{
    dial_job_t **hung = &self->hung[broker];
    if (*hung != NULL && has_ended(*hung))
        abandon_and_let_go(hung);
    return *hung == NULL;
}

static int begin_attempt(broker_dialer_t *self, detail_t *detail)
{
    self->broker = broker_dial_plan_next(&self->plan, clock_mono_ms());
    if (self->broker < 0)
        return 0;
    if (!is_free(self, self->broker)) {
        detail_set(detail, 0,
                   "broker %d of %zu in RABBIT_MQ_URL: the lookup of its name still hangs",
                   self->broker + 1, self->urls.count);
        return failed(self, ERR_BROKER_DOWN);
    }
    self->current = begin_job(self, self->broker, false);
    if (self->current != NULL)
        return 0;
    detail_set(detail, 0, "no thread to connect to the broker with");
    return failed(self, ERR_BROKER_DOWN);
}

static int end_attempt(broker_dialer_t *self, broker_connection_t **out, detail_t *detail)
{
    int error = collect(&self->current, out, detail);
    if (error != 0)
        return failed(self, error);
    broker_dial_plan_connected(&self->plan, (size_t)self->broker, clock_mono_ms());
    detail_set(detail, 0, "connected to %s", broker_address(*out));
    return 1;
}

static int give_up(broker_dialer_t *self, detail_t *detail)
{
    if (!abandon(self->current))
        self->hung[self->broker] = self->current;
    else
        let_go(self->current);
    self->current = NULL;
    detail_set(detail, 0,
               "broker %d of %zu in RABBIT_MQ_URL: the lookup of its name does not end; does the "
               "resolver answer?",
               self->broker + 1, self->urls.count);
    return failed(self, ERR_BROKER_DOWN);
}

static void hear_wake(const broker_dialer_t *self)
{
    uint64_t count;
    (void)!read(self->wake_fd, &count, sizeof(count));
}

int broker_dialer_turn(broker_dialer_t *self, broker_connection_t **out, detail_t *detail)
{
    hear_wake(self);
    if (self->current == NULL)
        return begin_attempt(self, detail);
    if (has_ended(self->current))
        return end_attempt(self, out, detail);
    if (clock_mono_ms() >= self->current->deadline_ms + DIAL_GRACE_MS)
        return give_up(self, detail);
    return 0;
}

int broker_dialer_fd(const broker_dialer_t *self)
{
    return self->wake_fd;
}

int64_t broker_dialer_due_ms(const broker_dialer_t *self)
{
    return self->current != NULL ? self->current->deadline_ms + DIAL_GRACE_MS
                                 : broker_dial_plan_due_ms(&self->plan);
}

void broker_dialer_lost(broker_dialer_t *self, int error)
{
    must(self->broker >= 0 && self->current == NULL);
    broker_dial_plan_lost(&self->plan, (size_t)self->broker, error, clock_mono_ms(), random_bits());
    self->broker = -1;
}

/* --- mending ---------------------------------------------------------------------------------- */

void broker_dialer_mend(broker_dialer_t *self)
{
    if (self->broker >= 0 && self->mender == NULL)
        self->mender = begin_job(self, self->broker, true);
}

int broker_dialer_mended(broker_dialer_t *self, detail_t *detail)
{
    broker_connection_t *none = NULL;
    if (self->mender == NULL || !has_ended(self->mender))
        return 0;
    int error = collect(&self->mender, &none, detail);
    must(none == NULL);
    return error != 0 ? error : 1;
}
