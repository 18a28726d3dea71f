/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "proto/errors.h"

int broker_socket_lookup(struct addrinfo **out, const char *host, int port, detail_t *detail)
{
    const struct addrinfo wanted = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[8];
    snprintf(service, sizeof(service), "%d", port);
    *out = NULL;
    int failed = getaddrinfo(host, service, &wanted, out);
    if (failed == 0)
        return 0;
    return detail_set(detail, ERR_BROKER_DOWN,
                      "the broker's name '%s' cannot be resolved: %s; is RABBIT_MQ_URL right?",
                      host, failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
}

bool broker_socket_await(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        struct pollfd socket = {.fd = fd, .events = events};
        int ready = poll(&socket, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready > 0)
            return true;
        if (left_ms <= 0 || (ready < 0 && errno != EINTR))
            return false;
    }
}

/* 0 or the error of a connect that was under way. */
static int connect_outcome(int fd, int64_t deadline_ms)
{
    int error = ETIMEDOUT;
    socklen_t size = sizeof(error);
    if (broker_socket_await(fd, POLLOUT, deadline_ms))
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

int broker_socket_connect(const struct addrinfo *address, int64_t deadline_ms)
{
    int on = 1, error = 0;
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        error = errno == EINPROGRESS ? connect_outcome(fd, deadline_ms) : errno;
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

void broker_socket_set_patience(int fd, int64_t ms)
{
    unsigned patience = (unsigned)ms;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof(patience));
}

void broker_socket_reset_on_close(int fd)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}
