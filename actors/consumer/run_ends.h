/* SPDX-License-Identifier: Apache-2.0
 * run_ends.h - how runs of waiting events have ended, from the end until it is written and the lane is told: in the
 * table and the inbox by the transaction at hand, in the retry schedule only after its commit. When the commit fails,
 * everything stands as before and is written again.
 *
 * Bound     RUN_ENDS_MAX, which is all that can be under way: nothing is begun while an end is unwritten
 */
#ifndef USERBUS_ACTORS_CONSUMER_RUN_ENDS_H
#define USERBUS_ACTORS_CONSUMER_RUN_ENDS_H

#include "actors/consumer/exec_child.h"
#include "actors/consumer/retry_schedule.h"
#include "actors/consumer/waiting_letters.h"
#include "actors/consumer/waiting_table.h"

enum {
    DATABASE_RUNS_MAX = 256, /* in one transaction */
    RUN_ENDS_MAX = EVENT_KIND_COUNT * EXEC_HAND_MAX + WAITING_LETTERS_MAX + DATABASE_RUNS_MAX,
};

typedef enum run_end { END_DONE, END_FAILED, END_DEAD, END_BURIED, END_UNHANDLED } run_end_t;

/* A run that has ended and is not written yet. */
typedef struct ended_run {
    retry_lane_t *lane;
    run_end_t end;
    const char *error; /* slug of a failure; static storage */
    detail_t reason;
    retry_verdict_t verdict; /* of a failure */
} ended_run_t;

typedef struct run_ends {
    const char *actor; /* for the log; this and what follows is borrowed */
    inbox_database_t *database;
    waiting_table_t *table;
    retry_schedule_t *schedule;
    ended_run_t ended[RUN_ENDS_MAX];
    size_t count, timeouts_untold;
} run_ends_t;

/* The run of the lane's first event is over. Not for END_FAILED and END_DEAD. */
void run_ends_note(run_ends_t *self, retry_lane_t *lane, run_end_t end);

/* It failed; for_good: it is not to be tried again. */
void run_ends_note_failure(run_ends_t *self, retry_lane_t *lane, bool for_good, const char *error,
                           text_t reason);

/* In the open transaction: writes all of them. 0 or an error of the database. */
int run_ends_write(run_ends_t *self, int64_t now_us) __attribute__((warn_unused_result));

/* After its commit: the lanes go on, and nothing is left. */
void run_ends_tell(run_ends_t *self, int64_t now_ms);

/* After its rollback: all but the first `kept` have not happened, and their lanes run again. */
void run_ends_take_back(run_ends_t *self, size_t kept);

#endif
