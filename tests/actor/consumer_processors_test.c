/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * Processors of the database that fail or are slow, against the broker at TEST_RABBIT_MQ_URL. The one here does what the
 * event's first name says. Every test has queues and a database of its own, and takes them away in the end.
 */
#include "actors/consumer/consumer_actor.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "proto/errors.h"
#include "tests/actor/real_broker.h"

enum { PATIENCE_MS = 30000, STOP_MS = 5000 };

static char label[] = "Row", create[] = "user.create", read_[] = "user.read",
            does[] = "does_as_told", views[] = "count_user_viewing_processor";
static char queue[64], dead_queue[80], exchange[64], folder[64], database_url[128];
static handler_t handlers[2];
static consumer_conf_t conf;
static mailroom_t *room;
static actor_t *actor;
static broker_connection_t *connection;
static inbox_database_t *looking;
static detail_t detail;
static atomic_int runs, failures_left;

static int does_as_told(inbox_database_t *database, const incoming_event_t *event, rejection_t *why)
{
    atomic_fetch_add(&runs, 1);
    int error = projection_register(database, event);
    why->slug = "not-now";
    detail_set(&why->reason, 0, "told so");
    if (text_equal(event->first_name, TEXT("never")))
        return ERR_PROCESSOR_DEAD;
    if (text_equal(event->first_name, TEXT("slow")))
        poll(NULL, 0, 60);
    if (text_equal(event->first_name, TEXT("later")) && atomic_fetch_sub(&failures_left, 1) > 0)
        return ERR_PROCESSOR_RETRY;
    return error;
}

static const processor_t mine[] = {{does, does_as_told, true, EFFECT_NONE}};

static void well(int error)
{
    if (error != 0)
        fail_msg("error %d: %s", error, detail.text);
}

static inbox_totals_t totals(void)
{
    inbox_totals_t out;
    well(inbox_totals_read(looking, &out));
    return out;
}

static int64_t tally(int which)
{
    return totals().tallies[which];
}

static uint32_t depth(const char *of)
{
    uint32_t messages = 0, consumers = 0;
    well(broker_queue_depth(connection, of, &messages, &consumers, &detail));
    return messages;
}

static int set_up(void **state)
{
    unsigned long long mark = random_bits();
    (void)state;
    snprintf(queue, sizeof(queue), "processors-test-%llx", mark);
    snprintf(dead_queue, sizeof(dead_queue), "%s.dead", queue);
    snprintf(exchange, sizeof(exchange), "processors-test-x-%llx", mark);
    snprintf(folder, sizeof(folder), "/tmp/processors-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(database_url, sizeof(database_url), "sqlite:%s/worker.db", folder);
    handlers[0] = (handler_t){label, queue, create, does};
    handlers[1] = (handler_t){label, queue, read_, views};
    conf = (consumer_conf_t){.rabbit_mq_url = broker_url(),
                             .topology = {exchange, "direct", "classic", queue, 0},
                             .prefetch = 100,
                             .database_url = database_url,
                             .handlers = handlers,
                             .handler_count = 2,
                             .waiting = {.retry = {.base_ms = 1, .cap_ms = 5, .tries = 4},
                                         .timeout_ms = 5000,
                                         .max_events = 1000},
                             .more = {mine, 1}};
    atomic_store(&runs, 0);
    atomic_store(&failures_left, 0);
    room = mailroom_open();
    well(broker_open(&connection, conf.rabbit_mq_url, "processors test", &detail));
    well(broker_declare(connection, &conf.topology, &detail));
    return 0;
}

static void start(void)
{
    well(actor_start(&actor, room, "consumer", &consumer_actor, &conf, PATIENCE_MS, &detail));
    well(inbox_database_open_readonly(&looking, conf.database_url, &detail));
}

/* What the connection under test never does: deleting. */
static void delete_on_broker(void)
{
    struct amqp_connection_info info;
    char *copy = strdup(conf.rabbit_mq_url);
    assert_non_null(copy);
    assert_int_equal(amqp_parse_url(copy, &info), AMQP_STATUS_OK);
    amqp_connection_state_t raw = amqp_new_connection();
    assert_int_equal(amqp_socket_open(amqp_tcp_socket_new(raw), info.host, info.port),
                     AMQP_STATUS_OK);
    amqp_rpc_reply_t reply = amqp_login(raw, info.vhost[0] != '\0' ? info.vhost : "/", 0, 131072, 0,
                                        AMQP_SASL_METHOD_PLAIN, info.user, info.password);
    assert_int_equal(reply.reply_type, AMQP_RESPONSE_NORMAL);
    assert_non_null(amqp_channel_open(raw, 1));
    assert_non_null(amqp_queue_delete(raw, 1, amqp_cstring_bytes(queue), 0, 0));
    assert_non_null(amqp_queue_delete(raw, 1, amqp_cstring_bytes(dead_queue), 0, 0));
    assert_non_null(amqp_exchange_delete(raw, 1, amqp_cstring_bytes(exchange), 0));
    amqp_connection_close(raw, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(raw);
    free(copy);
}

static int tear_down(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-claim"};
    (void)state;
    actor_stop(&actor, STOP_MS);
    mailroom_close(&room);
    inbox_database_close(&looking);
    broker_close(&connection);
    delete_on_broker();
    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/worker.db%s", folder, suffixes[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void publish(const char *message_id, const char *type, const char *user, const char *told)
{
    char body[256];
    snprintf(
        body, sizeof(body),
        "{\"context\": {\"id\": \"%s\", \"email\": \"%s@example.org\", \"first_name\": \"%s\"}}",
        user, user, told);
    const broker_message_t message = {.exchange = text_of(exchange),
                                      .routing_key = text_of(queue),
                                      .message_id = text_of(message_id),
                                      .type = text_of(type),
                                      .delivery_mode = 2,
                                      .body = text_of(body)};
    broker_publish(connection, &message);
    well(broker_flush(connection, &detail));
}

static void one_that_may_fail_and_does_not_runs_in_its_batch(void **state)
{
    (void)state;
    start();
    publish("m-1", "user.create", "u-1", "well");
    await(totals().registered == 1);
    assert_int_equal(tally(EVENT_USER_CREATE), 1);
    assert_int_equal(tally(TALLY_FAILED_RUNS), 0);
    assert_int_equal(atomic_load(&runs), 1);
}

static void a_failure_that_passes_holds_its_user_up_and_undoes_what_it_did(void **state)
{
    (void)state;
    conf.waiting.retry = (retry_rules_t){.base_ms = 200, .cap_ms = 200, .tries = 1000000};
    atomic_store(&failures_left, 1000000);
    start();
    publish("m-1", "user.create", "u-1", "later");
    publish("m-2", "user.read", "u-1", "later"); /* stands behind it */
    publish("m-3", "user.read", "u-2", "well");
    await(totals().views == 1 && totals().waiting == 2);
    assert_int_equal(totals().registered, 0);
    assert_int_equal(totals().waiting_users, 1);
    atomic_store(&failures_left, 0);
    await(totals().views == 2);
    assert_int_equal(totals().registered, 1);
    assert_int_equal(totals().waiting, 0);
    assert_int_equal(tally(EVENT_USER_CREATE), 1);
    assert_int_equal(depth(dead_queue), 0);
}

static void after_the_last_try_it_is_dead_and_the_next_one_runs(void **state)
{
    (void)state;
    atomic_store(&failures_left, 1000000);
    start();
    publish("m-1", "user.create", "u-1", "later");
    publish("m-2", "user.read", "u-1", "later");
    await(totals().views == 1);
    assert_int_equal(depth(dead_queue), 1);
    assert_int_equal(tally(TALLY_FAILED_RUNS), 4);
    assert_int_equal(tally(TALLY_DEAD), 1);
    assert_int_equal(atomic_load(&runs), 4);
    assert_int_equal(totals().registered, 0);
}

static void a_failure_for_good_is_dead_at_once_and_undone(void **state)
{
    (void)state;
    start();
    publish("m-1", "user.create", "u-1", "never");
    publish("m-2", "user.read", "u-1", "well");
    await(depth(dead_queue) == 1);
    await(totals().views == 1);
    assert_int_equal(totals().registered, 0);
    assert_int_equal(totals().waiting, 0);
    assert_int_equal(tally(TALLY_DEAD), 1);
    assert_int_equal(atomic_load(&runs), 1);
    publish("m-1", "user.create", "u-1", "well"); /* replayed, and mended */
    await(totals().registered == 1);
    assert_int_equal(tally(TALLY_REPLAYED), 1);
    assert_int_equal(tally(TALLY_DUPLICATE), 0);
}

static void with_one_try_a_failure_is_the_last(void **state)
{
    (void)state;
    conf.waiting.retry.tries = 1;
    atomic_store(&failures_left, 1);
    start();
    publish("m-1", "user.create", "u-1", "later");
    await(depth(dead_queue) == 1);
    await(tally(TALLY_DEAD) == 1);
    assert_int_equal(atomic_load(&runs), 1);
}

static void what_waited_when_it_stopped_is_taken_up(void **state)
{
    (void)state;
    conf.waiting.retry = (retry_rules_t){.base_ms = 5000, .cap_ms = 5000, .tries = 5};
    atomic_store(&failures_left, 1);
    start();
    publish("m-1", "user.create", "u-1", "later");
    publish("m-2", "user.read", "u-1", "later");
    await(totals().waiting == 2 || totals().views == 1);
    assert_int_equal(actor_stop(&actor, STOP_MS), 0);
    inbox_database_close(&looking);
    conf.waiting.retry.cap_ms = 1; /* no pause is longer, also one of another life */
    start();
    await(totals().views == 1);
    assert_int_equal(totals().registered, 1);
    assert_int_equal(totals().waiting, 0);
    assert_int_equal(tally(TALLY_DUPLICATE), 0);
}

static void one_beyond_the_time_limit_is_told(void **state)
{
    (void)state;
    conf.waiting.timeout_ms = 20;
    start();
    publish("m-1", "user.create", "u-1", "slow");
    await(tally(TALLY_TIMEOUTS) == 1);
    assert_int_equal(totals().registered, 1); /* what was done is done */
    publish("m-2", "user.create", "u-2", "well");
    await(totals().registered == 2);
    assert_int_equal(tally(TALLY_TIMEOUTS), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_may_fail_and_does_not_runs_in_its_batch),
        TEST(a_failure_that_passes_holds_its_user_up_and_undoes_what_it_did),
        TEST(after_the_last_try_it_is_dead_and_the_next_one_runs),
        TEST(a_failure_for_good_is_dead_at_once_and_undone),
        TEST(with_one_try_a_failure_is_the_last),
        TEST(what_waited_when_it_stopped_is_taken_up),
        TEST(one_beyond_the_time_limit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
