/* SPDX-License-Identifier: Apache-2.0
 * exec_child.h - a processor that is a program of its own: `/bin/sh -c COMMAND` in a process group of its own, fed
 * with one line per event and read line by line, without ever waiting for it.
 *
 * Sends     a line per run (exec_protocol.h), at most EXEC_HAND_MAX unanswered, and only one after it had died with
 *           several, so that the next death tells whose run it was
 * Receives  an answer per run; what it says on stderr goes to the log, a line of it cut at
 *           EXEC_SAID_MAX_BYTES
 * Fails     it ends, or says what is no answer: it is killed with its group and started again, after a pause
 *           that grows; the run is told as failed when it was the only one and the child had read of it, others as
 *           not run. A run beyond the time limit is told as such, and the child is killed.
 * Time      The limit counts for the run that was sent first, from then or from the answer before, since most
 *           children take one after the other; EXEC_HAND_MAX times the limit is the bound for every run.
 */
#ifndef USERBUS_ACTORS_CONSUMER_EXEC_CHILD_H
#define USERBUS_ACTORS_CONSUMER_EXEC_CHILD_H

#include "actors/consumer/exec_protocol.h"

enum {
    EXEC_HAND_MAX = 8,
    EXEC_SAID_MAX_BYTES = 512,
    EXEC_RESTART_BASE_MS = 100,
    EXEC_RESTART_CAP_MS = 30000,
    EXEC_CAREFUL_RUNS = 16, /* that must be answered before it gets several again */
};

typedef struct exec_child exec_child_t;

typedef enum exec_end {
    EXEC_ENDED_DONE,
    EXEC_ENDED_RETRY,      /* it said so */
    EXEC_ENDED_DEAD,       /* it said so */
    EXEC_ENDED_TIMEOUT,    /* the child was killed for it */
    EXEC_ENDED_CRASHED,    /* the child ended while it had this run only */
    EXEC_ENDED_BAD_ANSWER, /* it said what is no answer while it had this run only */
    EXEC_ENDED_NOT_RUN,    /* through no fault of the event */
} exec_end_t;

/* What became of a run; error (empty: untold) lives for the call. */
typedef void (*exec_told_t)(void *context, void *run, exec_end_t end, text_t error);

typedef struct exec_child_conf {
    const char *actor; /* for the log; texts are borrowed for the child's life */
    const char *command;
    int64_t timeout_ms;
    int epoll_fd; /* is told of the child's pipes; borrowed */
    exec_told_t told;
    void *context;
} exec_child_conf_t;

/* It is started with its first run. */
exec_child_t *exec_child_new(const exec_child_conf_t *conf);

/* Kills what runs, tells nothing. A NULL *self is fine. */
void exec_child_free(exec_child_t **self);

/* True when it may get another run now. */
bool exec_child_can_take(const exec_child_t *self, int64_t now_ms);

/* Gives it a run: `run` is the caller's and comes back with the end, never in this call. */
void exec_child_send(exec_child_t *self, void *run, text_t message_id, text_t line, int64_t now_ms);

/* Writes and reads what goes without waiting, and looks at the time: tells of what has ended. */
void exec_child_turn(exec_child_t *self, int64_t now_ms);

/* When exec_child_turn is due even if nothing is readable; INT64_MAX: never. */
int64_t exec_child_due_ms(const exec_child_t *self);

/* It gets no more and may end what it has: closes its stdin when all is written. */
void exec_child_finish(exec_child_t *self);

/* Tells of all that it had in hand as not run. */
void exec_child_kill(exec_child_t *self);

size_t exec_child_in_hand(const exec_child_t *self);

#endif
