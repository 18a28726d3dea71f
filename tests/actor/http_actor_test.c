/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * http_actor_test.c - the REST edge over real sockets. The test is both ends: it writes HTTP as a
 * client, and it is the store, which takes the messages and replies when the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the others, as it asks */
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "actors/http/http_actor.h"
#include "actors/http/http_listener.h"
#include "pipeline/clock.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

#define ID        "0190a5d2-7c1e-7abc-8def-0123456789ab"
#define PARENT    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define USER_JSON "{\"id\":\"" ID "\",\"first_name\":\"Ann\"}"
#define ANN_SIZE  "58"
#define ANN_JSON  "{\"email\":\"Ann@B.org\",\"first_name\":\"Ann\",\"last_name\":\"Lee\"}"

enum {
    WAIT_MS = 5000, /* for things that must happen */
    BODY_MAX = 2048,
    REQUESTS_MAX = 4,
};

/* --- both ends -------------------------------------------------------------------------------- */

static mailroom_t *room;
static mailbox_t *store, *supervisor;
static sender_t *http_mail;
static frame_reader_t store_reader;
static actor_t *actor;
static int listen_fd, admin_fd;
static uint16_t port, admin_port;
static uint8_t some_id[UUID_BYTES];

typedef struct client {
    int fd;
    char data[1 << 17]; /* received, not yet taken */
    size_t size;
} client_t;

typedef struct response {
    int status;
    char head[4096]; /* terminated, from the status line to before the empty line */
    char body[1 << 16];
    size_t body_size;
} response_t;

static response_t response; /* the last one read */

static uint16_t port_of(const char *bound)
{
    return (uint16_t)atoi(strrchr(bound, ':') + 1);
}

static void start_with(const char *prefix, size_t requests_max, size_t connections_max)
{
    char bound[64];
    detail_t detail = {{0}};
    assert_true(uuid_parse(some_id, TEXT(ID)));
    assert_int_equal(atoi(ANN_SIZE), strlen(ANN_JSON));
    room = mailroom_open();
    assert_int_equal(mailbox_open(&store, room, "store"), 0);
    assert_int_equal(mailbox_open(&supervisor, room, SUPERVISOR_ADDRESS), 0);
    assert_int_equal(http_listener_open(&listen_fd, bound, "127.0.0.1:0", &detail), 0);
    port = port_of(bound);
    assert_int_equal(http_listener_open(&admin_fd, bound, "127.0.0.1:0", &detail), 0);
    admin_port = port_of(bound);
    const http_conf_t conf = {.index = 7,
                              .listen_fd = listen_fd,
                              .admin_fd = admin_fd,
                              .prefix = prefix,
                              .requests_max = requests_max,
                              .body_max = BODY_MAX,
                              .connections_max = connections_max};
    assert_int_equal(actor_start(&actor, room, "http.7", &http_actor, &conf, WAIT_MS, &detail), 0);
    http_mail = sender_open(room, "http.7");
}

static int start(void **state)
{
    (void)state;
    start_with("", REQUESTS_MAX, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(actor_stop(&actor, WAIT_MS), 0);
    sender_close(&http_mail);
    frame_reader_fini(&store_reader);
    mailbox_close(&store);
    mailbox_close(&supervisor);
    mailroom_close(&room);
    close(listen_fd);
    close(admin_fd);
    return 0;
}

static int connect_fd(uint16_t to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static client_t *connect_to(uint16_t to)
{
    client_t *client = calloc(1, sizeof(*client));
    assert_non_null(client);
    client->fd = connect_fd(to);
    return client;
}

static void leave(client_t *client)
{
    close(client->fd);
    free(client);
}

/* Leaves with a reset, so that a later reply meets a dead connection. */
static void vanish(client_t *client)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    leave(client);
}

static void say_sized(client_t *client, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        data += sent;
        size -= (size_t)sent;
    }
}

static void say(client_t *client, const char *text)
{
    say_sized(client, text, strlen(text));
}

static void ask(client_t *client, const char *method, const char *target, const char *headers,
                const char *body)
{
    static char request[1 << 17];
    int size = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: h\r\n%s", method, target,
                        headers);
    if (body != NULL)
        size += snprintf(request + size, sizeof(request) - (size_t)size,
                         "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    else
        size += snprintf(request + size, sizeof(request) - (size_t)size, "\r\n");
    assert_true(size < (int)sizeof(request));
    say_sized(client, request, (size_t)size);
}

#define JSON_TYPE "Content-Type: application/json\r\n"

/* More of what the server says; false: it closed. */
static bool listen_more(client_t *client)
{
    assert_true(client->size < sizeof(client->data) - 1);
    ssize_t got =
        recv(client->fd, client->data + client->size, sizeof(client->data) - 1 - client->size, 0);
    if (got < 0)
        assert_int_equal(errno, ECONNRESET);
    if (got <= 0)
        return false;
    client->size += (size_t)got;
    client->data[client->size] = '\0';
    return true;
}

static const char *header(const char *name)
{
    static char value[1024];
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\r\n%s: ", name);
    const char *at = strcasestr(response.head, wanted);
    if (at == NULL)
        return NULL;
    at += strlen(wanted);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

/* Reads one response; `bodiless` is one to HEAD. */
static void read_response(client_t *client, bool bodiless)
{
    const char *end;
    client->data[client->size] = '\0';
    while ((end = strstr(client->data, "\r\n\r\n")) == NULL)
        assert_true(listen_more(client));
    size_t head = (size_t)(end - client->data);
    snprintf(response.head, sizeof(response.head), "%.*s", (int)head, client->data);
    assert_int_equal(sscanf(response.head, "HTTP/1.1 %d ", &response.status), 1);
    assert_non_null(header("content-length"));
    assert_null(header("transfer-encoding"));
    response.body_size = bodiless ? 0 : (size_t)atoi(header("content-length"));
    assert_true(response.body_size < sizeof(response.body));
    size_t whole = head + 4 + response.body_size;
    while (client->size < whole)
        assert_true(listen_more(client));
    memcpy(response.body, client->data + head + 4, response.body_size);
    response.body[response.body_size] = '\0';
    memmove(client->data, client->data + whole, client->size - whole);
    client->size -= whole;
}

static void expect_closed(client_t *client)
{
    assert_int_equal(client->size, 0);
    assert_false(listen_more(client));
}

static void expect_header(const char *name, const char *value)
{
    const char *got = header(name);
    if (value == NULL) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_string_equal(got, value);
}

static void expect_status(client_t *client, int status)
{
    read_response(client, false);
    if (response.status != status)
        print_message("%s\n\n%s\n", response.head, response.body);
    assert_int_equal(response.status, status);
    assert_non_null(header("x-request-id"));
    assert_null(header("server"));
}

/* A whole problem of the given error; `says` is a part of its detail, NULL: any. */
static void expect_problem(client_t *client, int error, const char *says)
{
    const error_info_t *info = error_info(error);
    char type[64], seconds[16];
    expect_status(client, info->http_status);
    expect_header("content-type", "application/problem+json");
    snprintf(seconds, sizeof(seconds), "%d", info->retry_after_s);
    expect_header("retry-after", info->retry_after_s > 0 ? seconds : NULL);
    json_t *json = json_loads(response.body, 0, NULL);
    assert_non_null(json);
    snprintf(type, sizeof(type), "urn:userbus:problem:%s", info->slug);
    assert_string_equal(json_string_value(json_object_get(json, "type")), type);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), info->http_status);
    assert_string_equal(json_string_value(json_object_get(json, "request_id")),
                        header("x-request-id"));
    const char *detail = json_string_value(json_object_get(json, "detail"));
    if (says != NULL && strstr(detail, says) == NULL)
        print_message("'%s' is not in '%s'\n", says, detail);
    assert_true(says == NULL || strstr(detail, says) != NULL);
    json_decref(json);
}

/* The next message to the store. Its texts live until the next call. */
static message_t next_request(message_type_t type)
{
    message_t message;
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    while (store_reader.data == NULL || frame_reader_next(&store_reader, &message) != 1) {
        int64_t left = deadline - clock_mono_ms();
        assert_true(left > 0);
        if (!mailbox_receive(store, &store_reader))
            mailbox_wait(store, -1, 0, (int)left);
    }
    assert_int_equal(message.type, type);
    assert_true(message.corr != 0);
    return message;
}

/* What was asked so far has been handled once this request is answered. */
static void expect_no_request(void)
{
    client_t *client = connect_to(port);
    ask(client, "GET", "/livez", "", NULL);
    expect_status(client, 200);
    leave(client);
    message_t message;
    assert_true(store_reader.data == NULL || frame_reader_next(&store_reader, &message) == 0);
    assert_false(mailbox_receive(store, &store_reader));
}

static void reply_with(uint64_t corr, const msg_user_reply_t *reply)
{
    frame_t frame = {0};
    frame_add(&frame, MSG_user_reply, corr, reply);
    sender_send(http_mail, &frame);
    frame_clear(&frame);
}

static void reply_user(uint64_t corr)
{
    reply_with(corr, &(msg_user_reply_t){.id = {(const char *)some_id, UUID_BYTES},
                                         .version = 3,
                                         .body = TEXT(USER_JSON)});
}

static void reply_error(uint64_t corr, int error)
{
    reply_with(corr, &(msg_user_reply_t){.error = error});
}

static void expect_text(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        print_message("'%.*s' is not '%s'\n", (int)got.size, got.data, expected);
    assert_true(text_equal(got, text_of(expected)));
}

static void expect_user(client_t *client)
{
    expect_status(client, 200);
    expect_header("content-type", "application/json");
    expect_header("etag", "\"3\"");
    assert_string_equal(response.body, USER_JSON);
}

/* --- requests become messages, replies become bytes ------------------------------------------- */

static void a_post_creates(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "POST", "/users",
        JSON_TYPE "X-Request-Id: my-1\r\ntraceparent: " PARENT "\r\ntracestate: a=b\r\n", ANN_JSON);
    message_t message = next_request(MSG_user_create);
    const msg_user_create_t *create = &message.user_create;
    assert_int_equal(create->reply_to, 7);
    expect_text(create->request_id, "my-1");
    expect_text(create->traceparent, PARENT);
    expect_text(create->tracestate, "a=b");
    expect_text(create->email, "Ann@B.org");
    expect_text(create->email_key, "ann@b.org");
    expect_text(create->first_name, "Ann");
    expect_text(create->last_name, "Lee");
    assert_int_equal(create->is_valid, 1);
    reply_user(message.corr);
    expect_user(client);
    expect_header("x-request-id", "my-1");
    expect_header("location", "/users/" ID);
    expect_header("connection", "keep-alive");
    leave(client);
}

static void a_post_can_create_a_disabled_user(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "POST", "/users", "content-type: Application/JSON; charset=utf-8\r\n",
        "{\"email\":\"a@b\",\"first_name\":\"Al\",\"last_name\":\"Bo\",\"is_valid\":false}");
    message_t message = next_request(MSG_user_create);
    assert_int_equal(message.user_create.is_valid, 0);
    expect_text(message.user_create.traceparent, "");
    expect_text(message.user_create.tracestate, "");
    reply_user(message.corr);
    expect_user(client);
    leave(client);
}

static void a_get_reads_by_id_and_by_email(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/users/" ID, "", NULL);
    message_t message = next_request(MSG_user_read);
    assert_int_equal(message.user_read.id.size, UUID_BYTES);
    assert_memory_equal(message.user_read.id.data, some_id, UUID_BYTES);
    expect_text(message.user_read.email_key, "");
    reply_user(message.corr);
    expect_user(client);
    expect_header("location", NULL);
    ask(client, "GET", "/users/Ann%2B1%40B.org?ignored=1", "", NULL);
    message = next_request(MSG_user_read);
    assert_int_equal(message.user_read.id.size, 0);
    expect_text(message.user_read.email_key, "ann+1@b.org");
    reply_error(message.corr, ERR_USER_NOT_FOUND);
    expect_problem(client, ERR_USER_NOT_FOUND, NULL);
    leave(client);
}

static void a_patch_updates(void **state)
{
    static const char *const types[] = {"application/json",
                                        "application/merge-patch+json;charset=utf-8"};
    client_t *client = connect_to(port);
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char headers[100];
        snprintf(headers, sizeof(headers), "Content-Type: %s\r\n", types[i]);
        ask(client, "PATCH", "/users/a@b", headers, "{\"last_name\":\"M\xc3\xbcller\"}");
        message_t message = next_request(MSG_user_update);
        const msg_user_update_t *update = &message.user_update;
        expect_text(update->email_key, "a@b");
        expect_text(update->new_email, "");
        expect_text(update->new_email_key, "");
        expect_text(update->new_first_name, "");
        expect_text(update->new_last_name, "M\xc3\xbcller");
        assert_int_equal(update->new_is_valid, -1);
        reply_user(message.corr);
        expect_user(client);
    }
    ask(client, "PATCH", "/users/" ID, JSON_TYPE,
        "{\"email\":\"N@B\",\"first_name\":\"Nn\",\"is_valid\":false}");
    message_t message = next_request(MSG_user_update);
    assert_int_equal(message.user_update.id.size, UUID_BYTES);
    expect_text(message.user_update.new_email, "N@B");
    expect_text(message.user_update.new_email_key, "n@b");
    expect_text(message.user_update.new_first_name, "Nn");
    assert_int_equal(message.user_update.new_is_valid, 0);
    reply_error(message.corr, ERR_EMAIL_TAKEN);
    expect_problem(client, ERR_EMAIL_TAKEN, NULL);
    leave(client);
}

static void a_delete_disables(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "DELETE", "/users/a@b", "X-Request-Id: \r\n", NULL);
    message_t message = next_request(MSG_user_delete);
    expect_text(message.user_delete.email_key, "a@b");
    uint8_t made[UUID_BYTES];
    assert_true(uuid_parse(made, message.user_delete.request_id));
    reply_user(message.corr);
    expect_user(client);
    assert_int_equal(strlen(header("x-request-id")), UUID_TEXT_SIZE - 1);
    leave(client);
}

static void a_page_links_to_the_next(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/users?limit=2", "", NULL);
    message_t message = next_request(MSG_user_list);
    assert_int_equal(message.user_list.limit, 2);
    assert_int_equal(message.user_list.after.size, 0);
    reply_with(message.corr, &(msg_user_reply_t){.next = {(const char *)some_id, UUID_BYTES},
                                                 .body = TEXT("{\"users\":[]}")});
    expect_status(client, 200);
    expect_header("link", "</users?limit=2&cursor=" ID ">; rel=\"next\"");
    expect_header("etag", NULL);
    assert_string_equal(response.body, "{\"users\":[]}");
    ask(client, "GET", "/users?cursor=" ID, "", NULL);
    message = next_request(MSG_user_list);
    assert_int_equal(message.user_list.limit, 20);
    assert_memory_equal(message.user_list.after.data, some_id, UUID_BYTES);
    reply_with(message.corr, &(msg_user_reply_t){.body = TEXT("{}")});
    expect_status(client, 200);
    expect_header("link", NULL);
    leave(client);
}

static void a_large_page_arrives_whole(void **state)
{
    enum { SIZE = 60000 };
    client_t *client = connect_to(port);
    char *body = malloc(SIZE);
    (void)state;
    memset(body, 'x', SIZE);
    ask(client, "GET", "/users", "", NULL);
    message_t message = next_request(MSG_user_list);
    reply_with(message.corr, &(msg_user_reply_t){.body = {body, SIZE}});
    expect_status(client, 200);
    assert_int_equal(response.body_size, SIZE);
    assert_memory_equal(response.body, body, SIZE);
    free(body);
    leave(client);
}

static void what_cannot_be_counted_says_so(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/users/a@b", "", NULL);
    message_t message = next_request(MSG_user_read);
    reply_with(message.corr, &(msg_user_reply_t){.uncounted = 1, .body = TEXT(USER_JSON)});
    expect_status(client, 200);
    expect_header("view-counted", "no");
    ask(client, "GET", "/users/a@b", "", NULL);
    reply_user(next_request(MSG_user_read).corr);
    expect_user(client);
    expect_header("view-counted", NULL);
    static const char *const bodies[] = {"{\"status\":\"ok\"}", "{\"status\":\"read-only\"}"};
    for (int uncounted = 0; uncounted < 2; uncounted++) {
        ask(client, "GET", "/readyz", "", NULL);
        reply_with(next_request(MSG_health).corr, &(msg_user_reply_t){.uncounted = uncounted});
        expect_status(client, 200);
        assert_int_equal(response.body_size, strlen(bodies[uncounted]));
        assert_memory_equal(response.body, bodies[uncounted], response.body_size);
    }
    leave(client);
}

static void errors_of_the_store_become_problems(void **state)
{
    static const struct {
        int error, shown;
    } rows[] = {
        {ERR_USER_NOT_FOUND, ERR_USER_NOT_FOUND},       {ERR_OUTBOX_FULL, ERR_OUTBOX_FULL},
        {ERR_STORE_UNAVAILABLE, ERR_STORE_UNAVAILABLE}, {ERR_STOPPING, ERR_STOPPING},
        {ERR_DATABASE_FATAL, ERR_STORE_UNAVAILABLE}, /* no client's business */
        {ERR_INTERNAL, ERR_STORE_UNAVAILABLE},          {-1000, ERR_STORE_UNAVAILABLE},
    };
    client_t *client = connect_to(port);
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ask(client, "DELETE", "/users/a@b", "", NULL);
        message_t message = next_request(MSG_user_delete);
        reply_error(message.corr, rows[i].error);
        expect_problem(client, rows[i].shown, NULL);
    }
    leave(client);
}

static void headers_that_are_not_usable_are_replaced_or_ignored(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/users/a@b",
        "X-Request-Id: has space\r\ntraceparent: 01" PARENT "\r\ntracestate: a=b\r\n", NULL);
    message_t message = next_request(MSG_user_read);
    assert_int_equal(message.user_read.request_id.size, UUID_TEXT_SIZE - 1);
    expect_text(message.user_read.traceparent, "");
    expect_text(message.user_read.tracestate, ""); /* nothing without its parent */
    reply_user(message.corr);
    expect_user(client);
    leave(client);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void wrong_methods_are_told_the_right_ones(void **state)
{
    static const struct {
        const char *method, *target, *allow;
    } rows[] = {
        {"PUT", "/users", "POST, GET"},
        {"OPTIONS", "/users/a@b", "GET, PATCH, DELETE"},
        {"POST", "/users/a@b", "GET, PATCH, DELETE"},
        {"DELETE", "/livez", "GET"},
        {"BREW", "/readyz", "GET"},
    };
    client_t *client = connect_to(port);
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ask(client, rows[i].method, rows[i].target, "", NULL);
        expect_problem(client, ERR_METHOD, NULL);
        expect_header("allow", rows[i].allow);
    }
    ask(client, "HEAD", "/users", "", NULL);
    read_response(client, true);
    assert_int_equal(response.status, 405);
    expect_header("allow", "POST, GET");
    ask(client, "GET", "/livez", "", NULL); /* no body came with the answer to HEAD */
    expect_status(client, 200);
    leave(client);
    expect_no_request();
}

static void unknown_paths_are_not_found(void **state)
{
    static const char *const targets[] = {
        "", "/", "/user", "/users/", "/users/a/b", "/users/a@b/", "/livez/", "/../users", "*",
    };
    client_t *client = connect_to(port);
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        ask(client, "GET", targets[i], "", NULL);
        expect_problem(client, ERR_NO_ROUTE, "/users");
    }
    ask(client, "GET", "/users/nobody", "", NULL);
    expect_problem(client, ERR_USER_NOT_FOUND, NULL);
    leave(client);
    expect_no_request();
}

static void bad_paths_and_queries_are_refused(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/users/a%00@b", "", NULL);
    expect_problem(client, ERR_BAD_PATH, "control");
    ask(client, "DELETE", "/users/a%0d%0aX:1@b", "", NULL);
    expect_problem(client, ERR_BAD_PATH, "control");
    ask(client, "PATCH", "/users/%ff@b", JSON_TYPE, "{}");
    expect_problem(client, ERR_BAD_PATH, "UTF-8");
    ask(client, "GET", "/users/%4", "", NULL);
    expect_problem(client, ERR_BAD_PATH, "hexadecimal");
    ask(client, "GET", "/users?limit=0", "", NULL);
    expect_problem(client, ERR_BAD_QUERY, "'limit'");
    ask(client, "GET", "/users?order=name", "", NULL);
    expect_problem(client, ERR_BAD_QUERY, "'order'");
    ask(client, "GET", "/users?limit=1&limit=1", "", NULL);
    expect_problem(client, ERR_BAD_QUERY, "twice");
    leave(client);
    expect_no_request();
}

static void bad_bodies_are_refused(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "POST", "/users", JSON_TYPE, "");
    expect_problem(client, ERR_BAD_JSON, "ends too early");
    ask(client, "POST", "/users", JSON_TYPE, NULL);
    expect_problem(client, ERR_BAD_JSON, "ends too early");
    ask(client, "POST", "/users", JSON_TYPE, "{\"email\":");
    expect_problem(client, ERR_BAD_JSON, "ends too early");
    ask(client, "PATCH", "/users/a@b", JSON_TYPE, "{\"is_valid\":true,\"is_valid\":false}");
    expect_problem(client, ERR_BAD_JSON, "twice");
    ask(client, "POST", "/users", JSON_TYPE, "{\"email\":\"x\",\"age\":1,\"id\":\"y\"}");
    expect_problem(client, ERR_INVALID_USER, NULL);
    json_t *json = json_loads(response.body, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "errors")), 5);
    json_decref(json);
    ask(client, "PATCH", "/users/a@b", JSON_TYPE, "{\"first_name\":null}");
    expect_problem(client, ERR_INVALID_USER, NULL);
    assert_non_null(strstr(response.body, "\"pointer\":\"/first_name\""));
    leave(client);
    expect_no_request();
}

static void other_media_types_are_refused(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "POST", "/users", "Content-Type: text/plain\r\n", ANN_JSON);
    expect_problem(client, ERR_MEDIA_TYPE, NULL);
    expect_header("accept-post", "application/json");
    ask(client, "POST", "/users", "", ANN_JSON);
    expect_problem(client, ERR_MEDIA_TYPE, NULL);
    ask(client, "POST", "/users", "Content-Type: application/merge-patch+json\r\n", ANN_JSON);
    expect_problem(client, ERR_MEDIA_TYPE, NULL);
    ask(client, "PATCH", "/users/a@b", "Content-Type: application/json-patch+json\r\n", "[]");
    expect_problem(client, ERR_MEDIA_TYPE, NULL);
    expect_header("accept-patch", "application/merge-patch+json, application/json");
    leave(client);
    expect_no_request();
}

/* A JSON object of exactly this many bytes. */
static char *padded_user(size_t size)
{
    char *body = malloc(size + 1);
    assert_non_null(body);
    memset(body, ' ', size);
    memcpy(body, ANN_JSON, strlen(ANN_JSON));
    body[size] = '\0';
    return body;
}

static void ask_chunked(client_t *client, const char *body)
{
    char head[200];
    snprintf(head, sizeof(head),
             "POST /users HTTP/1.1\r\nHost: h\r\n" JSON_TYPE
             "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
             strlen(body));
    say(client, head);
    say(client, body);
    say(client, "\r\n0\r\n\r\n");
}

static void a_body_may_be_as_large_as_the_bound(void **state)
{
    client_t *client = connect_to(port);
    char *body = padded_user(BODY_MAX), *larger = padded_user(BODY_MAX + 1);
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        if (chunked)
            ask_chunked(client, body);
        else
            ask(client, "POST", "/users", JSON_TYPE, body);
        message_t message = next_request(MSG_user_create);
        expect_text(message.user_create.email, "Ann@B.org");
        reply_user(message.corr);
        expect_user(client);
        if (chunked)
            ask_chunked(client, larger);
        else
            ask(client, "POST", "/users", JSON_TYPE, larger);
        expect_problem(client, ERR_BODY_TOO_LARGE, "2049 bytes");
        expect_header("connection", "keep-alive"); /* it was read, so the next request is in step */
    }
    free(body);
    free(larger);
    leave(client);
    expect_no_request();
}

static void a_body_far_beyond_the_bound_ends_the_connection(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "POST", "/users", JSON_TYPE "X-Request-Id: big-1\r\nContent-Length: 99999999\r\n",
        NULL);
    expect_problem(client, ERR_BODY_TOO_LARGE, NULL);
    expect_header("x-request-id", "big-1");
    expect_header("connection", "close");
    expect_closed(client);
    leave(client);
    expect_no_request();
}

static void a_body_that_cannot_be_read_ends_the_connection(void **state)
{
    static const char *const headers[] = {
        "Content-Length: x\r\n\r\n",
        "Content-Length: -1\r\n\r\n",
        "Transfer-Encoding: gzip\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Content-Length: 2\r\nExpect: miracles\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        client_t *client = connect_to(port);
        say(client, "POST /users HTTP/1.1\r\nHost: h\r\n" JSON_TYPE);
        say(client, headers[i]);
        expect_problem(client, ERR_BAD_HEADER, "Content-Length");
        expect_header("connection", "close");
        expect_closed(client);
        leave(client);
    }
    expect_no_request();
}

static void what_is_not_http_is_refused(void **state)
{
    static const char *const texts[] = {
        "nonsense\r\n\r\n",
        "GET /livez\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /livez HTTP/1.1\r\nbad header\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        client_t *client = connect_to(port);
        say(client, texts[i]);
        read_response(client, false);
        assert_int_equal(response.status, 400);
        expect_closed(client);
        leave(client);
    }
    expect_no_request();
}

static void no_upgrade_to_http2(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/livez",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n", NULL);
    expect_status(client, 200);
    leave(client);
}

/* --- connections ------------------------------------------------------------------------------ */

static void a_body_may_come_in_pieces(void **state)
{
    client_t *client = connect_to(port);
    char request[400];
    (void)state;
    int size =
        snprintf(request, sizeof(request),
                 "POST /users HTTP/1.1\r\nHost: h\r\n" JSON_TYPE "Content-Length: %zu\r\n\r\n%s",
                 strlen(ANN_JSON), ANN_JSON);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < size; i++)
            say_sized(client, request + i, 1);
        message_t message = next_request(MSG_user_create);
        expect_text(message.user_create.last_name, "Lee");
        reply_user(message.corr);
        expect_user(client);
    }
    leave(client);
}

static void a_client_may_wait_for_100_continue(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    say(client, "POST /users HTTP/1.1\r\nHost: h\r\n" JSON_TYPE
                "Expect: 100-continue\r\nContent-Length: " ANN_SIZE "\r\n\r\n");
    while (strstr(client->data, "\r\n\r\n") == NULL)
        assert_true(listen_more(client));
    assert_string_equal(client->data, "HTTP/1.1 100 Continue\r\n\r\n");
    client->size = 0;
    say(client, ANN_JSON);
    reply_user(next_request(MSG_user_create).corr);
    expect_user(client);
    leave(client);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    client_t *client = connect_to(port);
    char target[32];
    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(target, sizeof(target), "/users/u%d@b", i);
        ask(client, "GET", target, "", NULL);
        if (i % 4 == 3)
            ask(client, "GET", "/livez", "", NULL);
    }
    for (int i = 0; i < 20; i++) {
        char id[16];
        message_t message = next_request(MSG_user_read);
        snprintf(target, sizeof(target), "u%d@b", i);
        snprintf(id, sizeof(id), "[%d]", i);
        expect_text(message.user_read.email_key, target);
        reply_with(message.corr, &(msg_user_reply_t){.version = i, .body = text_of(id)});
        expect_status(client, 200);
        assert_string_equal(response.body, id);
        if (i % 4 == 3)
            expect_status(client, 200);
    }
    leave(client);
}

static void what_comes_while_a_reply_is_pending_waits(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "POST", "/users", JSON_TYPE, ANN_JSON);
    message_t first = next_request(MSG_user_create);
    say(client, "GET /users/a@b HTTP/1.1\r\nHo"); /* only a part of it */
    expect_no_request();
    reply_user(first.corr);
    expect_user(client);
    say(client, "st: h\r\n\r\n");
    message_t second = next_request(MSG_user_read);
    expect_text(second.user_read.email_key, "a@b");
    reply_user(second.corr);
    expect_user(client);
    leave(client);
}

static void old_clients_are_closed_upon(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    say(client, "DELETE /users/a@b HTTP/1.0\r\n\r\n");
    reply_user(next_request(MSG_user_delete).corr);
    expect_user(client);
    expect_header("connection", "close");
    expect_closed(client);
    leave(client);
}

static void a_half_closed_client_gets_its_reply(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/users/a@b", "", NULL);
    message_t message = next_request(MSG_user_read);
    shutdown(client->fd, SHUT_WR);
    expect_no_request(); /* the loop has turned since */
    reply_user(message.corr);
    expect_user(client);
    expect_closed(client);
    leave(client);
}

static void a_late_reply_to_a_client_that_left_is_harmless(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        client_t *client = connect_to(port);
        ask(client, "POST", "/users", JSON_TYPE, ANN_JSON);
        uint64_t corr = next_request(MSG_user_create).corr;
        vanish(client);
        if (round % 2 == 0)
            expect_no_request(); /* the loop has turned since */
        reply_user(corr);
    }
    client_t *client = connect_to(port);
    for (int i = 0; i < 2 * REQUESTS_MAX; i++) { /* every slot is free again */
        ask(client, "GET", "/users/a@b", "", NULL);
        reply_user(next_request(MSG_user_read).corr);
        expect_user(client);
    }
    leave(client);
}

static void replies_for_nobody_are_harmless(void **state)
{
    static const uint64_t marks[] = {0, 1, UINT64_MAX, 0x100000000, 0x7fffffff00000000};
    client_t *client = connect_to(port);
    (void)state;
    ask(client, "GET", "/users/a@b", "", NULL);
    uint64_t first = next_request(MSG_user_read).corr;
    reply_user(first);
    expect_user(client);
    ask(client, "GET", "/users/a@b", "", NULL);
    uint64_t second = next_request(MSG_user_read).corr;
    assert_int_equal((uint32_t)first, (uint32_t)second); /* the same slot, another generation */
    assert_true(first != second);
    reply_error(first, ERR_EMAIL_TAKEN);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (marks[i] != second)
            reply_error(marks[i], ERR_EMAIL_TAKEN);
    reply_user(second);
    expect_user(client);
    leave(client);
}

static void a_full_table_refuses_at_once(void **state)
{
    client_t *clients[REQUESTS_MAX], *late = connect_to(port);
    uint64_t corrs[REQUESTS_MAX];
    (void)state;
    for (int i = 0; i < REQUESTS_MAX; i++) {
        clients[i] = connect_to(port);
        ask(clients[i], "GET", "/users/a@b", "", NULL);
        corrs[i] = next_request(MSG_user_read).corr;
    }
    ask(late, "POST", "/users", JSON_TYPE, ANN_JSON);
    expect_problem(late, ERR_OVERLOADED, "Nothing was done");
    ask(late, "GET", "/readyz", "", NULL);
    expect_problem(late, ERR_OVERLOADED, NULL);
    ask(late, "GET", "/livez", "", NULL);
    expect_status(late, 200);
    vanish(clients[0]); /* its slot is still owed a reply */
    ask(late, "GET", "/users/a@b", "", NULL);
    expect_problem(late, ERR_OVERLOADED, NULL);
    expect_no_request();
    for (int i = 0; i < REQUESTS_MAX; i++)
        reply_user(corrs[i]);
    for (int i = 1; i < REQUESTS_MAX; i++) {
        expect_user(clients[i]);
        leave(clients[i]);
    }
    ask(late, "GET", "/users/a@b", "", NULL);
    reply_user(next_request(MSG_user_read).corr);
    expect_user(late);
    leave(late);
}

static void connections_beyond_the_bound_wait(void **state)
{
    enum { MAX = 3 };
    client_t *clients[MAX];
    (void)state;
    stop(state);
    start_with("", REQUESTS_MAX, MAX);
    for (int i = 0; i < MAX; i++) {
        clients[i] = connect_to(port);
        ask(clients[i], "GET", "/livez", "", NULL);
        expect_status(clients[i], 200);
    }
    client_t *late = connect_to(port);
    ask(late, "GET", "/livez", "", NULL);
    ask(clients[0], "GET", "/livez", "", NULL);
    expect_status(clients[0], 200);
    assert_int_equal(recv(late->fd, late->data, 1, MSG_DONTWAIT), -1);
    leave(clients[0]);
    expect_status(late, 200);
    leave(late);
    leave(clients[1]);
    leave(clients[2]);
}

/* --- probes ----------------------------------------------------------------------------------- */

static void ready_means_that_the_store_answers(void **state)
{
    static const uint16_t *const ports[] = {&port, &admin_port};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        client_t *client = connect_to(*ports[i]);
        ask(client, "GET", "/livez", "", NULL);
        expect_status(client, 200);
        assert_string_equal(response.body, "{\"status\":\"ok\"}");
        ask(client, "GET", "/readyz", "", NULL);
        message_t message = next_request(MSG_health);
        assert_int_equal(message.health.reply_to, 7);
        reply_with(message.corr, &(msg_user_reply_t){0});
        expect_status(client, 200);
        assert_string_equal(response.body, "{\"status\":\"ok\"}");
        ask(client, "GET", "/readyz", "", NULL);
        reply_error(next_request(MSG_health).corr, ERR_STORE_UNAVAILABLE);
        expect_problem(client, ERR_STORE_UNAVAILABLE, NULL);
        leave(client);
    }
}

static void a_silent_store_is_not_ready(void **state)
{
    client_t *client = connect_to(port);
    (void)state;
    int64_t asked_ms = clock_mono_ms();
    ask(client, "GET", "/readyz", "", NULL);
    uint64_t corr = next_request(MSG_health).corr;
    expect_problem(client, ERR_STORE_UNAVAILABLE, "did not answer in time");
    assert_in_range(clock_mono_ms() - asked_ms, 1000, 3000);
    ask(client, "GET", "/users/a@b", "", NULL);
    uint64_t next = next_request(MSG_user_read).corr;
    assert_true((uint32_t)corr != (uint32_t)next); /* the slot is still owed a reply */
    reply_with(corr, &(msg_user_reply_t){0});
    reply_user(next);
    expect_user(client);
    leave(client);
}

static void the_operator_sees_no_users(void **state)
{
    client_t *client = connect_to(admin_port);
    (void)state;
    ask(client, "GET", "/users/a@b", "", NULL);
    expect_problem(client, ERR_NO_ROUTE, NULL);
    ask(client, "POST", "/users", JSON_TYPE, ANN_JSON);
    expect_problem(client, ERR_NO_ROUTE, NULL);
    leave(client);
    expect_no_request();
}

static void the_prefix_is_in_paths_and_links(void **state)
{
    (void)state;
    stop(state);
    start_with("/api/v1", REQUESTS_MAX, 0);
    client_t *client = connect_to(port);
    ask(client, "POST", "/users", JSON_TYPE, ANN_JSON);
    expect_problem(client, ERR_NO_ROUTE, NULL);
    ask(client, "POST", "/api/v1/users", JSON_TYPE, ANN_JSON);
    reply_user(next_request(MSG_user_create).corr);
    expect_user(client);
    expect_header("location", "/api/v1/users/" ID);
    ask(client, "GET", "/api/v1/users?limit=1", "", NULL);
    reply_with(
        next_request(MSG_user_list).corr,
        &(msg_user_reply_t){.next = {(const char *)some_id, UUID_BYTES}, .body = TEXT("{}")});
    expect_status(client, 200);
    expect_header("link", "</api/v1/users?limit=1&cursor=" ID ">; rel=\"next\"");
    leave(client);
}

/* --- start and stop --------------------------------------------------------------------------- */

static void a_bad_prefix_stops_the_start(void **state)
{
    static const char *const prefixes[] = {"api", "/", "/api/", "/a b", "/a?b", "/a\r\nb"};
    detail_t detail;
    (void)state;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        actor_t *other = NULL;
        const http_conf_t conf = {.listen_fd = listen_fd,
                                  .admin_fd = -1,
                                  .prefix = prefixes[i],
                                  .requests_max = 1,
                                  .body_max = 1024};
        assert_int_equal(actor_start(&other, room, "http.8", &http_actor, &conf, WAIT_MS, &detail),
                         ERR_BAD_SETTING);
        assert_null(other);
        assert_non_null(strstr(detail.text, "BACKEND_API_PREFIX"));
    }
}

/* actor_stop waits for the end, so it gets a thread while the test goes on. */
static void *stop_actor(void *deadline_ms)
{
    return (void *)(intptr_t)actor_stop(&actor, *(int *)deadline_ms);
}

static int stop_rest(void **state)
{
    return stop(state); /* the actor is NULL by now, which is fine */
}

static void a_stop_answers_what_is_open(void **state)
{
    int deadline_ms = WAIT_MS;
    void *result;
    pthread_t stopper;
    client_t *open = connect_to(port), *idle = connect_to(port), *partial = connect_to(port);
    (void)state;
    ask(idle, "GET", "/livez", "", NULL);
    expect_status(idle, 200);
    say(partial, "POST /users HTTP/1.1\r\nHost: h\r\nContent-Le");
    ask(open, "POST", "/users", JSON_TYPE, ANN_JSON);
    uint64_t corr = next_request(MSG_user_create).corr;
    assert_int_equal(pthread_create(&stopper, NULL, stop_actor, &deadline_ms), 0);
    expect_closed(idle); /* so the stop has arrived */
    say(partial, "ngth: " ANN_SIZE "\r\n" JSON_TYPE "\r\n" ANN_JSON);
    expect_problem(partial, ERR_STOPPING, "Nothing was done");
    expect_header("connection", "close");
    expect_closed(partial);
    reply_user(corr);
    expect_user(open);
    expect_header("connection", "close");
    expect_closed(open);
    assert_int_equal(pthread_join(stopper, &result), 0);
    assert_int_equal((intptr_t)result, 0);
    leave(open);
    leave(idle);
    leave(partial);
}

static void a_stop_does_not_wait_for_a_silent_store(void **state)
{
    int deadline_ms = 1000;
    client_t *open = connect_to(port), *partial = connect_to(port);
    (void)state;
    ask(open, "POST", "/users", JSON_TYPE, ANN_JSON);
    next_request(MSG_user_create);
    say(partial, "POST /users HTTP/1.1\r\n");
    assert_int_equal((intptr_t)stop_actor(&deadline_ms), 0);
    expect_problem(open, ERR_STORE_UNAVAILABLE, "unknown");
    expect_header("connection", "close");
    expect_closed(open);
    expect_closed(partial);
    leave(open);
    leave(partial);
}

static void a_stop_does_not_wait_for_clients_that_left(void **state)
{
    int deadline_ms = WAIT_MS;
    client_t *gone = connect_to(port), *idle = connect_to(port);
    (void)state;
    ask(idle, "GET", "/livez", "", NULL);
    expect_status(idle, 200);
    ask(gone, "POST", "/users", JSON_TYPE, ANN_JSON);
    uint64_t corr = next_request(MSG_user_create).corr;
    vanish(gone);
    reply_user(corr);
    int64_t begun_ms = clock_mono_ms();
    assert_int_equal((intptr_t)stop_actor(&deadline_ms), 0);
    assert_true(clock_mono_ms() - begun_ms < WAIT_MS / 2);
    expect_closed(idle);
    leave(idle);
}

static void a_listener_says_what_is_wrong(void **state)
{
    int fd;
    char bound[64], taken[64];
    detail_t detail;
    (void)state;
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", port);
    assert_int_equal(http_listener_open(&fd, bound, taken, &detail), ERR_LISTEN);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(detail.text, taken));
    assert_non_null(strstr(detail.text, "in use"));
    static const char *const bad[] = {"",        "5000",     ":",          "127.0.0.1:", ":5000",
                                      "::1:80",  "[::1]80",  "[::1",       "[]:80",      "h:http",
                                      "1.2.3:x", "h:99999x", "192.0.2.1:0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(http_listener_open(&fd, bound, bad[i], &detail), ERR_LISTEN);
        assert_int_equal(fd, -1);
        assert_non_null(strstr(detail.text, bad[i]));
    }
    assert_int_equal(http_listener_open(&fd, bound, "localhost:0", &detail), 0);
    assert_true(port_of(bound) > 0);
    close(fd);
}

#define AT_EDGE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_EDGE(a_post_creates),
        AT_EDGE(a_post_can_create_a_disabled_user),
        AT_EDGE(a_get_reads_by_id_and_by_email),
        AT_EDGE(a_patch_updates),
        AT_EDGE(a_delete_disables),
        AT_EDGE(a_page_links_to_the_next),
        AT_EDGE(a_large_page_arrives_whole),
        AT_EDGE(what_cannot_be_counted_says_so),
        AT_EDGE(errors_of_the_store_become_problems),
        AT_EDGE(headers_that_are_not_usable_are_replaced_or_ignored),
        AT_EDGE(wrong_methods_are_told_the_right_ones),
        AT_EDGE(unknown_paths_are_not_found),
        AT_EDGE(bad_paths_and_queries_are_refused),
        AT_EDGE(bad_bodies_are_refused),
        AT_EDGE(other_media_types_are_refused),
        AT_EDGE(a_body_may_be_as_large_as_the_bound),
        AT_EDGE(a_body_far_beyond_the_bound_ends_the_connection),
        AT_EDGE(a_body_that_cannot_be_read_ends_the_connection),
        AT_EDGE(what_is_not_http_is_refused),
        AT_EDGE(no_upgrade_to_http2),
        AT_EDGE(a_body_may_come_in_pieces),
        AT_EDGE(a_client_may_wait_for_100_continue),
        AT_EDGE(pipelined_requests_are_answered_in_order),
        AT_EDGE(what_comes_while_a_reply_is_pending_waits),
        AT_EDGE(old_clients_are_closed_upon),
        AT_EDGE(a_half_closed_client_gets_its_reply),
        AT_EDGE(a_late_reply_to_a_client_that_left_is_harmless),
        AT_EDGE(replies_for_nobody_are_harmless),
        AT_EDGE(a_full_table_refuses_at_once),
        AT_EDGE(connections_beyond_the_bound_wait),
        AT_EDGE(ready_means_that_the_store_answers),
        AT_EDGE(a_silent_store_is_not_ready),
        AT_EDGE(the_operator_sees_no_users),
        AT_EDGE(the_prefix_is_in_paths_and_links),
        AT_EDGE(a_bad_prefix_stops_the_start),
        cmocka_unit_test_setup_teardown(a_stop_answers_what_is_open, start, stop_rest),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_a_silent_store, start, stop_rest),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_clients_that_left, start,
                                        stop_rest),
        AT_EDGE(a_listener_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
