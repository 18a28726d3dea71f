/* SPDX-License-Identifier: Apache-2.0
 * broker_connection.c - rabbitmq-c for what happens once (login, topology) and for all reading; our own
 * buffer for what happens per message, since the library's publish sends each of a message's frames
 * by a write of its own.
 *
 * The library must never be entered while one of our frames is half written: its heartbeat would
 * stand in the middle of it. So broker_flush writes all or gives the connection up.
 */
#include "pipeline/broker_connection.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pipeline/broker_decode.h"
#include "pipeline/broker_encode.h"
#include "pipeline/clock.h"
#include "proto/errors.h"
#include "proto/text_buffer.h"

enum {
    CHANNEL = 1,
    FRAME_MAX = 131072,
    CLOSE_TIMEOUT_MS = 1000,
    OUT_KEEP_BYTES = 4 << 20, /* a larger buffer is given back when it is empty */
};

struct broker_connection {
    amqp_connection_state_t library;
    bool healthy;    /* false: only to be closed */
    bool unreleased; /* the decoder's event points into the library's memory */
    size_t frame_max;
    uint64_t published; /* tag of the last publish */
    text_buffer_t out;  /* encoded, not yet sent */
    broker_decoder_t decoder;
};

/* --- the URL ---------------------------------------------------------------------------------- */

/* Parses a copy, which the result points into and which the caller frees. False: it cannot be read. */
static bool parse_url(char **copy, struct amqp_connection_info *info, const char *url)
{
    *copy = strdup(url);
    must(*copy != NULL);
    if (amqp_parse_url(*copy, info) != AMQP_STATUS_OK || info->host == NULL ||
        info->host[0] == '\0')
        return false;
    if (info->vhost[0] == '\0') /* a trailing slash, which people write and mean no other one by */
        info->vhost = (char *)(uintptr_t) "/";
    return true;
}

bool broker_url_check(const char *url, detail_t *detail)
{
    struct amqp_connection_info info;
    char *copy;
    bool good = parse_url(&copy, &info, url);
    if (!good)
        detail_set(detail, 0,
                   "RABBIT_MQ_URL cannot be read: write it like "
                   "amqp://user:password@host:5672/vhost, with other characters percent-encoded");
    else if (info.ssl)
        detail_set(detail, 0,
                   "RABBIT_MQ_URL asks for TLS (amqps), which is not supported yet: use "
                   "amqp on a trusted network");
    good = good && !info.ssl;
    free(copy);
    return good;
}

/* --- calls that wait -------------------------------------------------------------------------- */

static int down(broker_connection_t *self, detail_t *detail, const char *what, const char *why)
{
    self->healthy = false;
    return detail_set(detail, ERR_BROKER_DOWN, "%s: %s", what, why);
}

static struct timeval in_timeval(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* Answers the broker's close of the channel, which may then be opened again. */
static int reopen_channel(broker_connection_t *self, const char *what, detail_t *detail)
{
    amqp_channel_close_ok_t close_ok = {0};
    int status = amqp_send_method(self->library, CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
    if (status != AMQP_STATUS_OK)
        return down(self, detail, what, amqp_error_string2(status));
    if (amqp_channel_open(self->library, CHANNEL) == NULL)
        return down(self, detail, what, "the channel could not be opened again");
    return 0;
}

/* The channel was closed because of what we asked for: the reason decides whose fault it is. The
 * reply's memory is the library's, so the detail is written before anything else is called. */
static int refused_call(broker_connection_t *self, const amqp_channel_close_t *close,
                        const char *what, detail_t *detail)
{
    static const struct {
        uint16_t code;
        int error;
        const char *advice;
    } reasons[] = {
        {AMQP_PRECONDITION_FAILED, ERR_TOPOLOGY,
         "delete it when nobody needs it, or name another one in the settings"},
        {AMQP_NOT_FOUND, ERR_TOPOLOGY, "it does not exist"},
        {AMQP_ACCESS_REFUSED, ERR_BROKER_REFUSED, "give the user of RABBIT_MQ_URL the permission"},
        {AMQP_RESOURCE_LOCKED, ERR_TOPOLOGY, "another connection holds it exclusively"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].code != close->reply_code)
            continue;
        detail_set(detail, 0, "%s: %.*s; %s", what, (int)close->reply_text.len,
                   (const char *)close->reply_text.bytes, reasons[i].advice);
        int error = reopen_channel(self, what, NULL);
        return error != 0 ? error : reasons[i].error;
    }
    self->healthy = false;
    return detail_set(detail, ERR_BROKER_DOWN, "%s: the broker closed the channel: %u %.*s", what,
                      close->reply_code, (int)close->reply_text.len,
                      (const char *)close->reply_text.bytes);
}

/* What became of the last call. `what` names it for a person. */
static int outcome(broker_connection_t *self, const char *what, detail_t *detail)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(self->library);
    int error = 0;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        error = down(self, detail, what, amqp_error_string2(reply.library_error));
    else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
             reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        error = refused_call(self, reply.reply.decoded, what, detail);
    else if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        error = down(self, detail, what, "the broker closed the connection");
    if (error == 0)
        amqp_maybe_release_buffers_on_channel(self->library, CHANNEL);
    return error;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* What we understand beyond the library's own list; the broker tells only those who say so. */
static amqp_table_t client_properties(amqp_table_entry_t entries[2],
                                      amqp_table_entry_t capabilities[4], const char *name)
{
    static const char *const understood[4] = {"connection.blocked", "consumer_cancel_notify",
                                              "basic.nack", "publisher_confirms"};
    for (int i = 0; i < 4; i++) {
        capabilities[i].key = amqp_cstring_bytes(understood[i]);
        capabilities[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
        capabilities[i].value.value.boolean = 1;
    }
    entries[0].key = amqp_cstring_bytes("capabilities");
    entries[0].value.kind = AMQP_FIELD_KIND_TABLE;
    entries[0].value.value.table = (amqp_table_t){4, capabilities};
    entries[1].key = amqp_cstring_bytes("connection_name");
    entries[1].value.kind = AMQP_FIELD_KIND_UTF8;
    entries[1].value.value.bytes = amqp_cstring_bytes(name);
    return (amqp_table_t){2, entries};
}

static int login_outcome(broker_connection_t *self, const amqp_rpc_reply_t *reply,
                         const struct amqp_connection_info *info, detail_t *detail)
{
    if (reply->reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    self->healthy = false;
    if (reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return detail_set(detail, ERR_BROKER_DOWN,
                          "the broker at %s:%d did not finish the login: %s", info->host,
                          info->port, amqp_error_string2(reply->library_error));
    const amqp_connection_close_t *close = reply->reply.decoded;
    int error = close->reply_code == AMQP_ACCESS_REFUSED || close->reply_code == AMQP_NOT_ALLOWED
                    ? ERR_BROKER_REFUSED
                    : ERR_BROKER_DOWN;
    return detail_set(detail, error,
                      "the broker at %s:%d refuses user '%s' on virtual host '%s': %.*s; check "
                      "RABBIT_MQ_URL",
                      info->host, info->port, info->user, info->vhost, (int)close->reply_text.len,
                      (const char *)close->reply_text.bytes);
}

/* Small writes go at once, and a peer that acknowledges nothing is given up by the kernel even when
 * the library waits without a limit. */
static void tune_socket(int fd)
{
    int on = 1, give_up_ms = BROKER_FLUSH_TIMEOUT_MS * 2;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &give_up_ms, sizeof(give_up_ms));
}

static int log_in(broker_connection_t *self, const struct amqp_connection_info *info,
                  const char *name, detail_t *detail)
{
    struct timeval connect_time = in_timeval(BROKER_CONNECT_TIMEOUT_MS);
    struct timeval call_time = in_timeval(BROKER_CALL_TIMEOUT_MS);
    amqp_table_entry_t entries[2] = {0}, capabilities[4] = {0};
    amqp_table_t properties = client_properties(entries, capabilities, name);
    amqp_socket_t *socket = amqp_tcp_socket_new(self->library);
    must(socket != NULL);
    int status = amqp_socket_open_noblock(socket, info->host, info->port, &connect_time);
    if (status != AMQP_STATUS_OK) {
        self->healthy = false;
        return detail_set(detail, ERR_BROKER_DOWN,
                          "the broker at %s:%d does not answer: %s; is it running, and is "
                          "RABBIT_MQ_URL right?",
                          info->host, info->port, amqp_error_string2(status));
    }
    tune_socket(amqp_get_sockfd(self->library));
    must(amqp_set_handshake_timeout(self->library, &call_time) == AMQP_STATUS_OK);
    must(amqp_set_rpc_timeout(self->library, &call_time) == AMQP_STATUS_OK);
    amqp_rpc_reply_t reply =
        amqp_login_with_properties(self->library, info->vhost, 0, FRAME_MAX, BROKER_HEARTBEAT_S,
                                   &properties, AMQP_SASL_METHOD_PLAIN, info->user, info->password);
    int error = login_outcome(self, &reply, info, detail);
    if (error != 0)
        return error;
    self->frame_max = (size_t)amqp_get_frame_max(self->library);
    amqp_channel_open(self->library, CHANNEL);
    return outcome(self, "opening a channel", detail);
}

int broker_open(broker_connection_t **out, const char *url, const char *name, detail_t *detail)
{
    struct amqp_connection_info info;
    char *copy;
    *out = NULL;
    if (!parse_url(&copy, &info, url) || info.ssl) {
        free(copy);
        return broker_url_check(url, detail) ? ERR_INTERNAL : ERR_BROKER_REFUSED;
    }
    broker_connection_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->library = amqp_new_connection();
    must(self->library != NULL);
    self->healthy = true;
    int error = log_in(self, &info, name, detail);
    free(copy);
    if (error != 0)
        broker_close(&self);
    *out = self;
    return error;
}

void broker_close(broker_connection_t **self)
{
    broker_connection_t *connection = *self;
    if (connection == NULL)
        return;
    *self = NULL;
    struct timeval close_time = in_timeval(CLOSE_TIMEOUT_MS);
    if (connection->healthy && connection->decoder.state == DECODE_METHOD) {
        (void)amqp_set_rpc_timeout(connection->library, &close_time);
        (void)amqp_connection_close(connection->library, AMQP_REPLY_SUCCESS);
    }
    (void)amqp_destroy_connection(connection->library);
    broker_decoder_fini(&connection->decoder);
    text_buffer_fini(&connection->out);
    free(connection);
}

int broker_fd(const broker_connection_t *self)
{
    return amqp_get_sockfd(self->library);
}

/* --- topology --------------------------------------------------------------------------------- */

static int declare_queue(broker_connection_t *self, const broker_topology_t *topology,
                         const char *queue, bool single_active_consumer, detail_t *detail)
{
    amqp_table_entry_t arguments[2] = {0};
    arguments[0].key = amqp_cstring_bytes("x-queue-type");
    arguments[0].value.kind = AMQP_FIELD_KIND_UTF8;
    arguments[0].value.value.bytes = amqp_cstring_bytes(topology->queue_type);
    arguments[1].key = amqp_cstring_bytes("x-single-active-consumer");
    arguments[1].value.kind = AMQP_FIELD_KIND_BOOLEAN;
    arguments[1].value.value.boolean = 1;
    amqp_table_t table = {single_active_consumer ? 2 : 1, arguments};
    amqp_queue_declare(self->library, CHANNEL, amqp_cstring_bytes(queue), 0, 1, 0, 0, table);
    detail_t what;
    detail_set(&what, 0, "queue '%.128s' of type %s", queue, topology->queue_type);
    return outcome(self, what.text, detail);
}

static int declare_exchange(broker_connection_t *self, const broker_topology_t *topology,
                            detail_t *detail)
{
    amqp_exchange_declare(self->library, CHANNEL, amqp_cstring_bytes(topology->exchange),
                          amqp_cstring_bytes(topology->exchange_type), 0, 1, 0, 0,
                          amqp_empty_table);
    detail_t what;
    detail_set(&what, 0, "exchange '%.128s' of type %s", topology->exchange,
               topology->exchange_type);
    return outcome(self, what.text, detail);
}

static int bind_queue(broker_connection_t *self, const broker_topology_t *topology,
                      detail_t *detail)
{
    amqp_bytes_t queue = amqp_cstring_bytes(topology->queue);
    amqp_queue_bind(self->library, CHANNEL, queue, amqp_cstring_bytes(topology->exchange), queue,
                    amqp_empty_table);
    return outcome(self, "binding the queue to the exchange", detail);
}

int broker_declare(broker_connection_t *self, const broker_topology_t *topology, detail_t *detail)
{
    detail_t dead;
    detail_set(&dead, 0, "%s.dead", topology->queue);
    int error = declare_exchange(self, topology, detail);
    if (error == 0)
        error = declare_queue(self, topology, topology->queue, true, detail);
    if (error == 0)
        error = bind_queue(self, topology, detail);
    if (error == 0)
        error = declare_queue(self, topology, dead.text, false, detail);
    return error;
}

int broker_queue_depth(broker_connection_t *self, const char *queue, uint32_t *messages,
                       uint32_t *consumers, detail_t *detail)
{
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        self->library, CHANNEL, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (ok != NULL) { /* before outcome lets go of it */
        *messages = ok->message_count;
        *consumers = ok->consumer_count;
    }
    return outcome(self, queue, detail);
}

int broker_confirm_select(broker_connection_t *self, detail_t *detail)
{
    amqp_confirm_select(self->library, CHANNEL);
    return outcome(self, "asking for publisher confirms", detail);
}

int broker_consume(broker_connection_t *self, const char *queue, uint16_t prefetch,
                   detail_t *detail)
{
    amqp_basic_qos(self->library, CHANNEL, 0, prefetch, 0);
    int error = outcome(self, "setting the prefetch", detail);
    if (error != 0)
        return error;
    amqp_basic_consume(self->library, CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    return outcome(self, "subscribing to the queue", detail);
}

/* --- sending ---------------------------------------------------------------------------------- */

uint64_t broker_publish(broker_connection_t *self, const broker_message_t *message)
{
    broker_encode_publish(&self->out, CHANNEL, self->frame_max, message);
    return ++self->published;
}

void broker_ack(broker_connection_t *self, uint64_t tag, bool multiple)
{
    broker_encode_ack(&self->out, CHANNEL, tag, multiple);
}

/* Waits until the socket takes more. False: it did not within the time that is left. */
static bool await_writable(int fd, int64_t deadline_ms)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        struct pollfd socket = {.fd = fd, .events = POLLOUT};
        if (left_ms <= 0)
            return false;
        int ready = poll(&socket, 1, (int)left_ms);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

int broker_flush(broker_connection_t *self, detail_t *detail)
{
    int fd = amqp_get_sockfd(self->library);
    int64_t deadline_ms = clock_mono_ms() + BROKER_FLUSH_TIMEOUT_MS;
    for (size_t sent = 0; sent < self->out.size;) {
        ssize_t size =
            send(fd, self->out.data + sent, self->out.size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size >= 0)
            sent += (size_t)size;
        else if (errno == EAGAIN && !await_writable(fd, deadline_ms))
            return down(self, detail, "sending to the broker", "it takes nothing any more");
        else if (errno != EAGAIN && errno != EINTR)
            return down(self, detail, "sending to the broker", strerror(errno));
    }
    if (self->out.capacity > OUT_KEEP_BYTES)
        text_buffer_fini(&self->out);
    text_buffer_clear(&self->out);
    return 0;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* The memory of frames is the library's and goes a channel at a time, so that of a message which is
 * still arriving must be kept. */
static void release(broker_connection_t *self)
{
    amqp_maybe_release_buffers_on_channel(self->library, 0);
    if (self->decoder.state == DECODE_METHOD)
        amqp_maybe_release_buffers_on_channel(self->library, CHANNEL);
    self->unreleased = false;
}

/* Says good-bye to a broker that closes; it ends the connection anyway, so the outcome is no matter. */
static void answer_close(broker_connection_t *self, const amqp_frame_t *frame)
{
    amqp_connection_close_ok_t connection_close_ok = {0};
    if (frame->frame_type == AMQP_FRAME_METHOD &&
        frame->payload.method.id == AMQP_CONNECTION_CLOSE_METHOD)
        (void)amqp_send_method(self->library, 0, AMQP_CONNECTION_CLOSE_OK_METHOD,
                               &connection_close_ok);
}

int broker_next(broker_connection_t *self, broker_event_t *out, detail_t *detail)
{
    struct timeval none = {0};
    if (self->unreleased)
        release(self);
    for (;;) {
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame_noblock(self->library, &frame, &none);
        if (status == AMQP_STATUS_TIMEOUT)
            return 0;
        if (status != AMQP_STATUS_OK)
            return down(self, detail, "the connection to the broker failed",
                        amqp_error_string2(status));
        int got = broker_decode(&self->decoder, &frame, detail);
        if (got < 0) {
            answer_close(self, &frame);
            self->healthy = false;
            return got;
        }
        self->unreleased = true;
        if (got == 1) {
            *out = self->decoder.event;
            return 1;
        }
        if (self->decoder.state == DECODE_METHOD)
            release(self);
    }
}
