/* SPDX-License-Identifier: Apache-2.0
 * mailbox.c - PUSH to PULL over inproc. See mailbox.h for the rules.
 */
#include "pipeline/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "proto/errors.h"

struct mailroom {
    void *context;
};

enum { ENDPOINT_SIZE = ADDRESS_MAX_BYTES + 16 };

struct mailbox {
    void *socket;
    char endpoint[ENDPOINT_SIZE];
    zmq_msg_t frame; /* the one handed out last */
};

struct sender {
    void *socket;
};

mailroom_t *mailroom_open(void)
{
    mailroom_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->context = zmq_ctx_new();
    must(self->context != NULL);
    /* inproc needs no I/O thread. */
    must(zmq_ctx_set(self->context, ZMQ_IO_THREADS, 0) == 0);
    return self;
}

void mailroom_close(mailroom_t **self)
{
    if (*self == NULL)
        return;
    while (zmq_ctx_term((*self)->context) != 0)
        must(errno == EINTR);
    free(*self);
    *self = NULL;
}

static void *socket_open(mailroom_t *room, int type, const char *address,
                         char endpoint[ENDPOINT_SIZE])
{
    must(snprintf(endpoint, ENDPOINT_SIZE, "inproc://%s", address) < ENDPOINT_SIZE);
    void *socket = zmq_socket(room->context, type);
    must(socket != NULL);
    int unlimited = 0, linger = 0;
    must(zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof(unlimited)) == 0);
    must(zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof(unlimited)) == 0);
    must(zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) == 0);
    return socket;
}

int mailbox_open(mailbox_t **out, mailroom_t *room, const char *address)
{
    *out = NULL;
    mailbox_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->socket = socket_open(room, ZMQ_PULL, address, self->endpoint);
    if (zmq_bind(self->socket, self->endpoint) != 0) {
        zmq_close(self->socket);
        free(self);
        return ERR_INTERNAL;
    }
    must(zmq_msg_init(&self->frame) == 0);
    *out = self;
    return 0;
}

void mailbox_close(mailbox_t **self)
{
    if (*self == NULL)
        return;
    zmq_msg_close(&(*self)->frame);
    /* The socket itself goes later, in ZeroMQ's reaper; the address must be free at once, for an
     * actor that is started again. */
    must(zmq_unbind((*self)->socket, (*self)->endpoint) == 0);
    zmq_close((*self)->socket);
    free(*self);
    *self = NULL;
}

int mailbox_fd(const mailbox_t *self)
{
    int fd = -1;
    size_t size = sizeof(fd);
    must(zmq_getsockopt(self->socket, ZMQ_FD, &fd, &size) == 0);
    return fd;
}

int mailbox_wait(mailbox_t *self, int fd, short fd_events, int timeout_ms)
{
    short wanted =
        (short)((fd_events & POLLIN ? ZMQ_POLLIN : 0) | (fd_events & POLLOUT ? ZMQ_POLLOUT : 0));
    zmq_pollitem_t items[2] = {{.socket = self->socket, .events = ZMQ_POLLIN},
                               {.fd = fd, .events = wanted}};
    if (zmq_poll(items, fd < 0 ? 1 : 2, timeout_ms) < 0) {
        must(errno == EINTR);
        return 0;
    }
    return (items[0].revents ? WAIT_MAIL : 0) | (fd >= 0 && items[1].revents ? WAIT_FD : 0);
}

void mailbox_pause(mailbox_t *self, int ms)
{
    (void)self;
    (void)poll(NULL, 0, ms);
}

bool mailbox_receive(mailbox_t *self, frame_reader_t *reader)
{
    /* zmq_msg_recv releases the frame before. */
    while (zmq_msg_recv(&self->frame, self->socket, ZMQ_DONTWAIT) < 0) {
        if (errno == EAGAIN)
            return false;
        must(errno == EINTR);
    }
    frame_reader_reset(reader, zmq_msg_data(&self->frame), zmq_msg_size(&self->frame));
    return true;
}

sender_t *sender_open(mailroom_t *room, const char *address)
{
    sender_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    char endpoint[ENDPOINT_SIZE];
    self->socket = socket_open(room, ZMQ_PUSH, address, endpoint);
    must(zmq_connect(self->socket, endpoint) == 0);
    return self;
}

void sender_close(sender_t **self)
{
    if (*self == NULL)
        return;
    zmq_close((*self)->socket);
    free(*self);
    *self = NULL;
}

static void free_bytes(void *data, void *hint)
{
    (void)hint;
    free(data);
}

void sender_send(sender_t *self, frame_t *frame)
{
    if (frame->count == 0)
        return;
    size_t size = frame->bytes.size;
    zmq_msg_t message;
    /* The bytes change hands without a copy; the receiver's thread frees them. */
    must(zmq_msg_init_data(&message, msgpack_sbuffer_release(&frame->bytes), size, free_bytes,
                           NULL) == 0);
    frame->count = 0;
    /* A receiver that has gone (a bridge between two starts) leaves the socket without a pipe, and
     * a send to nowhere would have to wait: its frames are void, since whoever comes next attaches
     * anew and is fed from the database. */
    while (zmq_msg_send(&message, self->socket, ZMQ_DONTWAIT) < 0) {
        if (errno == EINTR)
            continue;
        must(errno == EAGAIN);
        zmq_msg_close(&message);
        return;
    }
}
