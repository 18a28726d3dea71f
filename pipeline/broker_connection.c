/* SPDX-License-Identifier: Apache-2.0
 * broker_connection.c - rabbitmq-c for what happens once (login, topology) and for all reading; our own
 * buffer for what happens per message, since the library's publish sends each of a message's frames
 * by a write of its own.
 *
 * After the login the library only reads: its writes have no deadline, and one in the middle of a
 * half-written frame of ours would break the stream. So its heartbeats are turned off and we send our
 * own from the buffer; the calls that wait (topology) are made only when all is sent and the socket
 * has room, so that their small frames fit.
 */
#include "pipeline/broker_connection.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pipeline/broker_encode.h"
#include "pipeline/broker_private.h"
#include "pipeline/broker_socket.h"
#include "pipeline/clock.h"
#include "proto/errors.h"

enum { OUT_KEEP_BYTES = 4 << 20 }; /* a larger buffer is given back when it is empty */

/* --- calls that wait -------------------------------------------------------------------------- */

int broker_down(broker_connection_t *self, detail_t *detail, const char *what, const char *why)
{
    self->healthy = false;
    return detail_set(detail, ERR_BROKER_DOWN, "%s: %s", what, why);
}

struct timeval broker_time_until(int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - clock_mono_ms();
    left_ms = left_ms > 0 ? left_ms : 1;
    return (struct timeval){.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};
}

/* Writes what the socket takes of what may go. */
static int push(broker_connection_t *self, detail_t *detail)
{
    int fd = amqp_get_sockfd(self->library);
    while (self->sent < self->flushed) {
        ssize_t size = send(fd, self->out.data + self->sent, self->flushed - self->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size > 0) {
            self->sent += (size_t)size;
            broker_pulse_sent(&self->pulse, self->sent == self->flushed, clock_mono_ms());
        } else if (size < 0 && errno == EAGAIN) {
            broker_pulse_stuck(&self->pulse, clock_mono_ms());
            return 0;
        } else if (size < 0 && errno != EINTR) {
            return broker_down(self, detail, "sending to the broker", strerror(errno));
        }
    }
    if (self->sent < self->out.size)
        return 0;
    if (self->out.capacity > OUT_KEEP_BYTES)
        text_buffer_fini(&self->out);
    text_buffer_clear(&self->out);
    self->sent = self->flushed = 0;
    return 0;
}

/* Sends all of the buffer by the deadline, and leaves room in the socket for a call of the library. */
static int push_all(broker_connection_t *self, int64_t deadline_ms, detail_t *detail)
{
    int error = 0;
    self->flushed = self->out.size;
    do {
        if (!broker_socket_await(amqp_get_sockfd(self->library), POLLOUT, deadline_ms))
            return broker_down(self, detail, "sending to the broker", "it takes nothing any more");
        error = push(self, detail);
    } while (error == 0 && broker_unsent(self) > 0);
    return error;
}

int broker_begin_call(broker_connection_t *self, const char *what, detail_t *detail)
{
    int64_t deadline_ms =
        self->deadline_ms != 0 ? self->deadline_ms : clock_mono_ms() + BROKER_CALL_TIMEOUT_MS;
    if (clock_mono_ms() >= deadline_ms)
        return broker_down(self, detail, what, "the time for it is over");
    int error = push_all(self, deadline_ms, detail);
    const struct timeval left = broker_time_until(deadline_ms);
    must(amqp_set_rpc_timeout(self->library, &left) == AMQP_STATUS_OK);
    return error;
}

/* Answers the broker's close of the channel, which may then be opened again. */
static int reopen_channel(broker_connection_t *self, const char *what, detail_t *detail)
{
    amqp_channel_close_ok_t close_ok = {0};
    int status =
        amqp_send_method(self->library, BROKER_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
    if (status != AMQP_STATUS_OK)
        return broker_down(self, detail, what, amqp_error_string2(status));
    if (amqp_channel_open(self->library, BROKER_CHANNEL) == NULL)
        return broker_down(self, detail, what, "the channel could not be opened again");
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
    detail_t before;
    self->healthy = false;
    detail_set(&before, 0, "%s: ", what);
    return broker_closed(before.text, "channel", close->reply_code, close->reply_text, detail);
}

static int closed_connection(broker_connection_t *self, const amqp_connection_close_t *close,
                             const char *what, detail_t *detail)
{
    detail_t before;
    self->healthy = false;
    detail_set(&before, 0, "%s: ", what);
    return broker_closed(before.text, "connection", close->reply_code, close->reply_text, detail);
}

int broker_end_call(broker_connection_t *self, const char *what, detail_t *detail)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(self->library);
    int error = 0;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        error = broker_down(self, detail, what, amqp_error_string2(reply.library_error));
    else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
             reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        error = refused_call(self, reply.reply.decoded, what, detail);
    else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
             reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        error = closed_connection(self, reply.reply.decoded, what, detail);
    else if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        error = broker_down(self, detail, what, "the broker closed the connection");
    if (error == 0) {
        amqp_maybe_release_buffers_on_channel(self->library, BROKER_CHANNEL);
        broker_pulse_received(&self->pulse, clock_mono_ms());
    }
    return error;
}

void broker_set_deadline(broker_connection_t *self, int64_t deadline_ms)
{
    self->deadline_ms = deadline_ms;
}

/* --- closing -------------------------------------------------------------------------------------- */

/* A broker in an alarm would not read it, and one in the middle of a message could not be heard. */
static bool can_say_goodbye(const broker_connection_t *self)
{
    return self->healthy && !self->pulse.blocked && self->decoder.state == DECODE_METHOD;
}

void broker_close(broker_connection_t **self)
{
    broker_close_within(self, BROKER_CLOSE_TIMEOUT_MS);
}

void broker_close_within(broker_connection_t **self, int ms)
{
    broker_connection_t *connection = *self;
    if (connection == NULL)
        return;
    int64_t deadline_ms = clock_mono_ms() + ms;
    if (can_say_goodbye(connection) && push_all(connection, deadline_ms, NULL) == 0) {
        const struct timeval left = broker_time_until(deadline_ms);
        (void)amqp_set_rpc_timeout(connection->library, &left);
        (void)amqp_connection_close(connection->library, AMQP_REPLY_SUCCESS);
    }
    broker_abandon(self);
}

void broker_abandon(broker_connection_t **self)
{
    broker_connection_t *connection = *self;
    if (connection == NULL)
        return;
    *self = NULL;
    if (connection->pulse.blocked) /* what waits in the socket would be published after the alarm */
        broker_socket_reset_on_close(amqp_get_sockfd(connection->library));
    (void)amqp_destroy_connection(connection->library);
    broker_decoder_fini(&connection->decoder);
    text_buffer_fini(&connection->out);
    free(connection);
}

const char *broker_address(const broker_connection_t *self)
{
    return self->address;
}

int broker_fd(const broker_connection_t *self)
{
    return amqp_get_sockfd(self->library);
}

short broker_poll_events(const broker_connection_t *self)
{
    return broker_unsent(self) > 0 ? POLLIN | POLLOUT : POLLIN;
}

/* --- topology --------------------------------------------------------------------------------- */

static amqp_table_entry_t queue_type_argument(const broker_topology_t *topology)
{
    amqp_table_entry_t argument = {.key = amqp_cstring_bytes("x-queue-type")};
    argument.value.kind = AMQP_FIELD_KIND_UTF8;
    argument.value.value.bytes = amqp_cstring_bytes(topology->queue_type);
    return argument;
}

static int declare_queue(broker_connection_t *self, const char *queue,
                         amqp_table_entry_t *arguments, int count, const char *what,
                         detail_t *detail)
{
    amqp_table_t table = {count, arguments};
    int error = broker_begin_call(self, what, detail);
    if (error != 0)
        return error;
    amqp_queue_declare(self->library, BROKER_CHANNEL, amqp_cstring_bytes(queue), 0, 1, 0, 0, table);
    return broker_end_call(self, what, detail);
}

static int declare_main_queue(broker_connection_t *self, const broker_topology_t *topology,
                              detail_t *detail)
{
    amqp_table_entry_t arguments[2] = {queue_type_argument(topology)};
    detail_t what;
    arguments[1].key = amqp_cstring_bytes("x-single-active-consumer");
    arguments[1].value.kind = AMQP_FIELD_KIND_BOOLEAN;
    arguments[1].value.value.boolean = 1;
    detail_set(&what, 0, "queue '%.128s' of type %s", topology->queue, topology->queue_type);
    return declare_queue(self, topology->queue, arguments, 2, what.text, detail);
}

static int declare_dead_queue(broker_connection_t *self, const broker_topology_t *topology,
                              detail_t *detail)
{
    amqp_table_entry_t arguments[2] = {queue_type_argument(topology)};
    int64_t ttl_s = topology->dead_letter_retention_s;
    detail_t name, what;
    arguments[1].key = amqp_cstring_bytes("x-message-ttl");
    arguments[1].value.kind = AMQP_FIELD_KIND_I64;
    arguments[1].value.value.i64 = ttl_s * 1000;
    detail_set(&name, 0, "%s.dead", topology->queue);
    detail_set(&what, 0, "queue '%.128s' of type %s with dead_letter_retention %lld", name.text,
               topology->queue_type, (long long)ttl_s);
    return declare_queue(self, name.text, arguments, ttl_s > 0 ? 2 : 1, what.text, detail);
}

static int declare_exchange(broker_connection_t *self, const broker_topology_t *topology,
                            detail_t *detail)
{
    detail_t what;
    detail_set(&what, 0, "exchange '%.128s' of type %s", topology->exchange,
               topology->exchange_type);
    int error = broker_begin_call(self, what.text, detail);
    if (error != 0)
        return error;
    amqp_exchange_declare(self->library, BROKER_CHANNEL, amqp_cstring_bytes(topology->exchange),
                          amqp_cstring_bytes(topology->exchange_type), 0, 1, 0, 0,
                          amqp_empty_table);
    return broker_end_call(self, what.text, detail);
}

static int bind_queue(broker_connection_t *self, const broker_topology_t *topology,
                      detail_t *detail)
{
    static const char what[] = "binding the queue to the exchange";
    amqp_bytes_t queue = amqp_cstring_bytes(topology->queue);
    int error = broker_begin_call(self, what, detail);
    if (error != 0)
        return error;
    amqp_queue_bind(self->library, BROKER_CHANNEL, queue, amqp_cstring_bytes(topology->exchange),
                    queue, amqp_empty_table);
    return broker_end_call(self, what, detail);
}

int broker_declare(broker_connection_t *self, const broker_topology_t *topology, detail_t *detail)
{
    int error = declare_exchange(self, topology, detail);
    if (error == 0)
        error = declare_main_queue(self, topology, detail);
    if (error == 0)
        error = bind_queue(self, topology, detail);
    if (error == 0)
        error = declare_dead_queue(self, topology, detail);
    return error;
}

int broker_queue_depth(broker_connection_t *self, const char *queue, uint32_t *messages,
                       uint32_t *consumers, detail_t *detail)
{
    int error = broker_begin_call(self, queue, detail);
    if (error != 0)
        return error;
    const amqp_queue_declare_ok_t *ok = amqp_queue_declare(
        self->library, BROKER_CHANNEL, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (ok != NULL) { /* before outcome lets go of it */
        *messages = ok->message_count;
        *consumers = ok->consumer_count;
    }
    return broker_end_call(self, queue, detail);
}

int broker_confirm_select(broker_connection_t *self, detail_t *detail)
{
    static const char what[] = "asking for publisher confirms";
    int error = broker_begin_call(self, what, detail);
    if (error != 0)
        return error;
    amqp_confirm_select(self->library, BROKER_CHANNEL);
    return broker_end_call(self, what, detail);
}

int broker_consume(broker_connection_t *self, const char *queue, uint16_t prefetch,
                   detail_t *detail)
{
    int error = broker_begin_call(self, "setting the prefetch", detail);
    if (error != 0)
        return error;
    amqp_basic_qos(self->library, BROKER_CHANNEL, 0, prefetch, 0);
    error = broker_end_call(self, "setting the prefetch", detail);
    if (error == 0)
        error = broker_begin_call(self, "subscribing to the queue", detail);
    if (error != 0)
        return error;
    amqp_basic_consume(self->library, BROKER_CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes,
                       0, 0, 0, amqp_empty_table);
    return broker_end_call(self, "subscribing to the queue", detail);
}

/* --- sending ---------------------------------------------------------------------------------- */

uint64_t broker_publish(broker_connection_t *self, const broker_message_t *message)
{
    broker_encode_publish(&self->out, BROKER_CHANNEL, self->frame_max, message);
    return ++self->published;
}

void broker_ack(broker_connection_t *self, uint64_t tag, bool multiple)
{
    broker_encode_ack(&self->out, BROKER_CHANNEL, tag, multiple);
}

void broker_requeue(broker_connection_t *self, uint64_t tag)
{
    broker_encode_requeue(&self->out, BROKER_CHANNEL, tag);
}

int broker_flush(broker_connection_t *self, detail_t *detail)
{
    self->flushed = self->out.size;
    return push(self, detail);
}

size_t broker_unsent(const broker_connection_t *self)
{
    return self->flushed - self->sent;
}

bool broker_is_blocked(const broker_connection_t *self)
{
    return self->pulse.blocked;
}

/* Goes on with what the socket did not take, or gives a sign of life. Frames that are encoded and not
 * flushed are signs enough, soon. */
static int keep_up(broker_connection_t *self, int64_t now_ms, detail_t *detail)
{
    static const char heartbeat[] = "\x08\0\0\0\0\0\0\xCE"; /* AMQP 0-9-1 section 4.2.7 */
    if (self->out.size == 0 && broker_pulse_beat_is_due(&self->pulse, now_ms)) {
        text_add(&self->out, (text_t){heartbeat, sizeof(heartbeat) - 1});
        self->flushed = self->out.size;
    }
    return broker_unsent(self) > 0 ? push(self, detail) : 0;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* The memory of frames is the library's and goes a channel at a time, so that of a message which is
 * still arriving must be kept. */
static void release(broker_connection_t *self)
{
    amqp_maybe_release_buffers_on_channel(self->library, 0);
    if (self->decoder.state == DECODE_METHOD)
        amqp_maybe_release_buffers_on_channel(self->library, BROKER_CHANNEL);
    self->unreleased = false;
}

/* Confirms the broker's close, if that can be done at once; it ends the connection anyway. */
static void answer_close(broker_connection_t *self, const amqp_frame_t *frame)
{
    static const char close_ok[] = "\x01\0\0\0\0\0\x04\0\x0A\0\x33\xCE"; /* 10, 51 */
    if (frame->frame_type == AMQP_FRAME_METHOD &&
        frame->payload.method.id == AMQP_CONNECTION_CLOSE_METHOD && broker_unsent(self) == 0)
        (void)!send(amqp_get_sockfd(self->library), close_ok, sizeof(close_ok) - 1,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int give_up(broker_connection_t *self, const char *why, int64_t since_ms, int64_t now_ms,
                   detail_t *detail)
{
    self->healthy = false;
    broker_socket_reset_on_close(amqp_get_sockfd(self->library));
    return detail_set(detail, ERR_BROKER_DOWN, "%s for %lld ms; the connection is given up", why,
                      (long long)(now_ms - since_ms));
}

/* 1: something is here to be read (the end of the connection is, too); 0: nothing; an error: the
 * connection is dead. The library's buffers are empty. */
static int look(broker_connection_t *self, detail_t *detail)
{
    int64_t now_ms = clock_mono_ms();
    char byte;
    int error = keep_up(self, now_ms, detail);
    if (error != 0)
        return error;
    ssize_t size = recv(amqp_get_sockfd(self->library), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size > 0)
        broker_pulse_received(&self->pulse, now_ms);
    if (size >= 0 || (errno != EAGAIN && errno != EINTR))
        return 1;
    switch (broker_pulse_judge(&self->pulse, now_ms)) {
    case PULSE_SILENT:
        return give_up(self, "nothing came from the broker", self->pulse.received_ms, now_ms,
                       detail);
    case PULSE_STUCK:
        return give_up(self, "the broker takes nothing", self->pulse.stuck_ms, now_ms, detail);
    default:
        return 0;
    }
}

/* A broker in an alarm may leave what we sent unread for as long as that lasts. */
static void note_alarm(broker_connection_t *self, broker_event_kind_t kind)
{
    if (kind != BROKER_BLOCKED && kind != BROKER_UNBLOCKED)
        return;
    bool blocked = kind == BROKER_BLOCKED;
    broker_pulse_set_blocked(&self->pulse, blocked, clock_mono_ms());
    broker_socket_set_patience(amqp_get_sockfd(self->library),
                               blocked ? 0 : broker_pulse_limit_ms(&self->pulse));
}

int broker_next(broker_connection_t *self, broker_event_t *out, detail_t *detail)
{
    struct timeval none = {0};
    if (self->unreleased)
        release(self);
    for (;;) {
        amqp_frame_t frame;
        int here = 1;
        if (!amqp_frames_enqueued(self->library) && !amqp_data_in_buffer(self->library))
            here = look(self, detail);
        if (here != 1)
            return here;
        int status = amqp_simple_wait_frame_noblock(self->library, &frame, &none);
        if (status == AMQP_STATUS_TIMEOUT)
            return 0;
        if (status != AMQP_STATUS_OK)
            return broker_down(self, detail, "the connection to the broker failed",
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
            note_alarm(self, out->kind);
            return 1;
        }
        if (self->decoder.state == DECODE_METHOD)
            release(self);
    }
}
