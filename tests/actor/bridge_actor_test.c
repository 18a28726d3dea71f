/* rooms: bridge pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * The bridge between this test, which stands where the store would, and the broker at
 * TEST_RABBIT_MQ_URL. Every test has a queue and an exchange of its own. */
#include "actors/bridge/bridge_actor.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "proto/event.h"
#include "proto/uuid7.h"
#include "tests/actor/real_broker.h"

enum { PATIENCE_MS = 20000, USERS = 40 };

static char queue[64], exchange[64];
static bridge_conf_t conf;
static mailroom_t *room;
static mailbox_t *store;
static sender_t *to_bridge;
static actor_t *bridge;
static frame_t frame;
static frame_reader_t reader;
static detail_t detail;
static int64_t position, credit, attach_id;
static int64_t confirmed[PARTITION_COUNT];
static uint8_t users[USERS][ID_BYTES];

enum { PARKED_MAX = 16 };
static struct {
    int64_t position, confirmed_before; /* the latter: what was told of its partition until then */
} parked[PARKED_MAX];
static int parked_count;

static void well(int error)
{
    if (error != 0)
        fail_msg("error %d: %s", error, detail.text);
}

/* --- the bridge's life ------------------------------------------------------------------------ */

static int set_up(void **state)
{
    unsigned long long mark = random_bits();
    (void)state;
    log_set_level(LOG_ERROR);
    snprintf(queue, sizeof(queue), "bridge-test-%llx", mark);
    snprintf(exchange, sizeof(exchange), "bridge-test-x-%llx", mark);
    conf = (bridge_conf_t){.rabbit_mq_url = broker_url(),
                           .topology = {exchange, "direct", "classic", queue},
                           .application_id = "app",
                           .full_headers = true};
    room = mailroom_open();
    well(mailbox_open(&store, room, "store"));
    position = credit = parked_count = 0;
    memset(confirmed, 0, sizeof(confirmed));
    for (int i = 0; i < USERS; i++)
        uuid7_make(users[i], 1);
    return 0;
}

static void open_bridge(void)
{
    well(actor_start(&bridge, room, "bridge.0", &bridge_actor, &conf, PATIENCE_MS, &detail));
    to_bridge = sender_open(room, "bridge.0");
}

static int tear_down(void **state)
{
    (void)state;
    actor_stop(&bridge, PATIENCE_MS);
    sender_close(&to_bridge);
    mailbox_close(&store);
    mailroom_close(&room);
    frame_clear(&frame);
    return 0;
}

/* --- as the store ----------------------------------------------------------------------------- */

/* The next frame is for this life of the bridge. */
static void begin_frame(int64_t life)
{
    const msg_bridge_attached_t attached = {life};
    assert_int_equal(frame.count, 0);
    frame_add(&frame, MSG_bridge_attached, 0, &attached);
}

static void add_event(unsigned user, event_kind_t kind, int64_t sequence)
{
    uint8_t id[UUID_BYTES];
    char body[64];
    uuid7_make(id, 2);
    snprintf(body, sizeof(body), "{\"user\": %u, \"sequence\": %lld}", user, (long long)sequence);
    const msg_event_t event = {.position = ++position,
                               .partition = partition_of(users[user]),
                               .kind = kind,
                               .sequence = sequence,
                               .created_us = INT64_C(1763933988123456),
                               .id = {(const char *)id, UUID_BYTES},
                               .user_id = {(const char *)users[user], ID_BYTES},
                               .request_id = TEXT("request"),
                               .body = text_of(body)};
    if (frame.count == 0)
        begin_frame(attach_id);
    frame_add(&frame, MSG_event, 0, &event);
}

static void send_events(void)
{
    sender_send(to_bridge, &frame);
}

static void note_parked(const msg_event_parked_t *message, unsigned partition)
{
    assert_true(parked_count < PARKED_MAX);
    parked[parked_count].position = message->position;
    parked[parked_count++].confirmed_before = confirmed[partition];
}

/* Takes what the bridge says into credit, confirmed and parked. */
static void listen_for(int ms)
{
    mailbox_wait(store, -1, 0, ms);
    while (mailbox_receive(store, &reader)) {
        message_t message;
        while (frame_reader_next(&reader, &message) == 1) {
            if (message.type == MSG_bridge_attach)
                attach_id = message.bridge_attach.attach_id;
            if (message.type == MSG_bridge_attach)
                credit += message.bridge_attach.credit;
            else if (message.type == MSG_bridge_credit)
                credit += message.bridge_credit.count;
            else if (message.type == MSG_event_parked)
                note_parked(&message.event_parked, partition_of(users[0]));
            else if (message.type == MSG_confirmed_position)
                confirmed[message.confirmed_position.partition] =
                    message.confirmed_position.position;
        }
    }
}

static void await_credit(int64_t expected)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    while (credit < expected && clock_mono_ms() < deadline_ms)
        listen_for(100);
    assert_int_equal(credit, expected);
}

/* --- as a client of the broker ---------------------------------------------------------------- */

static broker_connection_t *connect_client(void)
{
    broker_connection_t *client;
    well(broker_open(&client, broker_url(), "bridge test", &detail));
    return client;
}

static broker_event_t next_delivery(broker_connection_t *client)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    broker_event_t event;
    for (;;) {
        int got = broker_next(client, &event, &detail);
        if (got == 1 && event.kind == BROKER_DELIVERY)
            return event;
        assert_true(got >= 0);
        if (clock_mono_ms() > deadline_ms)
            fail_msg("nothing was delivered");
        struct pollfd socket = {.fd = broker_fd(client), .events = POLLIN};
        poll(&socket, 1, 100);
    }
}

static void expect(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

/* Reads so many messages and checks that each user's come in order of sequence, from 1. */
static void expect_in_order(int count)
{
    broker_connection_t *client = connect_client();
    int64_t last[USERS] = {0};
    well(broker_consume(client, queue, 1000, &detail));
    for (int i = 0; i < count; i++) {
        broker_event_t event = next_delivery(client);
        unsigned user;
        long long sequence;
        char body[64];
        snprintf(body, sizeof(body), "%.*s", (int)event.message.body.size, event.message.body.data);
        assert_int_equal(sscanf(body, "{\"user\": %u, \"sequence\": %lld}", &user, &sequence), 2);
        assert_int_equal(sequence, last[user] + 1);
        last[user] = sequence;
        broker_ack(client, event.tag, false);
        well(broker_flush(client, &detail)); /* or the prefetch would end what comes */
    }
    broker_close(&client);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void an_event_reaches_the_queue_as_promised(void **state)
{
    char user[UUID_TEXT_SIZE];
    (void)state;
    open_bridge();
    await_credit(4096);
    add_event(0, EVENT_USER_CREATE, 1);
    send_events();
    await_credit(4097);
    assert_int_equal(confirmed[partition_of(users[0])], 1);
    broker_connection_t *client = connect_client();
    well(broker_consume(client, queue, 10, &detail));
    broker_event_t event = next_delivery(client);
    expect(event.message.exchange, exchange);
    expect(event.message.routing_key, queue);
    expect(event.message.content_type, "application/json");
    expect(event.message.app_id, "app");
    expect(event.message.type, "user.create");
    expect(event.message.correlation_id, "request");
    assert_int_equal(event.message.timestamp, 1763933988);
    assert_int_equal(event.message.delivery_mode, 2);
    expect(event.message.body, "{\"user\": 0, \"sequence\": 1}");
    assert_int_equal(event.message.header_count, 8);
    expect(event.message.headers[0].key, "cloudEvents_id");
    assert_true(text_equal(event.message.headers[0].value, event.message.message_id));
    uuid_text(user, users[0]);
    expect(event.message.headers[3].value, user);
    broker_ack(client, event.tag, false);
    well(broker_flush(client, &detail));
    broker_close(&client);
}

static void many_users_come_each_in_order(void **state)
{
    enum { EACH = 60 };
    static const event_kind_t kinds[] = {EVENT_USER_CREATE, EVENT_USER_UPDATE, EVENT_USER_DELETE};
    (void)state;
    open_bridge();
    await_credit(4096);
    for (int sequence = 1; sequence <= EACH; sequence++) {
        for (unsigned user = 0; user < USERS; user++)
            add_event(user, kinds[sequence % 3], sequence);
        send_events();
    }
    await_credit(4096 + EACH * USERS);
    for (unsigned user = 0; user < USERS; user++)
        assert_true(confirmed[partition_of(users[user])] > position - USERS);
    expect_in_order(EACH * USERS);
}

static void a_stop_waits_for_confirms(void **state)
{
    enum { COUNT = 500 };
    (void)state;
    open_bridge();
    await_credit(4096);
    for (int i = 1; i <= COUNT; i++)
        add_event(0, EVENT_USER_READ, i);
    send_events();
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    while (credit == 4096 && clock_mono_ms() < deadline_ms)
        listen_for(10); /* until some are confirmed, so that the rest are on their way */
    assert_int_equal(actor_stop(&bridge, PATIENCE_MS), 0);
    listen_for(0);
    uint32_t messages = 0, consumers = 0;
    broker_connection_t *client = connect_client();
    well(broker_queue_depth(client, queue, &messages, &consumers, &detail));
    broker_close(&client);
    assert_int_equal(messages, credit - 4096); /* all that is in the queue is known to be */
}

static void without_a_broker_it_waits_and_stops_in_time(void **state)
{
    (void)state;
    conf.rabbit_mq_url = "amqp://guest:guest@127.0.0.1:1/";
    open_bridge();
    await_credit(4096);
    add_event(0, EVENT_USER_CREATE, 1);
    send_events();
    listen_for(500);
    assert_int_equal(credit, 4096);
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(actor_stop(&bridge, PATIENCE_MS), 0);
    assert_true(clock_mono_ms() - began_ms < 2000);
}

/* Both bounds are met again and again on the way. */
static void small_bounds_are_kept_and_all_goes_through(void **state)
{
    enum { BOUND = 6, EVENTS = 60 };
    (void)state;
    conf.credit = BOUND;
    conf.window = 3;
    open_bridge();
    await_credit(BOUND);
    for (int i = 0; i < EVENTS; i += BOUND) {
        for (int sequence = i + 1; sequence <= i + BOUND; sequence++)
            add_event(0, EVENT_USER_READ, sequence);
        send_events();
        await_credit(2 * BOUND + i);
    }
    expect_in_order(EVENTS);
}

/* Somebody unbinds the queue: events come back, and none may be called sent until they are routed. */
static void an_unroutable_event_is_not_sent(void **state)
{
    char command[1024];
    (void)state;
    open_bridge();
    await_credit(4096);
    add_event(0, EVENT_USER_CREATE, 1);
    send_events();
    await_credit(4097);
    snprintf(command, sizeof(command),
             "/usr/bin/python3 -c \"import pika; c = pika.BlockingConnection(pika.URLParameters("
             "'%s%%2F')).channel(); c.queue_delete('%s')\"",
             broker_url(), queue);
    assert_int_equal(system(command), 0);
    for (unsigned user = 0; user < USERS; user++)
        add_event(user, EVENT_USER_CREATE, 1);
    send_events();
    await_credit(4097 + USERS);
    expect_in_order(USERS);
}

static void a_queue_of_another_type_is_left_alone(void **state)
{
    broker_topology_t other = {exchange, "direct", "quorum", queue, 0};
    uint32_t messages = 9, consumers;
    (void)state;
    broker_connection_t *client = connect_client();
    well(broker_declare(client, &other, &detail));
    log_set_level(LOG_ERROR + 1);
    open_bridge();
    await_credit(4096);
    add_event(0, EVENT_USER_CREATE, 1);
    send_events();
    listen_for(500);
    assert_int_equal(credit, 4096);
    well(broker_queue_depth(client, queue, &messages, &consumers, &detail));
    assert_int_equal(messages, 0);
    broker_close(&client);
    assert_int_equal(actor_stop(&bridge, PATIENCE_MS), 0);
}

/* Of user 0, whose lane the store has closed, all come back, said before any position behind them; of
 * others they are sent. */
static void what_comes_for_a_closed_lane_goes_back(void **state)
{
    const text_t user = {(const char *)users[0], ID_BYTES};
    const msg_lane_closed_t closed = {user};
    const msg_lane_open_t open = {user};
    (void)state;
    open_bridge();
    await_credit(4096);
    begin_frame(attach_id);
    frame_add(&frame, MSG_lane_closed, 0, &closed);
    add_event(0, EVENT_USER_CREATE, 2);
    add_event(1, EVENT_USER_CREATE, 1);
    add_event(0, EVENT_USER_READ, 3);
    send_events();
    await_credit(4099);
    assert_int_equal(parked_count, 2);
    assert_int_equal(parked[0].position, 1);
    assert_int_equal(parked[1].position, 3);
    assert_true(parked[0].confirmed_before < 1 && parked[1].confirmed_before < 3);
    begin_frame(attach_id);
    frame_add(&frame, MSG_lane_open, 0, &open);
    add_event(0, EVENT_USER_CREATE, 1);
    send_events();
    await_credit(4100);
    assert_int_equal(parked_count, 2);
    expect_in_order(2);
}

/* A closed lane needs no broker to be given back. */
static void a_closed_lane_does_not_wait_for_the_broker(void **state)
{
    const msg_lane_closed_t closed = {{(const char *)users[0], ID_BYTES}};
    (void)state;
    conf.rabbit_mq_url = "amqp://guest:guest@127.0.0.1:1/";
    open_bridge();
    await_credit(4096);
    begin_frame(attach_id);
    frame_add(&frame, MSG_lane_closed, 0, &closed);
    add_event(0, EVENT_USER_CREATE, 1);
    send_events();
    await_credit(4097);
    assert_int_equal(parked_count, 1);
    assert_int_equal(confirmed[partition_of(users[0])], 1);
}

/* As a store does that opened a sender to it for the life before: positions go back, lanes are closed, and
 * the mailbox takes turns between the two senders. */
static void what_is_for_a_life_before_is_passed_over(void **state)
{
    const msg_lane_closed_t closed = {{(const char *)users[1], ID_BYTES}};
    (void)state;
    open_bridge();
    await_credit(4096);
    sender_t *of_life_before = sender_open(room, "bridge.0");
    for (int i = 1; i <= 3; i++) {
        position = 0;
        begin_frame(attach_id - 1);
        frame_add(&frame, MSG_lane_closed, 0, &closed);
        add_event(0, EVENT_USER_CREATE, 7);
        add_event(1, EVENT_USER_CREATE, 7);
        sender_send(of_life_before, &frame);
        position = 2 * i - 2;
        add_event(0, EVENT_USER_CREATE, i);
        add_event(1, EVENT_USER_CREATE, i);
        send_events();
    }
    sender_close(&of_life_before);
    await_credit(4096 + 6);
    assert_int_equal(parked_count, 0);
    assert_int_equal(confirmed[partition_of(users[1])], 6);
    expect_in_order(6);
}

/* The store tells lives apart by their order. */
static void a_later_life_has_a_higher_id(void **state)
{
    (void)state;
    conf.rabbit_mq_url = "amqp://guest:guest@127.0.0.1:1/";
    open_bridge();
    await_credit(4096);
    int64_t first = attach_id;
    assert_int_equal(actor_stop(&bridge, PATIENCE_MS), 0);
    sender_close(&to_bridge);
    open_bridge();
    await_credit(2 * 4096);
    assert_true(attach_id > first);
}

#define WITH_BROKER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BROKER(an_event_reaches_the_queue_as_promised),
        WITH_BROKER(many_users_come_each_in_order),
        WITH_BROKER(a_stop_waits_for_confirms),
        WITH_BROKER(without_a_broker_it_waits_and_stops_in_time),
        WITH_BROKER(small_bounds_are_kept_and_all_goes_through),
        WITH_BROKER(an_unroutable_event_is_not_sent),
        WITH_BROKER(a_queue_of_another_type_is_left_alone),
        WITH_BROKER(what_comes_for_a_closed_lane_goes_back),
        WITH_BROKER(a_closed_lane_does_not_wait_for_the_broker),
        WITH_BROKER(what_is_for_a_life_before_is_passed_over),
        WITH_BROKER(a_later_life_has_a_higher_id),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    frame_reader_fini(&reader);
    return failed;
}
