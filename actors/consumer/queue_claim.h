/* SPDX-License-Identifier: Apache-2.0
 * queue_claim.h - one worker at a time works on the events of one queue in one database file: it alone knows which
 * users' events wait. Another one stands by and takes over when the first has ended, however it ended.
 *
 * The claim is a lock on one byte of the file PATH-claim, chosen by the queue's name; the kernel lets go of it with
 * the process.
 */
#ifndef USERBUS_ACTORS_CONSUMER_QUEUE_CLAIM_H
#define USERBUS_ACTORS_CONSUMER_QUEUE_CLAIM_H

#include <stdbool.h>

#include "pipeline/actor.h" /* detail_t */

/* url: "sqlite:PATH". On 0 *fd goes to close(), which ends the claim, or is -1 when another one has it. An error,
 * ERR_DATABASE_OPEN, comes with *detail. */
int queue_claim_take(int *fd, const char *url, const char *queue, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
