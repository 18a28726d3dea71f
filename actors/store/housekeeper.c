/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/housekeeper.h"

#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum {
    TRIM_MAX = 1024, /* events deleted at a time: faster than any client adds them */
    SAVE_EVERY_MS = 20,
    TRIM_EVERY_MS = 20,
    TRIM_IDLE_MS = 1000, /* after a look that found nothing to delete */
    RETRY_MS = 1000,     /* after positions could not be saved */
    IDLE_MS = 100,       /* without a request: time for a checkpoint */
    COMPLAIN_MS = 1000,  /* between lines in the log about a database that cannot be written */
};

void housekeeper_init(housekeeper_t *self, const char *name, event_feed_t *feed,
                      const lane_keeper_t *lanes, int64_t retention_s, sender_t *checkpoint)
{
    self->name = name;
    self->database = feed->database;
    self->feed = feed;
    self->lanes = lanes;
    self->retention_s = retention_s;
    self->checkpoint = checkpoint;
}

void housekeeper_fini(housekeeper_t *self)
{
    sender_close(&self->checkpoint);
    frame_clear(&self->requests);
}

void housekeeper_note_requests(housekeeper_t *self, int64_t now_ms)
{
    self->last_request_ms = now_ms;
}

/* --- can it be written? ----------------------------------------------------------------------- */

void housekeeper_note_failure(housekeeper_t *self, bool writes, size_t requests, int error,
                              int64_t now_ms)
{
    self->unwritable |= writes;
    self->refused += (int64_t)requests;
    if (now_ms < self->next_complaint_ms)
        return;
    log_event(LOG_ERROR, self->name, "batch_failed", LOG_INT("requests", self->refused),
              LOG_STR("error", error_info(error)->title),
              LOG_STR("detail", "reads are answered uncounted, writes with 503, until it passes"));
    self->next_complaint_ms = now_ms + COMPLAIN_MS;
    self->refused = 0;
}

void housekeeper_note_written(housekeeper_t *self)
{
    if (self->unwritable)
        log_event(LOG_INFO, self->name, "writing_again");
    self->unwritable = false;
    self->next_complaint_ms = 0;
}

/* --- positions and old events ----------------------------------------------------------------- */

static bool positions_are_due(const housekeeper_t *self, int64_t now_ms)
{
    return self->feed->outbox.unsaved != 0 && now_ms >= self->next_save_ms &&
           lane_keeper_is_settled(self->lanes);
}

/* Within a transaction. */
static int save_positions(housekeeper_t *self, int64_t now_ms)
{
    self->next_save_ms = now_ms + SAVE_EVERY_MS;
    int error = event_feed_save(self->feed);
    FAILPOINT("store.position_written");
    return error;
}

/* Deletes old events, within a transaction; *deleted of them. */
static int trim(housekeeper_t *self, int *deleted)
{
    int64_t older_than_us = clock_wall_us() - self->retention_s * 1000000;
    return self->database->class->event_trim(self->database, outbox_low(&self->feed->outbox),
                                             older_than_us, TRIM_MAX, deleted);
}

/* A transaction of its own for what no batch took along. What may pass is tried again later. */
static int keep_house(housekeeper_t *self, int64_t now_ms)
{
    const database_class_t *class = self->database->class;
    /* While an event is on its way beside the log, nothing may be said to be behind it. */
    bool settled = lane_keeper_is_settled(self->lanes);
    bool trims = settled && now_ms >= self->next_trim_ms;
    uint64_t unsaved = settled ? self->feed->outbox.unsaved : 0;
    int deleted = 0;
    if (!trims && !positions_are_due(self, now_ms))
        return 0;
    int error = class->begin(self->database);
    if (error == 0 && unsaved != 0)
        error = save_positions(self, now_ms);
    if (error == 0 && trims)
        error = trim(self, &deleted);
    if (error == 0)
        error = class->commit(self->database);
    else
        class->rollback(self->database);
    if (error == 0 && (unsaved != 0 || deleted > 0))
        housekeeper_note_written(self);
    if (trims)
        self->next_trim_ms = now_ms + (deleted > 0 ? TRIM_EVERY_MS : TRIM_IDLE_MS);
    if (error == 0 || error == ERR_DATABASE_FATAL)
        return error;
    self->feed->outbox.unsaved |= unsaved;
    self->next_save_ms = now_ms + RETRY_MS;
    log_event(LOG_ERROR, self->name, "positions_not_saved",
              LOG_STR("error", error_info(error)->title));
    return 0;
}

/* *more: there is more to do at once. */
static int tidy(housekeeper_t *self, int64_t now_ms, bool *more)
{
    self->idle = now_ms - self->last_request_ms >= IDLE_MS;
    msg_checkpoint_request_t request = {0};
    bool asks = false;
    int error = self->database->class->tidy(self->database, self->idle, more, &asks,
                                            self->checkpoint != NULL ? &request : NULL);
    if (asks) {
        frame_add(&self->requests, MSG_checkpoint_request, 0, &request);
        sender_send(self->checkpoint, &self->requests);
    }
    if (error == 0 || error == ERR_DATABASE_FATAL)
        return error;
    log_event(LOG_WARN, self->name, "checkpoint_failed",
              LOG_STR("error", error_info(error)->title));
    return 0;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t housekeeper_due_ms(const housekeeper_t *self)
{
    bool settled = lane_keeper_is_settled(self->lanes);
    int64_t until_ms = settled ? self->next_trim_ms : INT64_MAX;
    if (!self->idle)
        until_ms = sooner(until_ms, self->last_request_ms + IDLE_MS);
    if (settled && self->feed->outbox.unsaved != 0)
        until_ms = sooner(until_ms, self->next_save_ms);
    return until_ms;
}

int housekeeper_ride(housekeeper_t *self, int64_t now_ms)
{
    return positions_are_due(self, now_ms) ? save_positions(self, now_ms) : 0;
}

int housekeeper_turn(housekeeper_t *self, int64_t now_ms, bool *more)
{
    int error = keep_house(self, now_ms);
    return error != 0 ? error : tidy(self, now_ms, more);
}

int housekeeper_finish(housekeeper_t *self)
{
    self->next_save_ms = 0;
    return keep_house(self, clock_mono_ms());
}
