/* SPDX-License-Identifier: Apache-2.0
 * dispatch.h - what happens to a request: it is refused, answered, or becomes a message to the store;
 * and what becomes of the store's reply.
 */
#ifndef USERBUS_ACTORS_HTTP_DISPATCH_H
#define USERBUS_ACTORS_HTTP_DISPATCH_H

#include "actors/http/exchange.h"
#include "actors/http/http_actor.h"
#include "actors/http/open_requests.h"

enum {
    PREFIX_MAX_BYTES = 256,
    STORE_TIMEOUT_MS = 30000, /* then 503; what the store did with the request is unknown */
    HEALTH_TIMEOUT_MS = 1000,
};

typedef struct dispatcher {
    const http_conf_t *conf;
    open_requests_t open; /* sent or about to be, and not replied to */
    frame_t requests;     /* of this turn of the loop, to be sent to the store */
    bool stopping;        /* nothing goes to the store any more */
} dispatcher_t;

/* Handles a request that came in by the given listener. */
void dispatch_request(dispatcher_t *self, listener_kind_t listener, exchange_t *exchange);

/* Answers whom the reply is for. False: it is for nobody, which is the store's bug. */
bool dispatch_reply(dispatcher_t *self, uint64_t corr, const msg_user_reply_t *reply);

/* Answers 503 to everyone whose patience ends by now_ms; INT64_MAX: to everyone. */
void dispatch_timeouts(dispatcher_t *self, int64_t now_ms);

#endif
