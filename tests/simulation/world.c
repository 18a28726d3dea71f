/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "pipeline/log.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

enum {
    STACK_BYTES = 256 << 10,
    CHUNK_BYTES = 1 << 20,
    CHUNKS_MAX = 1024,
    DEAD_TURNS_MAX = 1000, /* a killed actor must have returned by then */
};

world_t world;

/* --- memory of one run ------------------------------------------------------------------------- */

static char *chunks[CHUNKS_MAX];
static size_t chunk, chunk_used;

void *run_alloc(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    must(size <= CHUNK_BYTES);
    if (chunk_used + size > CHUNK_BYTES) {
        chunk++;
        chunk_used = 0;
        must(chunk < CHUNKS_MAX);
    }
    if (chunks[chunk] == NULL)
        chunks[chunk] = malloc(CHUNK_BYTES);
    must(chunks[chunk] != NULL);
    void *at = chunks[chunk] + chunk_used;
    chunk_used += size;
    return memset(at, 0, size);
}

text_t run_text(text_t text)
{
    if (text.size == 0)
        return (text_t){0};
    char *copy = run_alloc(text.size);
    memcpy(copy, text.data, text.size);
    return (text_t){copy, text.size};
}

/* --- what happened ------------------------------------------------------------------------------ */

static void hash_add(uint64_t value)
{
    world.hash = (world.hash ^ value) * UINT64_C(0x100000001b3);
    world.hash ^= world.hash >> 29;
}

void trace(const char *what, const char *who, int64_t a, int64_t b)
{
    uint64_t name = 0;
    for (const char *at = what; *at != '\0'; at++)
        name = name * 31 + (unsigned char)*at;
    hash_add(name);
    hash_add((uint64_t)world.now_us);
    hash_add((uint64_t)a);
    hash_add((uint64_t)b);
    if (TRACING)
        fprintf(world.trace, "%12.6f  %-10s %-18s %" PRId64 " %" PRId64 "\n",
                (double)world.now_us / 1e6, who, what, a, b);
}

void trace_text(const char *format, ...)
{
    if (!TRACING)
        return;
    va_list values;
    va_start(values, format);
    fprintf(world.trace, "%12.6f  ", (double)world.now_us / 1e6);
    vfprintf(world.trace, format, values);
    fputc('\n', world.trace);
    va_end(values);
}

void breach(const char *promise, const char *format, ...)
{
    if (world.breached)
        return;
    world.breached = world.over = true;
    snprintf(world.breach_promise, sizeof(world.breach_promise), "%s", promise);
    va_list values;
    va_start(values, format);
    vsnprintf(world.breach_text, sizeof(world.breach_text), format, values);
    va_end(values);
    trace_text("BREACH of \"%s\": %s", world.breach_promise, world.breach_text);
}

/* --- what happens when -------------------------------------------------------------------------- */

typedef struct happening {
    int64_t at_us;
    uint64_t number; /* those of one time happen in the order in which they were planned */
    action_t action;
    void *context;
    int64_t argument;
} happening_t;

static happening_t *heap;
static size_t heap_count, heap_room;
static uint64_t happenings;

static bool before(const happening_t *a, const happening_t *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void world_after(int64_t delay_us, action_t action, void *context, int64_t number)
{
    if (heap_count == heap_room) {
        heap_room = heap_room == 0 ? 256 : heap_room * 2;
        heap = realloc(heap, heap_room * sizeof(*heap));
        must(heap != NULL);
    }
    const happening_t added = {world.now_us + delay_us, ++happenings, action, context, number};
    size_t at = heap_count++;
    while (at > 0 && before(&added, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = added;
}

static happening_t take_first(void)
{
    happening_t first = heap[0], last = heap[--heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < heap_count) {
        if (child + 1 < heap_count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

int64_t hop_us(void)
{
    int64_t most_us = world.plan->latency_us;
    if (world.now_us < world.slow_until_us)
        most_us *= 10;
    return random_between(&world.random, 10, most_us);
}

/* --- coroutines --------------------------------------------------------------------------------- */

static ucontext_t scheduler;
static ucontext_t contexts[TASKS_MAX];
static char *stacks;

static void make_stacks(void)
{
    if (stacks != NULL)
        return;
    stacks = mmap(NULL, (size_t)TASKS_MAX * STACK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    must(stacks != MAP_FAILED);
    /* The lowest page of each is a guard. */
    for (size_t i = 0; i < TASKS_MAX; i++)
        must(mprotect(stacks + i * STACK_BYTES, 4096, PROT_NONE) == 0);
}

/* The life of an actor, as pipeline/actor.c leads it. */
static void live(void)
{
    task_t *task = world.running;
    void *state = NULL;
    task->error = mailbox_open(&task->self.mailbox, task->self.room, task->name);
    if (task->error == 0)
        task->error = task->class->init(&state, &task->self, task->conf, &task->detail);
    if (task->error == 0) {
        task->ready = true;
        if (!task->dead)
            on_task_ready(task);
        task->error = task->class->run(state, &task->detail);
        task->class->fini(state);
    }
    mailbox_close(&task->self.mailbox);
    task->ended = true;
    world.running = NULL;
    setcontext(&scheduler);
}

static size_t free_slot(void)
{
    size_t i = 0;
    while (world.tasks[i].used) {
        i++;
        must(i < TASKS_MAX);
    }
    return i;
}

static void make_context(size_t slot)
{
    must(getcontext(&contexts[slot]) == 0);
    contexts[slot].uc_stack.ss_sp = stacks + slot * STACK_BYTES;
    contexts[slot].uc_stack.ss_size = STACK_BYTES;
    contexts[slot].uc_link = NULL;
    makecontext(&contexts[slot], live, 0);
}

task_t *task_start(process_t *process, const char *name, int index, const actor_class_t *class,
                   const void *conf)
{
    size_t slot = free_slot();
    task_t *task = &world.tasks[slot];
    *task = (task_t){.used = true,
                     .index = index,
                     .process = process,
                     .class = class,
                     .conf = conf,
                     .wake_us = world.now_us,
                     .context = &contexts[slot]};
    snprintf(task->name, sizeof(task->name), "%s", name);
    task->self = (actor_self_t){task->name, process->room, NULL};
    make_context(slot);
    trace("start", task->name, index, 0);
    return task;
}

task_t *task_find(const process_t *process, const char *name)
{
    for (size_t i = 0; i < TASKS_MAX; i++) {
        task_t *task = &world.tasks[i];
        if (task->used && !task->dead && task->process == process && strcmp(task->name, name) == 0)
            return task;
    }
    return NULL;
}

static void resume(task_t *task)
{
    world.running = task;
    task->wake_us = INT64_MAX;
    must(swapcontext(&scheduler, task->context) == 0);
    world.running = NULL;
    if (!task->ended)
        return;
    task->used = false;
    on_task_ended(task);
}

void task_sleep_until(int64_t until_us)
{
    task_t *task = world.running;
    if (task->dead) {
        if (++task->dead_turns > DEAD_TURNS_MAX) {
            breach("an actor that is told to stop does", "%s goes on", task->name);
            setcontext(&scheduler); /* it is left as it is */
        }
        return;
    }
    task->wake_us = until_us;
    must(swapcontext(task->context, &scheduler) == 0);
}

void task_sleep(int64_t us)
{
    int64_t until_us = world.now_us + us;
    while (!world.running->dead && world.now_us < until_us)
        task_sleep_until(until_us);
}

void task_wake(task_t *task)
{
    if (task->used && task->wake_us > world.now_us)
        task->wake_us = world.now_us;
}

void task_kill(task_t *task)
{
    trace("kill", task->name, task->index, 0);
    task->dead = true;
    task->wake_us = INT64_MIN; /* it returns before anything else happens */
}

void process_kill(process_t *process, const char *why)
{
    if (!process->alive)
        return;
    trace(why, process->name, process->life, 0);
    process->alive = false;
    process->kill_at_steps = 0;
    for (size_t i = 0; i < TASKS_MAX; i++)
        if (world.tasks[i].used && world.tasks[i].process == process && !world.tasks[i].dead)
            task_kill(&world.tasks[i]);
}

bool step(void)
{
    task_t *task = world.running;
    process_t *process = task->process;
    world.steps++;
    if (!task->dead && process->kill_at_steps > 0 && --process->kill_at_steps == 0)
        process_kill(process, "killed at a step");
    return task->dead;
}

/* --- the loop ----------------------------------------------------------------------------------- */

static task_t *first_task(void)
{
    task_t *first = NULL;
    for (size_t i = 0; i < TASKS_MAX; i++)
        if (world.tasks[i].used && (first == NULL || world.tasks[i].wake_us < first->wake_us))
            first = &world.tasks[i];
    return first;
}

bool world_step(void)
{
    task_t *task = first_task();
    int64_t task_us = task != NULL ? task->wake_us : INT64_MAX;
    int64_t heap_us = heap_count > 0 ? heap[0].at_us : INT64_MAX;
    if (task_us == INT64_MAX && heap_us == INT64_MAX)
        return false;
    if (heap_us <= task_us) {
        happening_t next = take_first();
        world.now_us = next.at_us;
        next.action(next.context, next.argument);
        return true;
    }
    if (task_us > world.now_us)
        world.now_us = task_us;
    resume(task);
    return true;
}

void world_begin(const plan_t *plan, FILE *trace_file)
{
    make_stacks();
    chunk = chunk_used = 0;
    heap_count = 0;
    happenings = 0;
    memset(&world, 0, sizeof(world));
    world.plan = plan;
    world.random = randomness_of(plan->seed ^ UINT64_C(0x5eed));
    world.trace = trace_file;
    world.service.name = "service";
    world.worker.name = "worker";
}

/* The actors return and free what is theirs, but one that broke an invariant. */
void world_end(void)
{
    world.over = true;
    process_kill(&world.service, "end");
    process_kill(&world.worker, "end");
    for (size_t i = 0; i < TASKS_MAX; i++)
        while (world.tasks[i].used && world.tasks[i].wake_us == INT64_MIN)
            resume(&world.tasks[i]);
}

/* --- what the C library and the kernel would say (the linker's --wrap) --------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    int64_t us =
        world.now_us + (clock == CLOCK_REALTIME ? WORLD_EPOCH_S * INT64_C(1000000) : 5000000);
    *out = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    return 0;
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t bits = random_next(&world.random);
        memcpy((char *)out + at, &bits, size - at < sizeof(bits) ? size - at : sizeof(bits));
    }
    return (ssize_t)size;
}

_Noreturn void __wrap_must_failed(const char *expr, const char *file, int line);
_Noreturn void __wrap_must_failed(const char *expr, const char *file, int line)
{
    if (world.running == NULL) {
        fprintf(stderr, "the simulation itself is broken: %s at %s:%d\n", expr, file, line);
        abort();
    }
    breach("invariants hold", "%s: %s at %s:%d", world.running->name, expr, file, line);
    world.running->used = false; /* what it holds is lost */
    world.running = NULL;
    setcontext(&scheduler);
    abort();
}

void __wrap_log_write(log_level_t level, const char *actor, const char *event,
                      const log_field_t *fields, size_t count);
void __wrap_log_write(log_level_t level, const char *actor, const char *event,
                      const log_field_t *fields, size_t count)
{
    char line[512] = "";
    size_t size = 0;
    (void)level;
    for (size_t i = 0; i < count && size < sizeof(line); i++)
        size += (size_t)(fields[i].text.data != NULL
                             ? snprintf(line + size, sizeof(line) - size, " %s=%.*s", fields[i].key,
                                        (int)fields[i].text.size, fields[i].text.data)
                             : snprintf(line + size, sizeof(line) - size, " %s=%" PRId64,
                                        fields[i].key, fields[i].number));
    trace_text("%-10s log %s%s", actor, event, line);
}
