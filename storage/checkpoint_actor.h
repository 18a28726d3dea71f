/* SPDX-License-Identifier: Apache-2.0
 * checkpoint_actor.h - moves what the write-ahead log of a database holds into its file, in a thread
 * and with a connection of its own, so that no commit waits for it.
 *
 * Receives  checkpoint_request   "checkpoint"; one at a time
 *           stop
 * Sends     checkpoint_done      to "store": one per request
 * Fails     a full disk or a locked file is told in checkpoint_done and logged; an I/O error ends the
 *           actor with ERR_DATABASE_FATAL, never retried
 */
#ifndef USERBUS_STORAGE_CHECKPOINT_ACTOR_H
#define USERBUS_STORAGE_CHECKPOINT_ACTOR_H

#include "pipeline/actor.h"

#define CHECKPOINT_ADDRESS "checkpoint"

typedef struct checkpoint_conf {
    const char *database_url; /* "sqlite:PATH"; borrowed until its start returns */
} checkpoint_conf_t;

/* conf: checkpoint_conf_t. It starts after the owner of the database and stops before it. */
extern const actor_class_t checkpoint_actor;

#endif
