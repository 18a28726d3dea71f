/* SPDX-License-Identifier: Apache-2.0
 * checkpoint_actor.c - waits for a request, moves the log (PASSIVE: it neither waits for readers nor stops
 * the writer), says how far it came.
 */
#include "storage/checkpoint_actor.h"

#include <stdlib.h>

#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "storage/sqlite_file.h"

typedef struct checkpoint {
    actor_self_t self;
    sqlite_file_t file;
    frame_reader_t reader;
    sender_t *store;
    frame_t answers;
    bool stopping;
    int error; /* of the database: the actor ends */
} checkpoint_t;

static void on_request(void *state, const message_t *message)
{
    checkpoint_t *self = state;
    msg_checkpoint_done_t done = {.round = message->checkpoint_request.round};
    int64_t began_ms = clock_mono_ms();
    if (self->stopping || self->error != 0)
        return;
    int moved = 0;
    bool stuck = false;
    int error = sqlite_file_checkpoint(&self->file, &moved, &stuck);
    /* So that little is left to sync for the writer, who moves the last frames. */
    if (error == 0)
        error = sqlite_file_sync(&self->file);
    if (error == ERR_DATABASE_FATAL) {
        self->error = error;
        return;
    }
    if (error != 0)
        log_event(LOG_WARN, self->self.name, "checkpoint_failed",
                  LOG_STR("error", error_info(error)->title),
                  LOG_STR("detail", "the log keeps it; it is tried again"));
    log_event(LOG_DEBUG, self->self.name, "checkpoint", LOG_INT("frames", moved),
              LOG_INT("ms", clock_mono_ms() - began_ms));
    done.moved = moved;
    done.stuck = stuck;
    frame_add(&self->answers, MSG_checkpoint_done, 0, &done);
    sender_send(self->store, &self->answers);
}

static void on_stop(void *state, const message_t *message)
{
    checkpoint_t *self = state;
    (void)message;
    self->stopping = true;
}

static const message_handler_t handlers[MSG_count] = {
    [MSG_checkpoint_request] = on_request,
    [MSG_stop] = on_stop,
};

static int run_checkpoint(void *state, detail_t *detail)
{
    checkpoint_t *self = state;
    while (!self->stopping && self->error == 0) {
        mailbox_wait(self->self.mailbox, -1, 0, -1);
        actor_read_mail(&self->self, &self->reader, handlers, self);
    }
    if (self->error == 0)
        return 0;
    return detail_set(
        detail, self->error,
        "the users' database is not written any more, since a checkpoint failed: check "
        "the disk, then start again, which recovers what was committed");
}

static void fini_checkpoint(void *state)
{
    checkpoint_t *self = state;
    sender_close(&self->store);
    frame_clear(&self->answers);
    frame_reader_fini(&self->reader);
    sqlite_file_close(&self->file);
    free(self);
}

static int init_checkpoint(void **state, const actor_self_t *actor, const void *conf,
                           detail_t *detail)
{
    const checkpoint_conf_t *given = conf;
    checkpoint_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->self = *actor;
    int error = sqlite_file_open_beside(&self->file, given->database_url, detail);
    if (error != 0) {
        free(self);
        return error;
    }
    self->store = sender_open(actor->room, "store");
    *state = self;
    return 0;
}

const actor_class_t checkpoint_actor = {
    .init = init_checkpoint, .run = run_checkpoint, .fini = fini_checkpoint};
