/* SPDX-License-Identifier: Apache-2.0
 * http_actor.h - one thread of the REST API: libh2o in front, the store's mailbox behind.
 *
 * Receives  user_reply (batch)   http.<index>, at most one per open request
 *           stop
 * Sends     requests (batch)     to "store", one frame per loop turn, at most requests_max open
 * Fails     a full table of open requests answers 503 at once; a store that is silent for 30 s (1 s
 *           for /readyz) makes it 503 too, and the slot stays taken until the store does reply
 */
#ifndef USERBUS_ACTORS_HTTP_HTTP_ACTOR_H
#define USERBUS_ACTORS_HTTP_HTTP_ACTOR_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/actor.h"

typedef struct http_conf {
    unsigned index;      /* of this thread, 0..63 */
    int listen_fd;       /* listening; the actor dups it */
    int admin_fd;        /* listening, or -1: this thread serves no operator's listener */
    const char *prefix;  /* before every route: "" or "/api/v1"; borrowed for the actor's life */
    size_t requests_max; /* open requests of this thread, 1..65536 */
    size_t body_max;     /* bytes */
    size_t
        connections_max; /* of this thread, beyond it new ones wait in the backlog; 0: half of the
                               process's descriptors */
} http_conf_t;

/* 0 when the prefix is "" or a plain path like "/api/v1"; else ERR_BAD_SETTING and *detail. */
int http_prefix_check(const char *prefix, detail_t *detail);

/* conf: http_conf_t */
extern const actor_class_t http_actor;

#endif
