/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/http_listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/errors.h"

enum {
    BACKLOG = 1024,
    BOUND_SIZE = 64,
    HOST_SIZE = 256,
    /* A peer that takes nothing for so long is given up, since h2o has no timeout for writing.
     * Accepted sockets inherit it (tcp(7)). */
    PEER_TIMEOUT_MS = 30000,
};

/* "host:port" or "[v6]:port" in its two parts. */
static bool split_address(char host[HOST_SIZE], const char **port, const char *address)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0')
        return false;
    const char *first = address, *last = colon;
    if (*first == '[') {
        first++;
        last--;
        if (last < first || *last != ']')
            return false;
    } else if (memchr(first, ':', (size_t)(last - first)) != NULL) {
        return false;
    }
    size_t size = (size_t)(last - first);
    if (size == 0 || size >= HOST_SIZE)
        return false;
    memcpy(host, first, size);
    host[size] = '\0';
    *port = colon + 1;
    return true;
}

static void format_bound(char bound[BOUND_SIZE], int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof(name);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    must(getsockname(fd, (struct sockaddr *)&name, &size) == 0);
    must(getnameinfo((struct sockaddr *)&name, size, host, sizeof(host), port, sizeof(port),
                     NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    const char *format = name.ss_family == AF_INET6 ? "[%.54s]:%s" : "%.54s:%s";
    snprintf(bound, BOUND_SIZE, format, host, port);
}

static int listen_on(int fd, const struct addrinfo *where)
{
    int on = 1, peer_timeout_ms = PEER_TIMEOUT_MS;
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    must(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &peer_timeout_ms, sizeof(peer_timeout_ms)) ==
         0);
    if (bind(fd, where->ai_addr, where->ai_addrlen) != 0)
        return -1;
    return listen(fd, BACKLOG);
}

static int refuse(detail_t *detail, const char *address, int cause)
{
    if (cause == EADDRINUSE)
        return detail_set(detail, ERR_LISTEN,
                          "%s is in use by another process: stop that one or choose another port",
                          address);
    if (cause == EACCES)
        return detail_set(detail, ERR_LISTEN,
                          "%s may not be listened on by this user: choose a port of 1024 or more",
                          address);
    if (cause == EADDRNOTAVAIL)
        return detail_set(detail, ERR_LISTEN,
                          "%s is no address of this machine: choose one that it has", address);
    return detail_set(detail, ERR_LISTEN, "%s cannot be listened on: %s", address, strerror(cause));
}

int http_listener_open(int *fd, char bound[BOUND_SIZE], const char *address, detail_t *detail)
{
    char host[HOST_SIZE];
    const char *port = NULL;
    *fd = -1;
    if (!split_address(host, &port, address))
        return detail_set(detail, ERR_LISTEN,
                          "'%s' is no address to listen on: write host:port or [v6]:port", address);
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, port, &wanted, &found);
    if (failed != 0)
        return detail_set(detail, ERR_LISTEN, "'%s' cannot be listened on: %s", address,
                          gai_strerror(failed));
    int opened =
        socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, found->ai_protocol);
    int cause = 0;
    if (opened < 0 || listen_on(opened, found) != 0)
        cause = errno;
    freeaddrinfo(found);
    if (cause != 0) {
        if (opened >= 0)
            close(opened);
        return refuse(detail, address, cause);
    }
    format_bound(bound, opened);
    *fd = opened;
    return 0;
}
