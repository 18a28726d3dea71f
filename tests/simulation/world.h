/* SPDX-License-Identifier: Apache-2.0
 * world.h - the simulated machine: a clock, a list of what happens when, and the actors, which run as
 * coroutines in one thread and hand over whenever they wait. What they wait for, and all they see, is
 * simulated; the actors themselves are the real ones.
 *
 * A killed actor is not cut off in its tracks, since what it allocated would be lost: from that step on
 * nothing it does has any effect, every call fails, and it is told to stop, until it has returned.
 */
#ifndef USERBUS_TESTS_SIMULATION_WORLD_H
#define USERBUS_TESTS_SIMULATION_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/actor.h"
#include "tests/simulation/plan.h"

enum { TASKS_MAX = 16, WORLD_EPOCH_S = 1800000000 };

typedef struct process {
    const char *name;
    bool alive;
    unsigned life;         /* counts the starts */
    int64_t kill_at_steps; /* steps left until it is killed; 0: it is not */
    mailroom_t *room;
    unsigned bridges;
} process_t;

typedef struct task {
    bool used, dead, ready, ended;
    char name[ADDRESS_MAX_BYTES];
    int index; /* of a bridge */
    process_t *process;
    const actor_class_t *class;
    const void *conf;
    actor_self_t self;
    int64_t wake_us;
    int error; /* of init or run */
    detail_t detail;
    unsigned dead_turns;
    int64_t turns_since_us; /* of the count of turns */
    int turns;
    bool told_to_stop; /* when dead */
    void *context;     /* where it goes on; world.c */
} task_t;

typedef void (*action_t)(void *context, int64_t number);

typedef struct world {
    int64_t now_us;
    randomness_t random;
    const plan_t *plan;
    process_t service, worker;
    task_t tasks[TASKS_MAX];
    task_t *running; /* NULL: the scheduler */
    uint64_t steps;  /* calls that actors made */
    int64_t slow_until_us;
    bool over; /* the run ends: a breach, or its end */
    bool breached;
    char breach_promise[64], breach_text[512];
    uint64_t hash; /* of all that happened */
    FILE *trace;   /* NULL: not printed */
} world_t;

extern world_t world;

/* --- memory of one run -------------------------------------------------------------------------- */

/* Zeroed; goes with the run. */
void *run_alloc(size_t size);
text_t run_text(text_t text);

/* --- what happened ------------------------------------------------------------------------------- */

/* Counts into the hash, and prints when traced. `what` is a literal. */
void trace(const char *what, const char *who, int64_t a, int64_t b);
#define TRACING (world.trace != NULL)
void trace_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A promise is broken. The first one counts and ends the run. */
void breach(const char *promise, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- time and what happens when ------------------------------------------------------------------ */

void world_begin(const plan_t *plan, FILE *trace_file);
void world_end(void);

void world_after(int64_t delay_us, action_t action, void *context, int64_t number);

/* Does what is next; false: nothing is. */
bool world_step(void);

/* A hop's time, by the plan. */
int64_t hop_us(void);

/* --- tasks --------------------------------------------------------------------------------------- */

/* The actor starts at the next step. NULL never. */
task_t *task_start(process_t *process, const char *name, int index, const actor_class_t *class,
                   const void *conf);
task_t *task_find(const process_t *process, const char *name);

void task_kill(task_t *task);
void process_kill(process_t *process, const char *why);

/* Called by the scheduler when an actor's init is done, and when it has ended. */
void on_task_ready(task_t *task);
void on_task_ended(task_t *task);

/* --- for the simulated calls, in an actor -------------------------------------------------------- */

/* A step: the process may be killed here. True: the actor is dead, the call must have no effect. */
bool step(void);

/* Hands over until a time, or sooner when somebody sets wake_us. At once when dead. */
void task_sleep_until(int64_t until_us);
void task_sleep(int64_t us);

void task_wake(task_t *task);

#endif
