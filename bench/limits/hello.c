/* SPDX-License-Identifier: Apache-2.0
 * hello.c - libh2o's own speed: one thread that answers every request at once with a few bytes.
 *
 *   bench_hello
 *
 * Prints the port that it listens on (127.0.0.1), and runs until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <h2o.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "bench/limits/limit.h"

static h2o_accept_ctx_t accept_context;

static int on_request(h2o_handler_t *self, h2o_req_t *request)
{
    (void)self;
    static const char body[] = "{\"status\":\"up\"}";
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = sizeof(body) - 1;
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_send_inline(request, body, sizeof(body) - 1);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    h2o_socket_t *socket;
    if (error == NULL)
        while ((socket = h2o_evloop_socket_accept(listener)) != NULL)
            h2o_accept(&accept_context, socket);
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    need(fd >= 0);
    need(bind(fd, (struct sockaddr *)&address, size) == 0);
    need(listen(fd, SOMAXCONN) == 0);
    need(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(void)
{
    static h2o_globalconf_t config;
    static h2o_context_t context;
    signal(SIGPIPE, SIG_IGN);
    h2o_config_init(&config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_request;
    h2o_loop_t *loop = h2o_evloop_create();
    h2o_context_init(&context, loop, &config);
    accept_context.ctx = &context;
    accept_context.hosts = config.hosts;
    h2o_socket_t *listener =
        h2o_evloop_socket_create(loop, listen_somewhere(), H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(listener, on_accept);
    for (;;)
        if (h2o_evloop_run(loop, INT32_MAX) != 0 && errno != EINTR)
            return 70;
}
