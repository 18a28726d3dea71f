/* SPDX-License-Identifier: Apache-2.0
 * simulation.c - the supervisor of a run: starts the service and the worker, makes the planned faults, heals
 * everything at the end and waits until all is done.
 */
#include "tests/simulation/simulation.h"

#include <inttypes.h>
#include <string.h>

#include "actors/bridge/bridge_actor.h"
#include "actors/consumer/consumer_actor.h"
#include "actors/store/store_actor.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/simulated_broker.h"
#include "tests/simulation/simulated_database.h"
#include "tests/simulation/simulated_inbox.h"
#include "tests/simulation/simulated_mailbox.h"
#include "tests/simulation/world.h"

enum {
    SECOND = 1000000,
    LOOK_EVERY_US = SECOND / 2,
    RESTART_MOST_US = SECOND,
    RESTART_AT_ONCE_US = 200,
    FLAP_MOST_US = 2000, /* of a life that ends soon after its start, or after its news */
    STOP_WITHIN_MS = 10000,
    READS_SILENT_EACH = 8,      /* seeds, one of which has read_events off */
    ISOLATION_US = 60 * SECOND, /* in which everybody else's events get through */
    HEALED_US = 180 * SECOND,   /* in which everything is done */
    HOPS_OF_WRITE = 8,
    STEPS_MAX = 3000000,
};

static const handler_t handlers[] = {
    {"create", "user", "user.create", "simulated"},
    {"read", "user", "user.read", "simulated"},
    {"update", "user", "user.update", "simulated"},
    {"delete", "user", "user.delete", "simulated"},
};

static const broker_topology_t topology = {
    .exchange = "userbus", .exchange_type = "direct", .queue_type = "quorum", .queue = "user"};

static struct {
    store_conf_t store;
    bridge_conf_t bridges[PLAN_BRIDGES_MAX];
    consumer_conf_t consumer;
    bool service_stopping, healed;
    int64_t healed_by_us;
    uint64_t refused_users;
    int refusals[PLAN_USERS_MAX];
    int64_t flaps_until_us[PLAN_BRIDGES_MAX], flaps_with_news_until_us[PLAN_BRIDGES_MAX];
} run;

/* --- the service and the worker -------------------------------------------------------------------- */

static void start_service(void *context, int64_t number)
{
    (void)context;
    (void)number;
    process_t *service = &world.service;
    if (world.over || service->alive)
        return;
    service->alive = true;
    service->bridges = world.plan->bridges[service->life % PLAN_STARTS_MAX];
    service->life++;
    service->room = room_make(service);
    run.service_stopping = false;
    run.store = (store_conf_t){.database_url = "sqlite:users",
                               .queue = "user",
                               .http_count = 1,
                               .bridge_count = service->bridges,
                               .read_events = world.plan->seed % READS_SILENT_EACH != 0,
                               .outbox_max_events = world.plan->outbox_max_events,
                               .outbox_max_bytes = INT64_MAX / 200,
                               .lane_max_events = 1000,
                               .lane_retry_ms = 500,
                               .lane_retry_max_ms = 10000,
                               .event_retention_s = 3};
    clients_connect(service->room);
    (void)task_start(service, "store", -1, &store_actor, &run.store);
}

static void start_bridge(void *context, int64_t number)
{
    process_t *service = &world.service;
    char name[ADDRESS_MAX_BYTES];
    (void)context;
    snprintf(name, sizeof(name), "bridge.%" PRId64, number % PLAN_BRIDGES_MAX);
    if (!service->alive || service->life != (unsigned)(number / PLAN_BRIDGES_MAX) ||
        run.service_stopping || task_find(service, name) != NULL)
        return;
    unsigned index = (unsigned)(number % PLAN_BRIDGES_MAX);
    run.bridges[index] = (bridge_conf_t){.index = index,
                                         .rabbit_mq_url = "amqp://broker",
                                         .topology = topology,
                                         .application_id = "userbus",
                                         .full_headers = true,
                                         .credit = world.plan->credit,
                                         .window = world.plan->window};
    (void)task_start(service, name, (int)index, &bridge_actor, &run.bridges[index]);
}

static void start_worker(void *context, int64_t number)
{
    (void)context;
    (void)number;
    process_t *worker = &world.worker;
    if (world.over || worker->alive)
        return;
    worker->alive = true;
    worker->life++;
    worker->room = room_make(worker);
    run.consumer =
        (consumer_conf_t){.rabbit_mq_url = "amqp://broker",
                          .topology = topology,
                          .prefetch = world.plan->prefetch,
                          .database_url = "sqlite:inbox",
                          .handlers = handlers,
                          .handler_count = sizeof(handlers) / sizeof(handlers[0]),
                          .inbox_retention_s = 0,
                          .inbox_max_messages = 1000000,
                          .waiting = {.retry = {.base_ms = 100, .cap_ms = 5000, .tries = 5},
                                      .timeout_ms = 10000,
                                      .max_events = 1000},
                          .more = {&simulated_processor, 1}};
    (void)task_start(worker, "consumer", -1, &consumer_actor, &run.consumer);
}

static int64_t restart_us(void)
{
    bool at_once =
        random_chance(&world.random, 30); /* mail of the life before is on its way still */
    return random_between(&world.random, 1, at_once ? RESTART_AT_ONCE_US : RESTART_MOST_US);
}

static void kill_service(const char *why)
{
    if (!world.service.alive)
        return;
    clients_disconnect();
    process_kill(&world.service, why);
}

static void plan_bridge(unsigned index, int64_t delay_us)
{
    world_after(delay_us, start_bridge, NULL,
                (int64_t)world.service.life * PLAN_BRIDGES_MAX + index);
}

void on_task_ready(task_t *task)
{
    if (strcmp(task->name, "store") != 0)
        return;
    for (unsigned i = 0; i < task->process->bridges; i++)
        plan_bridge(i, 1);
}

static void send_stop(process_t *process, const char *name)
{
    static frame_t frame;
    frame_add(&frame, MSG_stop, 0, &(msg_stop_t){.deadline_ms = STOP_WITHIN_MS});
    (void)room_send(process->room, name, &frame);
}

static bool has_bridges(void)
{
    for (size_t i = 0; i < TASKS_MAX; i++)
        if (world.tasks[i].used && world.tasks[i].process == &world.service &&
            world.tasks[i].index >= 0)
            return true;
    return false;
}

static void after_service_task(const task_t *task)
{
    if (!world.service.alive) {
        /* the store is the first to be started, and ends in every case */
        clients_disconnect();
        if (strcmp(task->name, "store") == 0)
            world_after(restart_us(), start_service, NULL, 0);
    } else if (strcmp(task->name, "store") == 0) {
        kill_service(task->error != 0 ? "store failed" : "stopped");
        world_after(restart_us(), start_service, NULL, 0);
    } else if (run.service_stopping) {
        if (!has_bridges())
            send_stop(&world.service, "store");
    } else {
        bool flaps = world.now_us < run.flaps_until_us[task->index] ||
                     world.now_us < run.flaps_with_news_until_us[task->index];
        plan_bridge((unsigned)task->index,
                    flaps ? random_between(&world.random, 1, RESTART_AT_ONCE_US) : restart_us());
    }
}

void on_task_ended(task_t *task)
{
    trace("ended", task->name, task->error, 0);
    if (world.over)
        return;
    if (task->process == &world.service) {
        after_service_task(task);
    } else {
        process_kill(&world.worker, "worker ended");
        world_after(restart_us(), start_worker, NULL, 0);
    }
}

/* --- faults ----------------------------------------------------------------------------------------- */

static void service_kill(const planned_fault_t *fault)
{
    (void)fault;
    kill_service("killed");
}

static void service_kill_step(const planned_fault_t *fault)
{
    world.service.kill_at_steps = fault->detail + 1;
}

static void service_stop(const planned_fault_t *fault)
{
    (void)fault;
    if (!world.service.alive || run.service_stopping)
        return;
    trace("stop", "service", 0, 0);
    clients_disconnect();
    run.service_stopping = true;
    for (size_t i = 0; i < TASKS_MAX; i++)
        if (world.tasks[i].used && world.tasks[i].process == &world.service &&
            world.tasks[i].index >= 0)
            send_stop(&world.service, world.tasks[i].name);
    if (!has_bridges())
        send_stop(&world.service, "store");
}

static void kill_bridge(void *context, int64_t index)
{
    (void)context;
    char name[ADDRESS_MAX_BYTES];
    snprintf(name, sizeof(name), "bridge.%" PRId64, index);
    task_t *task = task_find(&world.service, name);
    if (task != NULL)
        task_kill(task);
}

static void bridge_kill(const planned_fault_t *fault)
{
    kill_bridge(NULL, fault->detail);
}

/* Many of these lives end before the store has heard of them. */
static void flap(void *context, int64_t index)
{
    (void)context;
    if (world.over || world.now_us >= run.flaps_until_us[index])
        return;
    kill_bridge(NULL, index);
    world_after(random_between(&world.random, 1, FLAP_MOST_US), flap, NULL, index);
}

static void bridge_flap(const planned_fault_t *fault)
{
    run.flaps_until_us[fault->detail] = world.now_us + fault->for_us;
    flap(NULL, fault->detail);
}

/* These lives end while news of them are on their way. */
void on_credit_sent(const task_t *bridge)
{
    if (world.now_us < run.flaps_with_news_until_us[bridge->index])
        world_after(random_between(&world.random, 1, FLAP_MOST_US / 10), kill_bridge, NULL,
                    bridge->index);
}

static void bridge_flap_news(const planned_fault_t *fault)
{
    run.flaps_with_news_until_us[fault->detail] = world.now_us + fault->for_us;
}

static void worker_kill(const planned_fault_t *fault)
{
    (void)fault;
    process_kill(&world.worker, "killed");
}

static void worker_kill_step(const planned_fault_t *fault)
{
    world.worker.kill_at_steps = fault->detail + 1;
}

static void worker_stop(const planned_fault_t *fault)
{
    (void)fault;
    if (world.worker.alive)
        send_stop(&world.worker, "consumer");
}

static void cut(const planned_fault_t *fault)
{
    broker_cut(fault->detail, fault->for_us);
}

static void broker_down(const planned_fault_t *fault)
{
    (void)fault;
    broker_go_down();
}

static void broker_up(const planned_fault_t *fault)
{
    (void)fault;
    broker_come_up();
}

static void blocked(const planned_fault_t *fault)
{
    (void)fault;
    broker_block(true);
}

static void unblocked(const planned_fault_t *fault)
{
    (void)fault;
    broker_block(false);
}

static void queue_delete(const planned_fault_t *fault)
{
    (void)fault;
    broker_delete_queue();
}

static refusal_t refusal_by(const planned_fault_t *fault)
{
    return fault->at_us % 2 == 0 ? REFUSAL_NACK : REFUSAL_RETURN;
}

static void refuse_user(const planned_fault_t *fault)
{
    run.refused_users |= UINT64_C(1) << fault->detail;
    broker_refuse_user((unsigned)fault->detail, refusal_by(fault));
}

static void take_user(const planned_fault_t *fault)
{
    if (world.plan->isolation)
        return; /* that is what the isolation looks at */
    run.refused_users &= ~(UINT64_C(1) << fault->detail);
    broker_refuse_user((unsigned)fault->detail, REFUSAL_NONE);
}

static void refuse_all(const planned_fault_t *fault)
{
    broker_refuse_all(refusal_by(fault));
}

static void take_all(const planned_fault_t *fault)
{
    (void)fault;
    broker_refuse_all(REFUSAL_NONE);
}

static void disk_full(const planned_fault_t *fault)
{
    (void)fault;
    database_fill(true);
}

static void disk_free(const planned_fault_t *fault)
{
    (void)fault;
    database_fill(false);
}

static void disk_broken(const planned_fault_t *fault)
{
    (void)fault;
    database_break();
}

static void inbox_is_busy(const planned_fault_t *fault)
{
    (void)fault;
    inbox_busy(true);
}

static void inbox_is_free(const planned_fault_t *fault)
{
    (void)fault;
    inbox_busy(false);
}

static void inbox_broken(const planned_fault_t *fault)
{
    (void)fault;
    inbox_break();
}

static void processor_fails(const planned_fault_t *fault)
{
    processors_fail((unsigned)fault->detail,
                    fault->at_us % 4 == 0 ? ERR_PROCESSOR_DEAD : ERR_PROCESSOR_RETRY);
}

static void processor_works(const planned_fault_t *fault)
{
    processors_fail((unsigned)fault->detail, 0);
}

static void garbage(const planned_fault_t *fault)
{
    (void)fault;
    broker_add_garbage();
}

static void slow(const planned_fault_t *fault)
{
    world.slow_until_us = world.now_us + fault->for_us;
}

static const struct {
    void (*begin)(const planned_fault_t *fault);
    void (*end)(const planned_fault_t *fault); /* NULL: it does not last, or sees to it itself */
} fault_rules[FAULT_KIND_COUNT] = {
    [FAULT_SERVICE_KILL] = {service_kill, NULL},
    [FAULT_SERVICE_KILL_STEP] = {service_kill_step, NULL},
    [FAULT_SERVICE_STOP] = {service_stop, NULL},
    [FAULT_BRIDGE_KILL] = {bridge_kill, NULL},
    [FAULT_BRIDGE_FLAP] = {bridge_flap, NULL},
    [FAULT_BRIDGE_FLAP_NEWS] = {bridge_flap_news, NULL},
    [FAULT_WORKER_KILL] = {worker_kill, NULL},
    [FAULT_WORKER_KILL_STEP] = {worker_kill_step, NULL},
    [FAULT_WORKER_STOP] = {worker_stop, NULL},
    [FAULT_CUT] = {cut, NULL},
    [FAULT_BROKER_DOWN] = {broker_down, broker_up},
    [FAULT_BLOCKED] = {blocked, unblocked},
    [FAULT_QUEUE_DELETE] = {queue_delete, NULL},
    [FAULT_REFUSE_USER] = {refuse_user, take_user},
    [FAULT_REFUSE_ALL] = {refuse_all, take_all},
    [FAULT_DISK_FULL] = {disk_full, disk_free},
    [FAULT_DISK_BROKEN] = {disk_broken, NULL},
    [FAULT_INBOX_BUSY] = {inbox_is_busy, inbox_is_free},
    [FAULT_INBOX_BROKEN] = {inbox_broken, NULL},
    [FAULT_PROCESSOR] = {processor_fails, processor_works},
    [FAULT_GARBAGE] = {garbage, NULL},
    [FAULT_SLOW] = {slow, NULL},
};

static void begin_fault(void *context, int64_t number)
{
    const planned_fault_t *fault = context;
    (void)number;
    trace("fault", fault_name(fault->kind), fault->detail, fault->for_us);
    fault_rules[fault->kind].begin(fault);
}

static void end_fault(void *context, int64_t number)
{
    const planned_fault_t *fault = context;
    (void)number;
    trace("fault ends", fault_name(fault->kind), fault->detail, 0);
    fault_rules[fault->kind].end(fault);
}

/* --- the end ---------------------------------------------------------------------------------------- */

static void heal_all_but_users(void)
{
    trace("healed", "world", 0, 0);
    broker_come_up();
    broker_block(false);
    broker_refuse_all(REFUSAL_NONE);
    database_fill(false);
    inbox_busy(false);
    world.service.kill_at_steps = world.worker.kill_at_steps = 0;
    world.slow_until_us = 0;
}

/* Writes of one user go one after the other, each after some hops. */
static int64_t one_by_one_us(void)
{
    return (int64_t)world.plan->request_count * HOPS_OF_WRITE * world.plan->latency_us;
}

static void look_at_end(void *context, int64_t number)
{
    (void)context;
    (void)number;
    const char *open = promises_open(0);
    if (open == NULL && !database_is_confirmed())
        open = "the saved positions lag";
    if (open == NULL && database_lanes() > 0)
        open = "lanes are parked";
    if (open == NULL && waiting_count() > 0)
        open = "events wait in the worker's database";
    if (open == NULL && !broker_is_quiet())
        open = "the queue is not empty";
    if (open == NULL)
        world.over = true;
    else if (world.now_us > run.healed_by_us)
        breach("all is done in the end", "%s", open);
    else
        world_after(LOOK_EVERY_US, look_at_end, NULL, 0);
    clients_release_lanes();
}

static void heal_users(void *context, int64_t number)
{
    (void)context;
    (void)number;
    trace("healed", "users", 0, 0);
    for (unsigned i = 0; i < PLAN_USERS_MAX; i++)
        broker_refuse_user(i, REFUSAL_NONE);
    run.healed_by_us = world.now_us + HEALED_US + one_by_one_us();
    look_at_end(NULL, 0);
}

static void look_at_isolation(void *context, int64_t number)
{
    (void)context;
    const char *open = promises_open(run.refused_users);
    if (open == NULL)
        heal_users(NULL, 0);
    else if (world.now_us > number)
        breach("one user's trouble is that user's alone", "%s", open);
    else
        world_after(LOOK_EVERY_US, look_at_isolation, NULL, number);
}

static void end_trouble(void *context, int64_t number)
{
    (void)context;
    (void)number;
    heal_all_but_users();
    if (world.plan->isolation && run.refused_users != 0)
        look_at_isolation(NULL, world.now_us + ISOLATION_US + one_by_one_us());
    else
        heal_users(NULL, 0);
}

/* --- the run ---------------------------------------------------------------------------------------- */

static void send_request(void *context, int64_t number)
{
    (void)context;
    clients_send(number);
}

static void plan_everything(const plan_t *plan)
{
    int64_t until_us = plan->trouble_us;
    world_after(0, start_service, NULL, 0);
    world_after(random_between(&world.random, 0, SECOND), start_worker, NULL, 0);
    for (size_t i = 0; i < plan->request_count; i++)
        world_after(plan->requests[i].at_us, send_request, NULL, (int64_t)i);
    for (size_t i = 0; i < plan->fault_count; i++) {
        planned_fault_t *fault = run_alloc(sizeof(*fault));
        *fault = plan->faults[i];
        world_after(fault->at_us, begin_fault, fault, 0);
        if (fault_rules[fault->kind].end == NULL)
            continue;
        world_after(fault->at_us + fault->for_us, end_fault, fault, 0);
        if (fault->at_us + fault->for_us > until_us && fault->kind != FAULT_REFUSE_USER)
            until_us = fault->at_us + fault->for_us;
    }
    world_after(until_us + 1, end_trouble, NULL, 0);
}

outcome_t simulation_run(const plan_t *plan, FILE *trace_file)
{
    log_set_level(trace_file != NULL ? LOG_DEBUG : (log_level_t)(LOG_ERROR + 1));
    world_begin(plan, trace_file);
    memset(&run, 0, sizeof(run));
    reached_begin();
    promises_begin();
    broker_begin();
    dialers_begin();
    database_begin_run();
    inbox_begin_run();
    clients_begin(plan);
    plan_everything(plan);
    while (!world.over && world_step())
        if (world.steps > STEPS_MAX)
            breach("all is done in the end", "after %d steps it is not", STEPS_MAX);
    outcome_t outcome = {.breached = world.breached,
                         .hash = world.hash,
                         .steps = world.steps,
                         .ended_us = world.now_us,
                         .events = promises_events()};
    for (int i = 0; i < REACHED_COUNT; i++)
        outcome.reached[i] = reached_times((reached_t)i);
    memcpy(outcome.promise, world.breach_promise, sizeof(outcome.promise));
    memcpy(outcome.text, world.breach_text, sizeof(outcome.text));
    world_end();
    return outcome;
}
