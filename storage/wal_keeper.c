/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/wal_keeper.h"

#include "storage/sqlite_file.h"

void wal_keeper_committed(wal_keeper_t *self, int frames)
{
    if (frames < self->frames) {
        self->round++;
        self->moved = 0;
    }
    self->frames = frames;
}

/* Beside a thread, which when nobody writes gets done: does the writer move what is left? */
static bool writer_moves(const wal_keeper_t *self)
{
    int left = self->frames - self->moved;
    if (left <= WAL_SHORT)
        return self->frames >= WAL_RESTART_FRAMES;
    if (left <= WAL_LONG)
        return self->frames >= WAL_FRAMES_MAX;
    return self->frames >= 2 * WAL_FRAMES_MAX;
}

wal_action_t wal_keeper_next(wal_keeper_t *self, bool alone, bool idle, int64_t now_ms)
{
    int left = self->frames - self->moved;
    bool due = idle || left >= CHECKPOINT_FRAMES || self->frames >= WAL_RESTART_FRAMES;
    if (left == 0 || !due || self->asked || now_ms < self->retry_ms)
        return WAL_REST;
    if (alone || writer_moves(self))
        return WAL_MOVE;
    self->asked = true;
    return WAL_ASK;
}

void wal_keeper_moved(wal_keeper_t *self, int64_t round, int moved, bool stuck, int64_t now_ms)
{
    self->asked = false;
    self->retry_ms = stuck ? now_ms + WAL_RETRY_MS : 0;
    if (round == self->round)
        self->moved = moved < self->frames ? moved : self->frames;
}

bool wal_keeper_alarm(wal_keeper_t *self)
{
    bool large = self->frames >= (self->alarmed ? WAL_FRAMES_MAX / 2 : WAL_FRAMES_MAX);
    bool news = large && !self->alarmed;
    self->alarmed = large;
    return news;
}
