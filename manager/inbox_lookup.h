/* SPDX-License-Identifier: Apache-2.0
 * inbox_lookup.h - what the worker's inbox knows of one message, by the index on its id. For looking only.
 */
#ifndef USERBUS_MANAGER_INBOX_LOOKUP_H
#define USERBUS_MANAGER_INBOX_LOOKUP_H

#include "actors/consumer/inbox_database.h"

typedef struct inbox_lookup inbox_lookup_t;

/* ERR_DATABASE_OPEN with *detail. On 0 *out goes to inbox_lookup_close. */
int inbox_lookup_open(inbox_lookup_t **out, const char *url, detail_t *detail)
    __attribute__((warn_unused_result));
void inbox_lookup_close(inbox_lookup_t **self);

/* *outcome: an inbox_outcome_t, or -1: not seen. An error is the database's. */
int inbox_lookup(inbox_lookup_t *self, const uint8_t id[ID_BYTES], int *outcome)
    __attribute__((warn_unused_result));

#endif
