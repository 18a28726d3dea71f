/* SPDX-License-Identifier: Apache-2.0
 * broker_socket.h - from a name to a connected TCP socket, within a deadline.
 */
#ifndef USERBUS_PIPELINE_BROKER_SOCKET_H
#define USERBUS_PIPELINE_BROKER_SOCKET_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h" /* detail_t */

/* The addresses of a name. This call waits for as long as the system's resolver does, which no deadline
 * of ours shortens: an actor must not make it (broker_dialer.h). 0, and *out goes to freeaddrinfo;
 * ERR_BROKER_DOWN, with *detail. */
int broker_socket_lookup(struct addrinfo **out, const char *host, int port, detail_t *detail)
    __attribute__((warn_unused_result));

/* Connects to one address by deadline_ms (monotonic). A descriptor, non-blocking and closed on exec, or
 * -1 and errno, ETIMEDOUT after the deadline. */
int broker_socket_connect(const struct addrinfo *address, int64_t deadline_ms);

/* Waits until fd has one of poll's `events` or is broken. False: not by deadline_ms (monotonic). */
bool broker_socket_await(int fd, short events, int64_t deadline_ms);

/* For how long the kernel may wait for the peer to take what was sent, before it ends the connection;
 * 0: as long as the peer says that it lives. */
void broker_socket_set_patience(int fd, int64_t ms);

/* The next close drops what waits in the kernel and resets the connection, so that nothing of a peer
 * that does not answer stays behind. */
void broker_socket_reset_on_close(int fd);

#endif
