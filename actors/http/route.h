/* SPDX-License-Identifier: Apache-2.0
 * route.h - which request means what: the routes of both listeners as one table.
 *
 * Works on the raw request target. Nothing is decoded before it is split, so an encoded slash or
 * dot in a key never changes the route.
 */
#ifndef USERBUS_ACTORS_HTTP_ROUTE_H
#define USERBUS_ACTORS_HTTP_ROUTE_H

#include <stdbool.h>

#include "proto/message.h"

typedef enum route {
    ROUTE_LIVEZ,
    ROUTE_READYZ,
    ROUTE_CREATE,
    ROUTE_LIST,
    ROUTE_READ,
    ROUTE_UPDATE,
    ROUTE_DELETE,
    ROUTE_STATUS,
    ROUTE_LANES,
    ROUTE_LANES_RELEASE,
    ROUTE_LANES_DISCARD,
    ROUTE_COUNT
} route_t;

/* Which listener a request came in by. */
typedef enum listener_kind { LISTENER_API, LISTENER_ADMIN } listener_kind_t;

/* Where a route answers. The prefix stands before those of the API alone. */
typedef enum route_audience { FOR_CLIENTS, FOR_OPERATOR, FOR_BOTH } route_audience_t;

typedef struct route_info {
    route_t route;
    const char *name; /* as the log shows it */
    const char *method;
    const char *pattern; /* "{key}" at its end stands for one segment */
    route_audience_t audience;
    bool asks_store;
    message_type_t message; /* sent to the store when asks_store */
} route_info_t;

enum { ALLOW_SIZE = 64 };

typedef struct route_match {
    const route_info_t *info; /* NULL on error */
    text_t key;               /* segment in place of {key}, raw; empty: the pattern has none */
    text_t query;             /* behind the "?", raw; empty: none */
    char allow[ALLOW_SIZE];   /* with ERR_METHOD: value of the Allow header */
} route_match_t;

/* 0, ERR_NO_ROUTE or ERR_METHOD. The texts of *out point into `target`. `prefix` stands before the
 * API's routes, "" or "/api/v1". */
int route_match(route_match_t *out, listener_kind_t listener, const char *prefix, text_t method,
                text_t target);

#endif
