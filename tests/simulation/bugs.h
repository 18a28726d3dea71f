/* SPDX-License-Identifier: Apache-2.0
 * bugs.h - bugs that the simulation must find: each is put in by the simulated surroundings or by wrapping
 * a call into a core (the linker's --wrap), never by the code under test.
 */
#ifndef USERBUS_TESTS_SIMULATION_BUGS_H
#define USERBUS_TESTS_SIMULATION_BUGS_H

#include <stdbool.h>

typedef enum bug {
    BUG_NONE,
    BUG_ANSWER_BEFORE_COMMIT, /* the store answers, and commits a while later */
    BUG_POSITION_PAST_HOLE,   /* the newest confirmed event counts, not the oldest unconfirmed */
    BUG_SENT_ON_RETURN,       /* returned and acked counts as sent, and the lane goes on */
    BUG_NACK_AS_ACK,
    BUG_REQUEUE_REVERSED, /* after a lost connection a lane begins with its newest event */
    BUG_WRITES_TOGETHER,  /* writes of a lane are in flight together, as reads are */
    BUG_CREDIT_TWICE,
    BUG_CREDIT_OF_FORMER_LIFE, /* late credit of a bridge's former life counts for the present one */
    BUG_FAILED_FORGOTTEN,      /* a lane goes on behind an event that failed */
    BUG_APPLIED_TWICE,         /* the inbox takes a duplicate for new */
    BUG_ACK_BEFORE_COMMIT,     /* of the worker */
    BUG_FORMER_LIFE_FED,       /* a bridge takes what the store sent for its life before */
    BUG_FORMER_LIFE_BETWEEN,   /* the same, once it was sent something for this life */
    BUG_ATTACH_BACK,           /* an attach that comes late, after that of the next life, counts */
    BUG_LETTER_ACKED_EARLY,    /* a delivery is acked before its dead letter is confirmed */
    BUG_COUNT
} bug_t;

const char *bug_name(bug_t bug);

/* BUG_COUNT: none has that name. */
bug_t bug_find(const char *name);

void bug_set(bug_t bug);
bool bug_is(bug_t bug);

#endif
