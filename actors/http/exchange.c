/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/exchange.h"

#include <inttypes.h>
#include <stdio.h>

#include "pipeline/clock.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static text_t header_of(const h2o_req_t *req, const char *name)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
    if (at < 0)
        return (text_t){NULL, 0};
    const h2o_iovec_t *value = &req->headers.entries[at].value;
    return (text_t){value->base, value->len};
}

static void choose_request_id(char out[REQUEST_ID_MAX_BYTES + 1], const h2o_req_t *req)
{
    text_t given = header_of(req, "x-request-id");
    if (given.data != NULL && request_id_is_usable(given)) {
        memcpy(out, given.data, given.size);
        out[given.size] = '\0';
        return;
    }
    uint8_t id[UUID_BYTES];
    uuid7_make(id, clock_wall_us() / 1000);
    uuid_text(out, id);
}

static void on_request_disposed(void *argument)
{
    exchange_t *self = argument;
    self->on_closed(self, self->owner);
}

exchange_t *exchange_open(h2o_req_t *req, exchange_closed_t *on_closed, void *owner)
{
    exchange_t *self = h2o_mem_alloc_shared(&req->pool, sizeof(*self), on_request_disposed);
    *self =
        (exchange_t){.req = req, .on_closed = on_closed, .owner = owner, .started_us = now_us()};
    choose_request_id(self->request_id, req);
    return self;
}

text_t exchange_header(const exchange_t *self, const char *name)
{
    return header_of(self->req, name);
}

int64_t exchange_age_us(const exchange_t *self)
{
    return now_us() - self->started_us;
}

static void add_header(h2o_req_t *req, const char *name, text_t value)
{
    h2o_iovec_t copy = h2o_strdup(&req->pool, value.data, value.size);
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, copy.base,
                          copy.len);
}

void exchange_add_header(exchange_t *self, const char *name, text_t value)
{
    add_header(self->req, name, value);
}

/* While a reply is pending libh2o does not read the connection, which would cost an epoll_ctl to
 * stop and one to begin again for each request. So the socket stays watched, without being read:
 * path and headers of the request lie in its input buffer. Only when something does arrive (a
 * pipelined request, the client's leaving) is watching stopped, which is what libh2o would have
 * done. */
static void on_early_input(h2o_socket_t *socket, const char *error)
{
    (void)error;
    h2o_socket_read_stop(socket);
}

static h2o_socket_t *socket_of(const exchange_t *self)
{
    return self->req->conn->callbacks->get_socket(self->req->conn);
}

void exchange_defer(exchange_t *self)
{
    h2o_socket_t *socket = socket_of(self);
    self->deferred = true;
    h2o_socket_dont_read(socket, 1);
    h2o_socket_read_start(socket, on_early_input);
}

/* Gives the socket back to libh2o as it was; before every reply, or the connection stays deaf. */
static void undefer(exchange_t *self)
{
    h2o_socket_t *socket = socket_of(self);
    self->deferred = false;
    h2o_socket_read_stop(socket);
    h2o_socket_dont_read(socket, 0);
}

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return ""; /* may be empty, RFC 9112 section 4 */
}

static void set_head(h2o_req_t *req, int status, const char *media_type, const char *request_id,
                     size_t body_size)
{
    req->res.status = status;
    req->res.reason = reason_phrase(status);
    /* Without it a 200 would be chunked, and any other status close the connection. */
    req->res.content_length = body_size;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, media_type,
                   strlen(media_type));
    add_header(req, "x-request-id", text_of(request_id));
}

static void set_problem_head(h2o_req_t *req, int error, const char *request_id, size_t body_size)
{
    const error_info_t *info = error_info(error);
    set_head(req, info->http_status, PROBLEM_MEDIA_TYPE, request_id, body_size);
    if (info->retry_after_s > 0) {
        char seconds[12];
        int size = snprintf(seconds, sizeof(seconds), "%d", info->retry_after_s);
        add_header(req, "retry-after", (text_t){seconds, (size_t)size});
    }
}

static void send_body(exchange_t *self, text_t body)
{
    if (self->deferred)
        undefer(self);
    self->status = self->req->res.status;
    h2o_send_inline(self->req, body.data, body.size);
}

void exchange_reply(exchange_t *self, text_t body)
{
    set_head(self->req, 200, "application/json", self->request_id, body.size);
    send_body(self, body);
}

void exchange_refuse(exchange_t *self, problem_t problem)
{
    text_buffer_t body = {0};
    problem.request_id = self->request_id;
    problem_json(&body, &problem);
    set_problem_head(self->req, problem.error, self->request_id, body.size);
    send_body(self, text_buffer_view(&body));
    text_buffer_fini(&body);
}

void exchange_close_after(exchange_t *self)
{
    self->req->http1_is_persistent = 0;
}

/* --- libh2o's own refusals -------------------------------------------------------------------- */

/* Stands between libh2o's plain text and the connection, and sends the problem instead. */
typedef struct replacement {
    h2o_ostream_t super;
    h2o_iovec_t body;
} replacement_t;

static void send_replacement(h2o_ostream_t *stream, h2o_req_t *req, h2o_iovec_t *buffers,
                             size_t count, h2o_send_state_t state)
{
    replacement_t *self = (replacement_t *)stream;
    (void)buffers;
    /* Nothing to send: the answer to a HEAD. */
    h2o_ostream_send_next(stream, req, &self->body, count == 0 ? 0 : 1, state);
}

static void replace_early_error(h2o_filter_t *filter, h2o_req_t *req, h2o_ostream_t **slot)
{
    (void)filter;
    problem_t problem = {.error = ERR_BAD_HEADER,
                         .detail = "Content-Length, Transfer-Encoding, Expect or the chunks of the "
                                   "body cannot be understood: correct them, then send the "
                                   "request again."};
    if (req->res.status == 413)
        problem =
            (problem_t){.error = ERR_BODY_TOO_LARGE,
                        .detail = "The body is far beyond what is taken: send a smaller one."};
    char request_id[REQUEST_ID_MAX_BYTES + 1];
    choose_request_id(request_id, req);
    problem.request_id = request_id;
    text_buffer_t body = {0};
    problem_json(&body, &problem);
    req->res.headers = (h2o_headers_t){NULL};
    set_problem_head(req, problem.error, request_id, body.size);
    replacement_t *stream = (replacement_t *)h2o_add_ostream(req, sizeof(*stream), slot);
    stream->super.do_send = send_replacement;
    stream->body = h2o_strdup(&req->pool, body.data, body.size);
    text_buffer_fini(&body);
    h2o_setup_next_ostream(req, &stream->super.next);
}

void exchange_catch_early_errors(h2o_hostconf_t *host)
{
    h2o_filter_t *filter = h2o_create_filter(&host->fallback_path, sizeof(*filter));
    filter->on_setup_ostream = replace_early_error;
}
