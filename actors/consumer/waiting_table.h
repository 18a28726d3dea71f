/* SPDX-License-Identifier: Apache-2.0
 * waiting_table.h - the table of the worker's database in which events wait for their run, whole: a worker that
 * starts finds there all that it had acked and not yet done. Its rows change in the transactions of the inbox.
 *
 * Fails     as the inbox does
 */
#ifndef USERBUS_ACTORS_CONSUMER_WAITING_TABLE_H
#define USERBUS_ACTORS_CONSUMER_WAITING_TABLE_H

#include "actors/consumer/inbox_database.h"
#include "proto/text_buffer.h"

typedef struct waiting_table waiting_table_t;

typedef struct waiting_event {
    int64_t row; /* a user's events run in ascending order of it */
    text_t user_key, message_id;
    int kind; /* event_kind_t */
    int64_t sequence, arrived_us;
    int64_t attempts;                     /* failed runs */
    int64_t first_failed_us, next_try_us; /* wall clock; 0: none */
    bool is_dead;                         /* runs no more, waits for the confirm of its letter */
    text_t error, reason;                 /* of the last failure */
    text_t properties, body;              /* of the message: stored_message.h */
} waiting_event_t;

/* Of the events of one queue. It must be closed before the database. ERR_DATABASE_OPEN. */
int waiting_table_open(waiting_table_t **out, inbox_database_t *database, const char *queue,
                       detail_t *detail) __attribute__((warn_unused_result));

/* A NULL *self is fine. */
void waiting_table_close(waiting_table_t **self);

/* Writes all but the row, which it gives. */
int waiting_table_add(waiting_table_t *self, const waiting_event_t *event, int64_t *row)
    __attribute__((warn_unused_result));

/* Writes attempts, first_failed_us, next_try_us, is_dead, error and reason. */
int waiting_table_failed(waiting_table_t *self, const waiting_event_t *event)
    __attribute__((warn_unused_result));

/* Settles the event's message in the inbox and deletes the row. */
int waiting_table_remove(waiting_table_t *self, int64_t row, inbox_outcome_t outcome)
    __attribute__((warn_unused_result));

/* Its texts live until the next call here. ERR_INTERNAL: there is no such row. */
int waiting_table_read(waiting_table_t *self, int64_t row, waiting_event_t *out)
    __attribute__((warn_unused_result));

/* The event comes without texts, but the user's key, which lives for the visit. */
typedef void (*waiting_visit_t)(void *context, const waiting_event_t *event);

/* All of the queue, in order. */
int waiting_table_walk(waiting_table_t *self, waiting_visit_t visit, void *context)
    __attribute__((warn_unused_result));

#endif
