/* SPDX-License-Identifier: Apache-2.0
 * intake.h - what becomes of one message in the open transaction of its batch: it is a duplicate, or unhandled, or
 * processed at once, or waits, or is dead. Whatever it is, its delivery can be acked after the commit; that of a dead
 * one only when its letter is confirmed as well.
 *
 * Fails     only as the database does
 */
#ifndef USERBUS_ACTORS_CONSUMER_INTAKE_H
#define USERBUS_ACTORS_CONSUMER_INTAKE_H

#include "actors/consumer/dead_letter.h"
#include "actors/consumer/waiting_runs.h"

/* All borrowed. Zero-initialise the rest. */
typedef struct intake {
    const char *actor; /* for the log */
    inbox_database_t *database;
    const handler_table_t *handlers;
    waiting_runs_t *runs;
    /* since the last line about them, and when the next one may be */
    int64_t gaps_untold, next_gap_line_ms, cut_untold, next_cut_line_ms;
} intake_t;

/* It must not be moved, and lives no longer than the message. */
typedef struct taken {
    bool is_dead;
    death_t death; /* when it is */
    rejection_t why;
    incoming_event_t event;
} taken_t;

/* 0 or an error of the database. taken_fini in both cases. */
int intake_take(intake_t *self, const broker_message_t *message, taken_t *out)
    __attribute__((warn_unused_result));

void taken_fini(taken_t *taken);

/* After a commit: tells when messages were forgotten early. */
void intake_note_cut(intake_t *self);

#endif
