/* SPDX-License-Identifier: Apache-2.0
 * http_actor.c - the loop around libh2o: accepts, lets dispatch.c handle requests, sends their
 * messages to the store once per turn, and feeds the store's replies back.
 *
 * Replies are sent from callbacks of the loop only (exchange.h says why); the messages of a turn are
 * sent after it, which makes them one frame.
 *
 * Stop      the listeners close; requests that a handler has seen get their reply, later ones 503
 *           with `connection: close`; idle connections are closed. When all replies are written, or
 *           the deadline is near, the rest is cut.
 */
#include "actors/http/http_actor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "actors/http/dispatch.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum {
    REQUEST_TIMEOUT_MS = 10000, /* for head and body to arrive; idle connections live as long */
    TICK_MS = 100,
    CUT_MS = 300, /* of the stop's deadline, kept for closing connections */
    ACCEPTS_PER_TURN = 32,
    /* A body that is too large is still read to here, since a connection that is closed with unread
     * data takes the answer with it. */
    BODY_OVERSHOOT = 1 << 20,
};

typedef enum http_state {
    HTTP_SERVING,
    HTTP_DRAINING, /* nothing new is admitted, what is open gets its reply */
    HTTP_CUTTING,  /* connections are being closed */
    HTTP_ENDED,
    HTTP_STATE_COUNT
} http_state_t;

typedef struct http http_t;

typedef struct listener {
    http_t *http;
    h2o_socket_t *socket; /* NULL: none, or closed */
    h2o_hostconf_t *hosts[2];
    h2o_accept_ctx_t accept;
} listener_t;

struct http {
    actor_self_t self;
    http_conf_t conf;
    http_state_t state;

    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_evloop_t *loop;
    listener_t listeners[LISTENER_ADMIN + 1];
    bool accepting;
    h2o_socket_t *mail, *ticker; /* watched, never read by libh2o */
    bool ticking;

    sender_t *store;
    frame_reader_t reader;
    dispatcher_t dispatcher;

    size_t connections;
    size_t exchanges;    /* whose reply is not yet written */
    int64_t deadline_ms; /* monotonic, once stopping */
};

/* libh2o hands a handler its own struct back. */
typedef struct edge_handler {
    h2o_handler_t super;
    http_t *http;
    listener_kind_t listener;
} edge_handler_t;

static void set_state(http_t *self, http_state_t next)
{
    static const struct {
        const char *event;
        http_state_t next;
    } moves[HTTP_STATE_COUNT] = {
        [HTTP_SERVING] = {"serving", HTTP_DRAINING},
        [HTTP_DRAINING] = {"draining", HTTP_CUTTING},
        [HTTP_CUTTING] = {"closing_connections", HTTP_ENDED},
        [HTTP_ENDED] = {"ended", HTTP_STATE_COUNT},
    };
    must(moves[self->state].next == next);
    self->state = next;
    log_event(LOG_INFO, self->self.name, moves[next].event,
              LOG_INT("connections", (int64_t)self->connections),
              LOG_INT("unanswered", (int64_t)self->exchanges));
}

/* --- ticks ------------------------------------------------------------------------------------ */

/* libh2o's own timers follow the wall clock, so deadlines are checked by a timer of ours. It runs
 * only while there is something to check. */
static void run_ticker(http_t *self, bool on)
{
    if (self->ticking == on)
        return;
    struct timespec period = {.tv_nsec = on ? TICK_MS * 1000000L : 0};
    struct itimerspec timer = {.it_interval = period, .it_value = period};
    int failed = timerfd_settime(h2o_socket_get_fd(self->ticker), 0, &timer, NULL);
    must(failed == 0);
    self->ticking = on;
}

/* --- connections ------------------------------------------------------------------------------ */

static void on_accept(h2o_socket_t *socket, const char *error);

static void set_accepting(http_t *self, bool on)
{
    if (self->accepting == on)
        return;
    self->accepting = on;
    for (size_t i = 0; i <= LISTENER_ADMIN; i++) {
        h2o_socket_t *socket = self->listeners[i].socket;
        if (socket != NULL && on)
            h2o_socket_read_start(socket, on_accept);
        else if (socket != NULL)
            h2o_socket_read_stop(socket);
    }
}

/* The backlog holds who comes next; a tick looks whether there is room again. */
static void pause_accepting(http_t *self, const char *reason)
{
    log_event(LOG_WARN, self->self.name, "accepting_paused", LOG_STR("reason", reason),
              LOG_INT("connections", (int64_t)self->connections));
    set_accepting(self, false);
    run_ticker(self, true);
}

static void on_connection_closed(void *argument)
{
    http_t *self = argument;
    self->connections--;
}

static void on_accept(h2o_socket_t *socket, const char *error)
{
    listener_t *listener = socket->data;
    http_t *self = listener->http;
    (void)error;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (self->connections >= self->conf.connections_max) {
            pause_accepting(self, "connections_max");
            return;
        }
        h2o_socket_t *accepted = h2o_evloop_socket_accept(socket);
        if (accepted == NULL) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(self, strerror(errno));
            return;
        }
        self->connections++;
        accepted->on_close.cb = on_connection_closed;
        accepted->on_close.data = self;
        h2o_accept(&listener->accept, accepted);
    }
}

static int connection_fd(const h2o_req_t *req)
{
    return h2o_socket_get_fd(req->conn->callbacks->get_socket(req->conn));
}

/* Of a connection that is to end when its request, if any, is answered. What has arrived on an idle
 * one is still read after the shutdown, so a request that was under way gets its 503. */
static int end_when_idle(h2o_req_t *req, void *argument)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    bool idle = req->version == 0 && socket->input->size == 0;
    (void)argument;
    req->http1_is_persistent = 0;
    if (idle)
        shutdown(connection_fd(req), SHUT_RD);
    return 0;
}

static int cut(h2o_req_t *req, void *argument)
{
    (void)argument;
    shutdown(connection_fd(req), SHUT_RDWR);
    return 0;
}

static void each_connection(http_t *self, int (*visit)(h2o_req_t *req, void *argument))
{
    self->config.http1.callbacks.foreach_request(&self->context, visit, NULL);
}

static void begin_cutting(http_t *self)
{
    set_state(self, HTTP_CUTTING);
    self->deadline_ms = clock_mono_ms() + CUT_MS / 2;
    each_connection(self, cut);
}

static void close_socket(h2o_socket_t **socket)
{
    if (*socket != NULL)
        h2o_socket_close(*socket);
    *socket = NULL;
}

/* --- requests --------------------------------------------------------------------------------- */

static void on_exchange_closed(exchange_t *exchange, void *owner)
{
    http_t *self = owner;
    const route_info_t *route = exchange->route;
    self->exchanges--;
    if (exchange->corr != 0)
        open_requests_abandon(&self->dispatcher.open, exchange->corr);
    log_event(exchange->status >= 500 ? LOG_WARN : LOG_DEBUG, self->self.name,
              exchange->status != 0 ? "request" : "client_left",
              LOG_STR("method", route != NULL ? route->method : "-"),
              LOG_STR("route", route != NULL ? route->name : "-"),
              LOG_INT("status", exchange->status), LOG_STR("request_id", exchange->request_id),
              LOG_INT("us", exchange_age_us(exchange)));
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    const edge_handler_t *edge = (edge_handler_t *)handler;
    http_t *self = edge->http;
    exchange_t *exchange = exchange_open(req, on_exchange_closed, self);
    self->exchanges++;
    if (self->state != HTTP_SERVING)
        exchange_close_after(exchange);
    dispatch_request(&self->dispatcher, edge->listener, exchange);
    if (self->dispatcher.open.taken > 0)
        run_ticker(self, true);
    return 0;
}

/* --- messages --------------------------------------------------------------------------------- */

static void on_user_reply(void *state, const message_t *message)
{
    http_t *self = state;
    if (!dispatch_reply(&self->dispatcher, message->corr, &message->user_reply))
        log_event(LOG_ERROR, self->self.name, "reply_for_nobody",
                  LOG_INT("corr", (int64_t)message->corr));
}

static void on_stop(void *state, const message_t *message)
{
    http_t *self = state;
    if (self->state != HTTP_SERVING)
        return;
    int64_t time_ms = message->stop.deadline_ms - CUT_MS;
    self->deadline_ms = clock_mono_ms() + (time_ms > 0 ? time_ms : 0);
    set_state(self, HTTP_DRAINING);
    self->dispatcher.stopping = true;
    for (size_t i = 0; i <= LISTENER_ADMIN; i++)
        close_socket(&self->listeners[i].socket);
    each_connection(self, end_when_idle);
    run_ticker(self, true);
}

static const message_handler_t handlers[MSG_count] = {
    [MSG_user_reply] = on_user_reply,
    [MSG_stop] = on_stop,
};

static void read_mail(http_t *self)
{
    actor_read_mail(&self->self, &self->reader, handlers, self);
}

static void on_mail(h2o_socket_t *socket, const char *error)
{
    (void)error;
    read_mail(socket->data);
}

static void on_tick(h2o_socket_t *socket, const char *error)
{
    http_t *self = socket->data;
    uint64_t ticks;
    (void)error;
    if (read(h2o_socket_get_fd(socket), &ticks, sizeof(ticks)) < 0)
        return;      /* stopped in between */
    read_mail(self); /* what came before the mailbox was watched raises no event */
    int64_t now_ms = clock_mono_ms();
    bool over = self->state == HTTP_DRAINING && now_ms >= self->deadline_ms;
    dispatch_timeouts(&self->dispatcher, over ? INT64_MAX : now_ms);
    if (over)
        begin_cutting(self);
    if (self->state == HTTP_SERVING && self->connections < self->conf.connections_max)
        set_accepting(self, true);
    if (self->state == HTTP_SERVING && self->accepting && self->dispatcher.open.taken == 0)
        run_ticker(self, false);
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>

/* libh2o keeps up to 16 freed chunks of a kind per thread, and has no call that lets go of them when
 * the thread ends; disposing of a context leaves its queue behind. */
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\nleak:h2o_multithread_create_queue\n";
}
#endif

/* --- life ------------------------------------------------------------------------------------- */

int http_prefix_check(const char *prefix, detail_t *detail)
{
    size_t size = strlen(prefix);
    if (size == 0)
        return 0;
    bool plain = prefix[0] == '/' && prefix[size - 1] != '/' && size <= PREFIX_MAX_BYTES;
    for (size_t i = 0; i < size && plain; i++)
        plain = prefix[i] > ' ' && prefix[i] < 0x7f && strchr("?#%<>\"\\", prefix[i]) == NULL;
    if (!plain)
        return detail_set(
            detail, ERR_BAD_SETTING,
            "BACKEND_API_PREFIX '%.64s' is no path: write it like /api/v1, with a slash "
            "before and none behind, at most %d bytes",
            prefix, PREFIX_MAX_BYTES);
    return 0;
}

/* A host of its own per listener, since routes differ. */
static void add_host(http_t *self, listener_kind_t kind, const char *name)
{
    listener_t *listener = &self->listeners[kind];
    h2o_hostconf_t *host =
        h2o_config_register_host(&self->config, h2o_iovec_init(name, strlen(name)), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    edge_handler_t *handler = (edge_handler_t *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->http = self;
    handler->listener = kind;
    exchange_catch_early_errors(host);
    listener->http = self;
    listener->hosts[0] = host;
    listener->accept = (h2o_accept_ctx_t){.ctx = &self->context, .hosts = listener->hosts};
}

static void set_up_h2o(http_t *self)
{
    h2o_config_init(&self->config);
    self->config.server_name = h2o_iovec_init(NULL, 0);
    self->config.max_request_entity_size = self->conf.body_max + BODY_OVERSHOOT;
    self->config.http1.req_timeout = REQUEST_TIMEOUT_MS;
    self->config.http1.upgrade_to_http2 = 0; /* this libh2o has no defence against stream resets */
    add_host(self, LISTENER_API, "api");
    add_host(self, LISTENER_ADMIN, "admin");
    self->loop = h2o_evloop_create();
    h2o_context_init(&self->context, self->loop, &self->config);
}

/* Watches a descriptor, which libh2o closes with the socket. NULL: there is none. */
static h2o_socket_t *watch(http_t *self, int fd, h2o_socket_cb callback, void *data)
{
    if (fd < 0)
        return NULL;
    h2o_socket_t *socket = h2o_evloop_socket_create(self->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    socket->data = data;
    h2o_socket_read_start(socket, callback);
    return socket;
}

static int duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static bool open_sockets(http_t *self)
{
    listener_t *api = &self->listeners[LISTENER_API], *admin = &self->listeners[LISTENER_ADMIN];
    self->ticker =
        watch(self, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), on_tick, self);
    self->mail = watch(self, duplicate(mailbox_fd(self->self.mailbox)), on_mail, self);
    api->socket = watch(self, duplicate(self->conf.listen_fd), on_accept, api);
    if (self->conf.admin_fd >= 0)
        admin->socket = watch(self, duplicate(self->conf.admin_fd), on_accept, admin);
    self->accepting = true;
    return self->ticker != NULL && self->mail != NULL && api->socket != NULL &&
           (self->conf.admin_fd < 0 || admin->socket != NULL);
}

static size_t half_of_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return limit.rlim_cur > 2 ? (size_t)limit.rlim_cur / 2 : 1;
}

/* Of a context whose connections are gone; with one left libh2o would abort. */
static void tear_down_h2o(http_t *self)
{
    h2o_context_dispose(&self->context);
    h2o_evloop_destroy(self->loop);
    h2o_config_dispose(&self->config);
}

static void http_fini(void *state)
{
    http_t *self = state;
    for (size_t i = 0; i <= LISTENER_ADMIN; i++)
        close_socket(&self->listeners[i].socket);
    close_socket(&self->mail);
    close_socket(&self->ticker);
    sender_close(&self->store);
    frame_reader_fini(&self->reader);
    if (self->connections > 0) {
        /* They point to all the rest, which the process's end will take. */
        log_event(LOG_WARN, self->self.name, "connections_left",
                  LOG_INT("connections", (int64_t)self->connections));
        return;
    }
    tear_down_h2o(self);
    frame_clear(&self->dispatcher.requests);
    open_requests_fini(&self->dispatcher.open);
    free(self);
}

static int http_init(void **state, const actor_self_t *actor, const void *conf, detail_t *detail)
{
    const http_conf_t *http_conf = conf;
    int error = http_prefix_check(http_conf->prefix, detail);
    if (error != 0)
        return error;
    http_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->self = *actor;
    self->conf = *http_conf;
    if (self->conf.connections_max == 0)
        self->conf.connections_max = half_of_descriptors();
    self->dispatcher.conf = &self->conf;
    open_requests_init(&self->dispatcher.open, self->conf.requests_max);
    self->store = sender_open(actor->room, "store");
    json_object_seed(0); /* before requests of several threads meet in it */
    set_up_h2o(self);
    if (!open_sockets(self)) {
        error = detail_set(detail, ERR_INTERNAL,
                           "no descriptors left for '%s': raise the limit "
                           "(ulimit -n)",
                           actor->name);
        http_fini(self);
        return error;
    }
    run_ticker(self, true);
    *state = self;
    return 0;
}

/* Between two turns: nothing may be replied here. */
static void advance(http_t *self)
{
    if (self->state == HTTP_DRAINING && self->exchanges == 0)
        begin_cutting(self);
    else if (self->state == HTTP_CUTTING &&
             (self->connections == 0 || clock_mono_ms() >= self->deadline_ms))
        set_state(self, HTTP_ENDED);
}

static int http_run(void *state, detail_t *detail)
{
    http_t *self = state;
    (void)detail;
    while (self->state != HTTP_ENDED) {
        h2o_evloop_run(self->loop, INT32_MAX); /* fails only with EINTR */
        sender_send(self->store, &self->dispatcher.requests);
        advance(self);
    }
    return 0;
}

const actor_class_t http_actor = {.init = http_init, .run = http_run, .fini = http_fini};
