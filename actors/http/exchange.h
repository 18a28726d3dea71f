/* SPDX-License-Identifier: Apache-2.0
 * exchange.h - one HTTP request and its reply, and the only place that writes replies with libh2o.
 *
 * An exchange lives from its handler's call until libh2o is done with the request: the reply is
 * written or the connection is gone. It is told of that through on_closed and must not be touched
 * after. Replies may be sent at once or later, but only from inside the loop: what is sent between
 * two h2o_evloop_run would lie until something else wakes the loop.
 */
#ifndef USERBUS_ACTORS_HTTP_EXCHANGE_H
#define USERBUS_ACTORS_HTTP_EXCHANGE_H

/* The pkg-config file of libh2o-evloop names no backend; CMake does (H2O_USE_LIBUV=0). */
#include <h2o.h>

#include "actors/http/problem.h"
#include "actors/http/request_headers.h"
#include "actors/http/route.h"

typedef struct exchange exchange_t;

/* Called when libh2o lets go of the request, at the latest when its context goes. */
typedef void exchange_closed_t(exchange_t *exchange, void *owner);

struct exchange {
    h2o_req_t *req;
    exchange_closed_t *on_closed;
    void *owner;
    const route_info_t *route; /* NULL: not matched */
    uint64_t corr;             /* of its open request; 0: none */
    int limit;                 /* of a list */
    int status;                /* of the reply; 0: none yet */
    bool deferred;
    int64_t started_us;                        /* monotonic */
    char request_id[REQUEST_ID_MAX_BYTES + 1]; /* the client's or ours */
};

/* In the request's own memory. */
exchange_t *exchange_open(h2o_req_t *req, exchange_closed_t *on_closed, void *owner);

/* Of a request header; `name` in lower case. Empty: there is none. */
text_t exchange_header(const exchange_t *self, const char *name);

/* Monotonic, for the log. */
int64_t exchange_age_us(const exchange_t *self);

/* Adds a response header. The name is static; the value is copied. */
void exchange_add_header(exchange_t *self, const char *name, text_t value);

/* The reply comes in a later turn of the loop. */
void exchange_defer(exchange_t *self);

/* 200 with a JSON body, which is copied. */
void exchange_reply(exchange_t *self, text_t body);

/* The problem's error gives status and Retry-After; its request_id is set here. */
void exchange_refuse(exchange_t *self, problem_t problem);

/* The connection ends with the reply, if that is still to come. */
void exchange_close_after(exchange_t *self);

/* Makes libh2o's own refusals (a body beyond its limit, broken chunks) problems as well. They bind
 * to the host's fallback path. */
void exchange_catch_early_errors(h2o_hostconf_t *host);

#endif
