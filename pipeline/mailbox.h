/* SPDX-License-Identifier: Apache-2.0
 * mailbox.h - how frames travel between actors: inproc ZeroMQ, and the only place that calls it.
 *
 * Bounds    Neither end has a high-water mark, so a send never blocks and nothing is ever dropped.
 *           What bounds a mailbox is credit: every message that may be sent is either a reply that a
 *           request entitled to, or within a count that the receiver granted (ARCHITECTURE.md lists
 *           them). An address that nobody opened yet keeps its frames until somebody does.
 * Threads   A room may be shared. A mailbox and a sender belong to the thread that opened them.
 */
#ifndef USERBUS_PIPELINE_MAILBOX_H
#define USERBUS_PIPELINE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

typedef struct mailroom mailroom_t; /* the address space: one per process */
typedef struct mailbox mailbox_t;   /* receiving end of one address */
typedef struct sender sender_t;     /* sending end towards one address */

enum { ADDRESS_MAX_BYTES = 32 };

/* Aborts when the process has no file descriptors left for it. */
mailroom_t *mailroom_open(void);

/* Every mailbox and sender must be closed before. A NULL *self is fine. */
void mailroom_close(mailroom_t **self);

/* Opens the mailbox of `address` ("store", "bridge.0"), one at a time per address. ERR_INTERNAL:
 * the address is taken. */
int mailbox_open(mailbox_t **out, mailroom_t *room, const char *address)
    __attribute__((warn_unused_result));

/* Frames that were not received are gone. A NULL *self is fine. */
void mailbox_close(mailbox_t **self);

/* A descriptor that becomes readable when frames arrive, for a foreign event loop. It tells only of
 * changes: after each wake-up call mailbox_receive until it returns false. Ours to close. */
int mailbox_fd(const mailbox_t *self);

enum { WAIT_MAIL = 1, WAIT_FD = 2 };

/* Sleeps until a frame is here, `fd` (-1: none) has one of `fd_events` (poll's POLLIN, POLLOUT), or
 * timeout_ms passed (-1: for ever). Returns a set of WAIT_MAIL and WAIT_FD, 0 on time-out or an
 * interrupting signal. Errors and hang-ups of fd count as WAIT_FD. */
int mailbox_wait(mailbox_t *self, int fd, short fd_events, int timeout_ms);

/* Sleeps for so many milliseconds, whatever arrives, so that it gathers. */
void mailbox_pause(mailbox_t *self, int ms);

/* Takes the next frame without waiting and points the reader at it; the frame lives until the next
 * call or mailbox_close. False: there is none. */
bool mailbox_receive(mailbox_t *self, frame_reader_t *reader);

/* Opens a sending end. The address need not be open yet. */
sender_t *sender_open(mailroom_t *room, const char *address);

/* A NULL *self is fine. What was sent still arrives. */
void sender_close(sender_t **self);

/* Sends the frame's messages, in order, and leaves the frame empty; an empty one sends nothing.
 * Never blocks. */
void sender_send(sender_t *self, frame_t *frame);

#endif
