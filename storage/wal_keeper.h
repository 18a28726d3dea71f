/* SPDX-License-Identifier: Apache-2.0
 * wal_keeper.h - who moves the frames of a write-ahead log into the database, and when.
 *
 * A thread of its own moves most of them (checkpoint_actor.h), so that no commit waits for it. But the log
 * begins again at its start only when a commit finds all of it moved, and while commits go on that
 * thread is never done: so when few frames are left, the writer moves those itself, between two commits.
 *
 * Bounds    WAL_SHORT frames moved by the writer at a time, so long as the thread keeps up. A log of
 *           WAL_FRAMES_MAX frames is moved by the writer when WAL_LONG or fewer are left, one of twice
 *           that whatever is left. Only a reader that stays in an old snapshot, or a full disk,
 *           lets it grow further; then it is tried again every WAL_RETRY_MS.
 * Pure: plain data, no clock, no database.
 */
#ifndef USERBUS_STORAGE_WAL_KEEPER_H
#define USERBUS_STORAGE_WAL_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WAL_SHORT = 500,
    WAL_LONG = 8192,
    WAL_RESTART_FRAMES = 8192, /* a log of this size is worth the writer's short move */
    WAL_RETRY_MS = 1000,
};

typedef enum wal_action {
    WAL_REST,
    WAL_ASK,  /* the thread */
    WAL_MOVE, /* the writer itself, now */
} wal_action_t;

typedef struct wal_keeper {
    int64_t round;    /* counts how often the log began again */
    int frames;       /* in the log, as of the last commit */
    int moved;        /* of them, as far as is known */
    bool asked;       /* the thread has not answered yet */
    bool alarmed;     /* the log is large, and that was said */
    int64_t retry_ms; /* monotonic; before it a log that could not be moved is left alone */
} wal_keeper_t;

/* After a commit, which found `frames` in the log. */
void wal_keeper_committed(wal_keeper_t *self, int frames);

/* What to do now, between commits. alone: there is no thread to ask. idle: nobody waits. After WAL_ASK
 * and WAL_MOVE comes wal_keeper_moved. */
wal_action_t wal_keeper_next(wal_keeper_t *self, bool alone, bool idle, int64_t now_ms);

/* `moved` frames of the log of that round are in the database now; stuck: the rest could not be moved. */
void wal_keeper_moved(wal_keeper_t *self, int64_t round, int moved, bool stuck, int64_t now_ms);

/* True once each time that the log has become large. */
bool wal_keeper_alarm(wal_keeper_t *self);

#endif
