/* SPDX-License-Identifier: Apache-2.0
 * simulated_waiting.c - waiting_table.h in memory, within the transactions of the simulated inbox; and the worker's
 * claim of its queue, which it always gets.
 */
#include <fcntl.h>
#include <string.h>

#include "actors/consumer/queue_claim.h"
#include "actors/consumer/waiting_table.h"
#include "proto/errors.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/simulated_inbox.h"

enum { ROWS_MAX = 1024 };

typedef struct rows {
    waiting_event_t rows[ROWS_MAX]; /* by row, ascending; texts in the run's memory */
    size_t count;
    int64_t last_row;
} rows_t;

struct waiting_table {
    char nothing;
};

static rows_t now, committed;
static bool changed;
static waiting_table_t table;

static void copy(rows_t *to, const rows_t *from)
{
    to->count = from->count;
    to->last_row = from->last_row;
    memcpy(to->rows, from->rows, from->count * sizeof(from->rows[0]));
}

void waiting_begin_run(void)
{
    now.count = committed.count = 0;
    now.last_row = committed.last_row = 0;
    changed = false;
}

void waiting_commit(void)
{
    if (changed)
        copy(&committed, &now);
    changed = false;
}

void waiting_rollback(void)
{
    if (changed)
        copy(&now, &committed);
    changed = false;
}

size_t waiting_count(void)
{
    return committed.count;
}

/* --- waiting_table.h ------------------------------------------------------------------------------- */

int waiting_table_open(waiting_table_t **out, inbox_database_t *database, const char *queue,
                       detail_t *detail)
{
    (void)database;
    (void)queue;
    *out = NULL;
    if (step())
        return detail_set(detail, ERR_DATABASE_OPEN, "dead");
    waiting_rollback();
    *out = &table;
    return 0;
}

void waiting_table_close(waiting_table_t **self)
{
    *self = NULL;
}

static waiting_event_t *find(int64_t row)
{
    for (size_t i = 0; i < now.count; i++)
        if (now.rows[i].row == row)
            return &now.rows[i];
    return NULL;
}

static void keep_texts(waiting_event_t *event)
{
    text_t *const texts[] = {&event->user_key, &event->message_id, &event->error,
                             &event->reason,   &event->properties, &event->body};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = run_text(*texts[i]);
}

int waiting_table_add(waiting_table_t *self, const waiting_event_t *event, int64_t *row)
{
    (void)self;
    if (step())
        return ERR_STORE_UNAVAILABLE;
    must(now.count < ROWS_MAX);
    waiting_event_t *added = &now.rows[now.count++];
    *added = *event;
    keep_texts(added);
    added->row = *row = ++now.last_row;
    changed = true;
    trace("waits", "inbox", promise_record_of(event->message_id), *row);
    return 0;
}

int waiting_table_failed(waiting_table_t *self, const waiting_event_t *event)
{
    (void)self;
    if (step())
        return ERR_STORE_UNAVAILABLE;
    waiting_event_t *at = find(event->row);
    must(at != NULL);
    at->attempts = event->attempts;
    at->first_failed_us = event->first_failed_us;
    at->next_try_us = event->next_try_us;
    at->is_dead = event->is_dead;
    at->error = run_text(event->error);
    at->reason = run_text(event->reason);
    changed = true;
    return 0;
}

int waiting_table_remove(waiting_table_t *self, int64_t row, inbox_outcome_t outcome)
{
    (void)self;
    if (step())
        return ERR_STORE_UNAVAILABLE;
    waiting_event_t *at = find(row);
    must(at != NULL);
    trace("waits no more", "inbox", promise_record_of(at->message_id), outcome);
    inbox_settle_record(promise_record_of(at->message_id), (int)outcome);
    size_t behind = now.count - (size_t)(at - now.rows) - 1;
    memmove(at, at + 1, behind * sizeof(*at));
    now.count--;
    changed = true;
    return 0;
}

int waiting_table_read(waiting_table_t *self, int64_t row, waiting_event_t *out)
{
    (void)self;
    if (step())
        return ERR_STORE_UNAVAILABLE;
    const waiting_event_t *at = find(row);
    if (at == NULL)
        return ERR_INTERNAL;
    *out = *at;
    return 0;
}

int waiting_table_walk(waiting_table_t *self, waiting_visit_t visit, void *context)
{
    (void)self;
    if (step())
        return ERR_STORE_UNAVAILABLE;
    for (size_t i = 0; i < now.count; i++)
        visit(context, &now.rows[i]);
    return 0;
}

/* --- queue_claim.h --------------------------------------------------------------------------------- */

/* Whoever has it closes the descriptor. */
int queue_claim_take(int *fd, const char *url, const char *queue, detail_t *detail)
{
    (void)url;
    (void)queue;
    *fd = -1;
    if (step())
        return detail_set(detail, ERR_DATABASE_OPEN, "dead");
    *fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    must(*fd >= 0);
    return 0;
}
