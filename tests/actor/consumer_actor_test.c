/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * Against the broker at TEST_RABBIT_MQ_URL (scripts/broker starts one). Every test has queues and a
 * database of its own, since the broker may be shared, and takes them away in the end.
 */
#include "actors/consumer/consumer_actor.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "actors/consumer/inbox_database.h"
#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "proto/errors.h"
#include "tests/actor/real_broker.h"

enum { PATIENCE_MS = 30000, STOP_MS = 5000, PREFETCH = 100 };

static char label[] = "Row", create[] = "user.create", read_[] = "user.read",
            update[] = "user.update", delete_[] = "user.delete", registers[] = "register_processor",
            views[] = "count_user_viewing_processor", notifies[] = "notify_user_update",
            disables[] = "disable_user_processor";

static char queue[64], dead_queue[80], exchange[64], folder[64], database_url[128];
static handler_t handlers[4];
static consumer_conf_t conf;
static mailroom_t *room;
static actor_t *actor;
static broker_connection_t *connection; /* ours, to publish and to look */
static inbox_database_t *looking;       /* at the actor's database */
static detail_t detail;

static void well(int error)
{
    if (error != 0)
        fail_msg("error %d: %s", error, detail.text);
}

/* --- waiting ---------------------------------------------------------------------------------- */

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

/* Messages that are ready in the queue: not those that a consumer holds. */
static uint32_t depth(const char *of)
{
    uint32_t messages = 0, consumers = 0;
    well(broker_queue_depth(connection, of, &messages, &consumers, &detail));
    return messages;
}

/* 0: nobody, or there is no such queue. */
static uint32_t consumers_of(const char *of)
{
    uint32_t messages = 0, consumers = 0;
    int error = broker_queue_depth(connection, of, &messages, &consumers, &detail);
    well(error == ERR_TOPOLOGY ? 0 : error);
    return consumers;
}

/* --- the actor -------------------------------------------------------------------------------- */

static void start(void)
{
    well(actor_start(&actor, room, "consumer", &consumer_actor, &conf, PATIENCE_MS, &detail));
    well(inbox_database_open_readonly(&looking, conf.database_url, &detail));
}

/* What the actor held unacked is in the queue again when this returns. */
static void stop(void)
{
    assert_int_equal(actor_stop(&actor, STOP_MS), 0);
    await(consumers_of(queue) == 0);
}

static int set_up(void **state)
{
    unsigned long long mark = random_bits();
    (void)state;
    snprintf(queue, sizeof(queue), "consumer-test-%llx", mark);
    snprintf(dead_queue, sizeof(dead_queue), "%s.dead", queue);
    snprintf(exchange, sizeof(exchange), "consumer-test-x-%llx", mark);
    snprintf(folder, sizeof(folder), "/tmp/consumer-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(database_url, sizeof(database_url), "sqlite:%s/worker.db", folder);
    handlers[0] = (handler_t){label, queue, create, registers};
    handlers[1] = (handler_t){label, queue, read_, views};
    handlers[2] = (handler_t){label, queue, update, notifies};
    handlers[3] = (handler_t){label, queue, delete_, disables};
    conf = (consumer_conf_t){.rabbit_mq_url = broker_url(),
                             .topology = {exchange, "direct", "classic", queue, 0},
                             .prefetch = PREFETCH,
                             .database_url = database_url,
                             .handlers = handlers,
                             .handler_count = 4,
                             .waiting = {.retry = {.base_ms = 1, .cap_ms = 10, .tries = 3},
                                         .timeout_ms = 5000,
                                         .max_events = 1000}};
    room = mailroom_open();
    well(broker_open(&connection, conf.rabbit_mq_url, "consumer test", &detail));
    well(broker_declare(connection, &conf.topology, &detail));
    return 0;
}

/* What the connection under test never does: deleting. */
static void delete_on_broker(const char *const *queues, size_t count, const char *exchange_too)
{
    struct amqp_connection_info info;
    char *copy = strdup(broker_url());
    assert_non_null(copy);
    assert_int_equal(amqp_parse_url(copy, &info), AMQP_STATUS_OK);
    amqp_connection_state_t raw = amqp_new_connection();
    assert_int_equal(amqp_socket_open(amqp_tcp_socket_new(raw), info.host, info.port),
                     AMQP_STATUS_OK);
    amqp_rpc_reply_t reply = amqp_login(raw, info.vhost[0] != '\0' ? info.vhost : "/", 0, 131072, 0,
                                        AMQP_SASL_METHOD_PLAIN, info.user, info.password);
    assert_int_equal(reply.reply_type, AMQP_RESPONSE_NORMAL);
    assert_non_null(amqp_channel_open(raw, 1));
    for (size_t i = 0; i < count; i++)
        assert_non_null(amqp_queue_delete(raw, 1, amqp_cstring_bytes(queues[i]), 0, 0));
    if (exchange_too != NULL)
        assert_non_null(amqp_exchange_delete(raw, 1, amqp_cstring_bytes(exchange_too), 0));
    amqp_connection_close(raw, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(raw);
    free(copy);
}

static int tear_down(void **state)
{
    static const char *const files[] = {"worker.db", "worker.db-wal", "worker.db-shm",
                                        "worker.db-claim"};
    const char *const queues[] = {queue, dead_queue};
    (void)state;
    actor_stop(&actor, STOP_MS);
    mailroom_close(&room);
    inbox_database_close(&looking);
    broker_close(&connection);
    delete_on_broker(queues, 2, exchange);
    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder);
}

/* --- messages --------------------------------------------------------------------------------- */

static void publish(const broker_message_t *message)
{
    broker_publish(connection, message);
    well(broker_flush(connection, &detail));
}

static void publish_body(const char *message_id, const char *type, const char *body)
{
    const broker_message_t message = {.exchange = text_of(exchange),
                                      .routing_key = text_of(queue),
                                      .message_id = text_of(message_id),
                                      .type = text_of(type),
                                      .delivery_mode = 2,
                                      .body = text_of(body)};
    publish(&message);
}

/* An event about the one user of most tests. */
static void publish_event(const char *message_id, const char *type)
{
    publish_body(message_id, type,
                 "{\"created_at\": \"2026-11-23T21:39:48.123456\", \"queue\": \"user\", "
                 "\"context\": {\"id\": \"u-1\", \"email\": \"ada@example.org\", "
                 "\"first_name\": \"Ada\", \"last_name\": \"Lovelace\"}}");
}

/* Whatever was published is acked: nothing is left, neither ready nor held. */
static void expect_all_acked(void)
{
    stop();
    assert_int_equal(depth(queue), 0);
}

/* --- what the events do ----------------------------------------------------------------------- */

static void each_event_changes_the_projection(void **state)
{
    (void)state;
    start();
    publish_event("m-1", "user.create");
    await(totals().registered == 1);
    assert_int_equal(totals().views + totals().updates + totals().disabled, 0);
    publish_event("m-2", "user.read");
    await(totals().views == 1);
    publish_event("m-3", "user.update");
    await(totals().updates == 1);
    assert_int_equal(totals().disabled, 0);
    publish_event("m-4", "user.delete");
    await(totals().disabled == 1);
    assert_int_equal(totals().users, 1);
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
        assert_int_equal(tally(kind), 1);
    expect_all_acked();
}

static void a_duplicate_changes_nothing(void **state)
{
    (void)state;
    start();
    publish_event("m-1", "user.read");
    publish_event("m-1", "user.read");
    await(tally(TALLY_DUPLICATE) == 1);
    assert_int_equal(totals().views, 1);
    publish_event("m-2", "user.read"); /* the control */
    await(totals().views == 2);
    stop();
    inbox_database_close(&looking);
    start(); /* another life knows them as well */
    publish_event("m-1", "user.read");
    await(tally(TALLY_DUPLICATE) == 2);
    assert_int_equal(totals().views, 2);
    expect_all_acked();
}

static void the_original_producer_is_consumed(void **state)
{
    static const char registered[] =
        "{\"created_at\": \"2026-11-23 21:39:48.123456\", \"queue\": \"user\", \"context\": "
        "{\"email\": \"ada@example.org\", \"first_name\": \"Ada\", \"last_name\": \"Lovelace\", "
        "\"view_count\": 0, \"is_valid\": true}}";
    static const char deleted[] =
        "{\"created_at\": \"2026-11-23 21:40:00.000001\", \"queue\": \"user\", \"context\": "
        "{\"email\": \"ada@example.org\", \"first_name\": \"Ada\", \"last_name\": \"Lovelace\", "
        "\"view_count\": 0, \"is_valid\": false}}";
    (void)state;
    start();
    publish_body("", "", registered);
    await(totals().registered == 1);
    assert_int_equal(totals().disabled, 0);
    publish_body("", "", registered);
    await(tally(TALLY_DUPLICATE) == 1);
    publish_body("", "", deleted);
    await(totals().disabled == 1);
    assert_int_equal(totals().users, 1);
    assert_int_equal(tally(EVENT_USER_DELETE), 1);
    expect_all_acked();
}

static void an_event_without_a_row_is_acked_and_not_remembered(void **state)
{
    (void)state;
    conf.handler_count = 1;
    start();
    publish_event("m-1", "user.read");
    await(tally(TALLY_UNHANDLED) == 1);
    expect_all_acked();
    assert_int_equal(depth(dead_queue), 0);
    assert_int_equal(totals().users, 0);
    inbox_database_close(&looking);
    conf.handler_count = 4;
    start();
    publish_event("m-1", "user.read");
    await(totals().views == 1);
}

static void the_default_queue_type_works_as_well(void **state)
{
    const char *const queues[] = {queue, dead_queue};
    (void)state;
    delete_on_broker(queues, 2, NULL);
    conf.topology.queue_type = "quorum";
    start();
    await(consumers_of(queue) == 1);
    publish_event("m-1", "user.create");
    publish_body("m-2", "", "poison");
    await(totals().registered == 1);
    await(depth(dead_queue) == 1);
    expect_all_acked();
}

/* --- dead letters ----------------------------------------------------------------------------- */

static broker_event_t next_delivery(void)
{
    broker_event_t event = {0};
    int got = 0;
    await((got = broker_next(connection, &event, &detail)) != 0);
    well(got < 0 ? got : 0);
    assert_int_equal(event.kind, BROKER_DELIVERY);
    return event;
}

static void expect_text(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

static text_t header(const broker_message_t *message, const char *key)
{
    for (size_t i = 0; i < message->header_count; i++)
        if (text_equal(message->headers[i].key, text_of(key)))
            return message->headers[i].value;
    return TEXT("(none)");
}

static void poison_becomes_a_dead_letter_with_its_reason(void **state)
{
    const broker_header_t headers[] = {{TEXT("traceparent"), TEXT("00-1")}};
    const broker_message_t poison = {.exchange = text_of(exchange),
                                     .routing_key = text_of(queue),
                                     .content_type = TEXT("application/json"),
                                     .message_id = TEXT("m-2"),
                                     .type = TEXT("user.create"),
                                     .correlation_id = TEXT("c-2"),
                                     .headers = headers,
                                     .header_count = 1,
                                     .body = TEXT("{\"context\": {}}")};
    (void)state;
    start();
    publish_event("m-1", "user.create");
    publish(&poison);
    publish_event("m-3", "user.read");
    await(depth(dead_queue) == 1);
    await(totals().views == 1);
    assert_int_equal(totals().registered, 1);
    expect_all_acked();
    well(broker_consume(connection, dead_queue, 10, &detail));
    const broker_event_t letter = next_delivery();
    expect_text(letter.message.body, "{\"context\": {}}");
    expect_text(letter.message.message_id, "m-2");
    expect_text(letter.message.type, "user.create");
    expect_text(letter.message.correlation_id, "c-2");
    expect_text(letter.message.content_type, "application/json");
    assert_int_equal(letter.message.delivery_mode, 2);
    expect_text(header(&letter.message, "userbus_error"), "no-email");
    expect_text(header(&letter.message, "userbus_reason"), "context.email is not a text");
    expect_text(header(&letter.message, "userbus_queue"), queue);
    expect_text(header(&letter.message, "traceparent"), "00-1");
    assert_int_equal(header(&letter.message, "userbus_first_failed_at").size, TIME_TEXT_SIZE - 1);
}

/* More than a batch and more than the prefetch, with poison in between. */
static void many_with_poison_among_them_all_end_where_they_belong(void **state)
{
    enum { MESSAGES = 2000, EVERY = 7, POISON = (MESSAGES + EVERY - 1) / EVERY };
    (void)state;
    for (int i = 0; i < MESSAGES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m-%d", i);
        if (i % EVERY == 0)
            publish_body(id, "user.read", "poison");
        else
            publish_event(id, "user.read");
    }
    await(depth(queue) == MESSAGES);
    start();
    await(totals().views == MESSAGES - POISON);
    await(depth(dead_queue) == POISON);
    expect_all_acked();
    assert_int_equal(totals().views, MESSAGES - POISON);
    assert_int_equal(tally(TALLY_DUPLICATE), 0);
    assert_int_equal(depth(dead_queue), POISON);
}

/* Its body takes many frames, and is more than is looked at. */
static void a_huge_message_becomes_a_dead_letter(void **state)
{
    enum { BYTES = 3 << 20 };
    char *body = malloc(BYTES);
    (void)state;
    assert_non_null(body);
    memset(body, 'x', BYTES);
    const broker_message_t message = {.exchange = text_of(exchange),
                                      .routing_key = text_of(queue),
                                      .message_id = TEXT("m-1"),
                                      .body = {body, BYTES}};
    start();
    for (int i = 0; i < 5; i++)
        publish(&message);
    free(body);
    publish_event("m-2", "user.create");
    await(depth(dead_queue) == 5);
    await(totals().registered == 1);
    expect_all_acked();
    well(broker_consume(connection, dead_queue, 1, &detail));
    const broker_event_t letter = next_delivery();
    assert_int_equal(letter.message.body.size, BYTES);
    expect_text(header(&letter.message, "userbus_error"), "body-too-large");
}

static void a_dead_letter_that_is_not_routed_is_tried_again(void **state)
{
    const char *const queues[] = {dead_queue};
    (void)state;
    start();
    await(consumers_of(queue) == 1);
    delete_on_broker(queues, 1, NULL);
    publish_body("m-1", "", "poison");
    publish_event("m-2", "user.create");
    await(totals().registered == 1);
    await(consumers_of(queue) == 1);
    await(broker_queue_depth(connection, dead_queue, &(uint32_t){0}, &(uint32_t){0}, &detail) == 0);
    await(depth(dead_queue) == 1);
    expect_all_acked();
    assert_int_equal(depth(dead_queue), 1);
}

/* --- when things are missing ------------------------------------------------------------------ */

static void a_deleted_queue_is_declared_and_consumed_again(void **state)
{
    const char *const queues[] = {queue};
    (void)state;
    start();
    publish_event("m-1", "user.create");
    await(totals().registered == 1);
    delete_on_broker(queues, 1, NULL);
    await(consumers_of(queue) == 1);
    publish_event("m-2", "user.read");
    await(totals().views == 1);
    expect_all_acked();
}

static void a_database_that_is_locked_holds_the_messages_up(void **state)
{
    inbox_database_t *hog = NULL;
    (void)state;
    start();
    await(consumers_of(queue) == 1);
    well(inbox_database_open(&hog, conf.database_url, &detail));
    well(inbox_begin(hog, 1));
    publish_event("m-1", "user.create");
    await(depth(queue) == 1 && consumers_of(queue) == 0); /* given back, not acked */
    assert_int_equal(totals().registered, 0);
    inbox_rollback(hog);
    await(totals().registered == 1);
    assert_int_equal(tally(TALLY_DUPLICATE), 0);
    inbox_database_close(&hog);
    expect_all_acked();
}

static void a_stop_is_in_time_and_loses_nothing(void **state)
{
    (void)state;
    start();
    publish_event("m-1", "user.create");
    await(totals().registered == 1);
    int64_t began_ms = clock_mono_ms();
    stop();
    assert_true(clock_mono_ms() - began_ms < 2000);
    inbox_database_close(&looking);
    publish_event("m-2", "user.read");
    await(depth(queue) == 1);
    start();
    await(totals().views == 1);
    assert_int_equal(tally(TALLY_DUPLICATE), 0);
    expect_all_acked();
}

static void a_wrong_handler_table_refuses_the_start(void **state)
{
    char typo[] = "registr_processor";
    (void)state;
    handlers[2].processor = typo;
    assert_int_equal(
        actor_start(&actor, room, "consumer", &consumer_actor, &conf, PATIENCE_MS, &detail),
        ERR_BAD_SETTING);
    assert_null(actor);
    assert_non_null(strstr(detail.text, typo));
}

/* --- a broker that comes and goes: a relay in between ------------------------------------------ */

typedef struct relay {
    int listener;
    struct sockaddr_storage broker;
    socklen_t broker_size;
    atomic_bool cut, end; /* cut: drop the connection at hand, once */
    atomic_int accepted;
    pthread_t thread;
} relay_t;

static bool pass_on(int from, int to)
{
    char bytes[16384];
    ssize_t size = recv(from, bytes, sizeof(bytes), 0);
    for (ssize_t sent = 0; size > 0 && sent < size;) {
        ssize_t part = send(to, bytes + sent, (size_t)(size - sent), MSG_NOSIGNAL);
        if (part <= 0)
            return false;
        sent += part;
    }
    return size > 0;
}

static void relay_one(relay_t *self, int client)
{
    int broker = socket(self->broker.ss_family, SOCK_STREAM, 0);
    bool open = connect(broker, (struct sockaddr *)&self->broker, self->broker_size) == 0;
    while (open && !atomic_load(&self->end) && !atomic_exchange(&self->cut, false)) {
        struct pollfd ends[] = {{client, POLLIN, 0}, {broker, POLLIN, 0}};
        poll(ends, 2, 10);
        if (ends[0].revents != 0)
            open = pass_on(client, broker);
        if (open && ends[1].revents != 0)
            open = pass_on(broker, client);
    }
    close(broker);
}

static void *relay_main(void *argument)
{
    relay_t *self = argument;
    while (!atomic_load(&self->end)) {
        struct pollfd listener = {self->listener, POLLIN, 0};
        if (poll(&listener, 1, 10) <= 0)
            continue;
        int client = accept(self->listener, NULL, NULL);
        atomic_fetch_add(&self->accepted, 1);
        relay_one(self, client);
        close(client);
    }
    return NULL;
}

/* Takes a free port, where nobody listens yet, and points the actor's URL there. */
static void relay_prepare(relay_t *self, char *relayed_url, size_t size)
{
    struct amqp_connection_info info;
    char *copy = strdup(broker_url()), port[8];
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t address_size = sizeof(address);
    assert_non_null(copy);
    assert_int_equal(amqp_parse_url(copy, &info), AMQP_STATUS_OK);
    snprintf(port, sizeof(port), "%d", info.port);
    assert_int_equal(getaddrinfo(info.host, port, &hints, &found), 0);
    memcpy(&self->broker, found->ai_addr, found->ai_addrlen);
    self->broker_size = found->ai_addrlen;
    freeaddrinfo(found);
    self->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(self->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(self->listener, (struct sockaddr *)&address, &address_size), 0);
    snprintf(relayed_url, size, "amqp://%s:%s@127.0.0.1:%d/%s", info.user, info.password,
             ntohs(address.sin_port), info.vhost[0] == '/' ? "" : info.vhost);
    free(copy);
}

static void relay_open(relay_t *self)
{
    assert_int_equal(listen(self->listener, 16), 0);
    assert_int_equal(pthread_create(&self->thread, NULL, relay_main, self), 0);
}

static void relay_close(relay_t *self)
{
    atomic_store(&self->end, true);
    assert_int_equal(pthread_join(self->thread, NULL), 0);
    close(self->listener);
}

static void a_broker_that_is_absent_at_first_is_found_later(void **state)
{
    relay_t relay = {0};
    char relayed_url[256];
    (void)state;
    relay_prepare(&relay, relayed_url, sizeof(relayed_url));
    conf.rabbit_mq_url = relayed_url;
    publish_event("m-1", "user.create");
    start();
    int64_t began_ms = clock_mono_ms();
    stop(); /* also while there is none */
    assert_true(clock_mono_ms() - began_ms < 2000);
    inbox_database_close(&looking);
    start();
    assert_int_equal(totals().users, 0);
    relay_open(&relay);
    await(totals().registered == 1);
    expect_all_acked();
    relay_close(&relay);
}

/* Cut again and again while messages and dead letters flow: all have their effect once. */
static void a_lost_connection_loses_and_repeats_nothing(void **state)
{
    enum { MESSAGES = 3000, CUTS = 5, EVERY = 10, POISON = MESSAGES / EVERY };
    relay_t relay = {0};
    char relayed_url[256];
    (void)state;
    relay_prepare(&relay, relayed_url, sizeof(relayed_url));
    relay_open(&relay);
    conf.rabbit_mq_url = relayed_url;
    for (int i = 0; i < MESSAGES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m-%d", i);
        if (i % EVERY == 0)
            publish_body(id, "user.read", "poison");
        else
            publish_event(id, "user.read");
    }
    await(depth(queue) == MESSAGES);
    start();
    for (int cuts = 1; cuts <= CUTS; cuts++) {
        int64_t before = totals().views;
        await(totals().views > before || totals().views == MESSAGES - POISON);
        atomic_store(&relay.cut, true);
        await(atomic_load(&relay.accepted) == cuts + 1);
    }
    await(totals().views == MESSAGES - POISON);
    await(depth(dead_queue) >= POISON);
    await(depth(queue) == 0);
    expect_all_acked();
    assert_int_equal(totals().views, MESSAGES - POISON); /* twice would be more */
    assert_int_equal(tally(EVENT_USER_READ), MESSAGES - POISON);
    relay_close(&relay);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_event_changes_the_projection),
        TEST(a_duplicate_changes_nothing),
        TEST(the_original_producer_is_consumed),
        TEST(an_event_without_a_row_is_acked_and_not_remembered),
        TEST(the_default_queue_type_works_as_well),
        TEST(poison_becomes_a_dead_letter_with_its_reason),
        TEST(many_with_poison_among_them_all_end_where_they_belong),
        TEST(a_huge_message_becomes_a_dead_letter),
        TEST(a_dead_letter_that_is_not_routed_is_tried_again),
        TEST(a_deleted_queue_is_declared_and_consumed_again),
        TEST(a_database_that_is_locked_holds_the_messages_up),
        TEST(a_stop_is_in_time_and_loses_nothing),
        TEST(a_wrong_handler_table_refuses_the_start),
        TEST(a_broker_that_is_absent_at_first_is_found_later),
        TEST(a_lost_connection_loses_and_repeats_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
