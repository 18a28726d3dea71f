/* SPDX-License-Identifier: Apache-2.0
 * actor.h - the life of an actor: a thread with a mailbox that starts with a status and stops by a
 * deadline.
 *
 * Every actor has a class: init, run, fini, all called in the actor's own thread, in that order.
 * The starter waits for the outcome of init; an actor that fails there leaves no thread behind.
 */
#ifndef USERBUS_PIPELINE_ACTOR_H
#define USERBUS_PIPELINE_ACTOR_H

#include <stddef.h>

#include "pipeline/mailbox.h"

#define SUPERVISOR_ADDRESS "supervisor"

enum { DETAIL_SIZE = 512 };

/* What went wrong, for a person: one line that says what to do. */
typedef struct detail {
    char text[DETAIL_SIZE];
} detail_t;

/* Writes the detail like printf, cut to its size and made plain (plain_text.h), since details quote what came from
 * outside, and returns `error`, so that a failing function can end with `return detail_set(detail, ERR_..., ...)`.
 * A NULL detail is fine. */
int detail_set(detail_t *detail, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What an actor's own thread has at hand. Owned by the life cycle. */
typedef struct actor_self {
    const char *name; /* its address as well: "store", "bridge.0" */
    mailroom_t *room;
    mailbox_t *mailbox; /* its own */
} actor_self_t;

/* What an actor does with a message; `state` is its own. The message lives for the call. */
typedef void (*message_handler_t)(void *state, const message_t *message);

/* Takes every frame that is here and hands each message to its handler, by type; those without one
 * and what is malformed is passed over, the latter with a line in the log. Never waits. */
void actor_read_mail(const actor_self_t *self, frame_reader_t *reader,
                     const message_handler_t handlers[MSG_count], void *state);

typedef struct actor_class {
    /* Makes the state from conf (borrowed until actor_start returns). On error a code of
     * errors.def, *detail filled and nothing left open. */
    int (*init)(void **state, const actor_self_t *self, const void *conf, detail_t *detail);
    /* Works until a `stop` message was obeyed (then 0) or the actor cannot go on (then an error and
     * *detail). */
    int (*run)(void *state, detail_t *detail);
    void (*fini)(void *state);
} actor_class_t;

typedef struct actor actor_t; /* the starter's handle */

/* Starts the thread (signals blocked in it) and waits until init is done or start_timeout_ms
 * passed. On 0 *out goes to actor_stop; on error *out is NULL, *detail says why, and no thread is
 * left, except after ERR_DEADLINE, when the process should end. `name` and `class` must outlive the
 * actor. */
int actor_start(actor_t **out, mailroom_t *room, const char *name, const actor_class_t *class,
                const void *conf, int start_timeout_ms, detail_t *detail)
    __attribute__((warn_unused_result));

/* Asks the actor to end within deadline_ms; several can be asked before the first is joined. */
void actor_send_stop(actor_t *self, int deadline_ms);

/* Joins the thread within deadline_ms and sets *self to NULL. ERR_DEADLINE: the thread still runs,
 * and the process should end. */
int actor_join(actor_t **self, int deadline_ms);

/* Both of them. Also for an actor that ended by itself. A NULL *self is fine. */
int actor_stop(actor_t **self, int deadline_ms);

#endif
