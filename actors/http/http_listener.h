/* SPDX-License-Identifier: Apache-2.0
 * http_listener.h - opens a listening TCP socket before any actor starts, so that a taken port is
 * known while nothing else has been made.
 */
#ifndef USERBUS_ACTORS_HTTP_HTTP_LISTENER_H
#define USERBUS_ACTORS_HTTP_HTTP_LISTENER_H

#include "pipeline/actor.h" /* detail_t */

/* `address` is "host:port" or "[v6]:port"; port 0 takes a free one. On 0 *fd listens (close-on-exec,
 * non-blocking) and is the caller's, and `bound` holds the address with its real port. ERR_LISTEN:
 * *detail says why and what to do. */
int http_listener_open(int *fd, char bound[64], const char *address, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
