/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * Against the broker at TEST_RABBIT_MQ_URL (scripts/broker starts one). Every test has queues of its
 * own, since the broker may be shared. */
#include "pipeline/broker_connection.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "proto/errors.h"
#include "tests/actor/real_broker.h"

enum { PATIENCE_MS = 10000 };

static char queue[64], exchange[64];
static broker_topology_t topology;
static broker_connection_t *connection;
static detail_t detail;

static void well(int error)
{
    if (error != 0)
        fail_msg("error %d: %s", error, detail.text);
}

static int set_up(void **state)
{
    unsigned long long mark = random_bits();
    (void)state;
    snprintf(queue, sizeof(queue), "connection-test-%llx", mark);
    snprintf(exchange, sizeof(exchange), "connection-test-x-%llx", mark);
    topology = (broker_topology_t){exchange, "direct", "classic", queue, 60};
    well(broker_open(&connection, broker_url(), "connection test", &detail));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    broker_close(&connection);
    return 0;
}

/* Waits for the next thing from the broker. */
static broker_event_t next_of(broker_connection_t *from)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    broker_event_t event;
    for (;;) {
        int got = broker_next(from, &event, &detail);
        if (got == 1)
            return event;
        well(got);
        if (clock_mono_ms() > deadline_ms)
            fail_msg("nothing came from the broker");
        struct pollfd socket = {.fd = broker_fd(from), .events = POLLIN};
        poll(&socket, 1, 100);
    }
}

static broker_event_t next_event(void)
{
    return next_of(connection);
}

static void expect_text(text_t got, const char *expected)
{
    if (!text_equal(got, text_of(expected)))
        fail_msg("'%.*s' instead of '%s'", (int)got.size, got.data, expected);
}

static broker_message_t message_to(const char *key, text_t body)
{
    return (broker_message_t){.exchange = text_of(exchange),
                              .routing_key = text_of(key),
                              .message_id = TEXT("m-1"),
                              .delivery_mode = 2,
                              .body = body};
}

static void a_published_message_is_confirmed_and_delivered(void **state)
{
    const broker_header_t headers[] = {{TEXT("a"), TEXT("1")}, {TEXT("b"), TEXT("")}};
    broker_message_t message = message_to(queue, TEXT("{\"a\": 1}"));
    (void)state;
    message.content_type = TEXT("application/json");
    message.app_id = TEXT("app");
    message.type = TEXT("user.create");
    message.correlation_id = TEXT("c");
    message.timestamp = 1234567;
    message.headers = headers;
    message.header_count = 2;
    well(broker_declare(connection, &topology, &detail));
    well(broker_declare(connection, &topology, &detail)); /* again is fine */
    well(broker_confirm_select(connection, &detail));
    assert_int_equal(broker_publish(connection, &message), 1);
    well(broker_flush(connection, &detail));
    broker_event_t event = next_event();
    assert_int_equal(event.kind, BROKER_ACK);
    assert_int_equal(event.tag, 1);
    well(broker_consume(connection, queue, 10, &detail));
    event = next_event();
    assert_int_equal(event.kind, BROKER_DELIVERY);
    expect_text(event.message.body, "{\"a\": 1}");
    expect_text(event.message.content_type, "application/json");
    expect_text(event.message.app_id, "app");
    expect_text(event.message.message_id, "m-1");
    expect_text(event.message.type, "user.create");
    expect_text(event.message.correlation_id, "c");
    expect_text(event.message.routing_key, queue);
    assert_int_equal(event.message.timestamp, 1234567);
    assert_int_equal(event.message.delivery_mode, 2);
    assert_int_equal(event.message.header_count, 2);
    broker_ack(connection, event.tag, false);
    well(broker_flush(connection, &detail));
    uint32_t messages = 9, consumers = 9;
    well(broker_queue_depth(connection, queue, &messages, &consumers, &detail));
    assert_int_equal(messages, 0);
    assert_int_equal(consumers, 1);
}

/* Bodies around the limits of one and of several frames, many at once: every byte must come back. */
static void bodies_of_all_sizes_come_back_whole(void **state)
{
    const size_t frame = 131072 - 8;
    const size_t sizes[] = {0, 1, frame - 1, frame, frame + 1, 3 * frame, 3 * frame + 5};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]), MOST = 3 * 131072 };
    char *bytes = malloc(MOST);
    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < MOST; i++)
        bytes[i] = (char)('a' + i % 23);
    well(broker_declare(connection, &topology, &detail));
    well(broker_confirm_select(connection, &detail));
    for (size_t i = 0; i < COUNT; i++) {
        const broker_message_t message = message_to(queue, (text_t){bytes, sizes[i]});
        broker_publish(connection, &message);
    }
    well(broker_flush(connection, &detail));
    for (uint64_t confirmed = 0; confirmed < COUNT;) {
        broker_event_t event = next_event();
        assert_int_equal(event.kind, BROKER_ACK);
        confirmed = event.multiple ? event.tag : confirmed + 1;
    }
    well(broker_consume(connection, queue, 100, &detail));
    for (size_t i = 0; i < COUNT; i++) {
        broker_event_t event = next_event();
        assert_int_equal(event.kind, BROKER_DELIVERY);
        assert_int_equal(event.message.body.size, sizes[i]);
        assert_memory_equal(event.message.body.data, bytes, sizes[i]);
        broker_ack(connection, event.tag, true);
    }
    well(broker_flush(connection, &detail));
    free(bytes);
}

static void what_cannot_be_routed_comes_back_before_its_ack(void **state)
{
    const broker_message_t message = message_to("nowhere", TEXT("x"));
    (void)state;
    well(broker_declare(connection, &topology, &detail));
    well(broker_confirm_select(connection, &detail));
    broker_publish(connection, &message);
    well(broker_flush(connection, &detail));
    broker_event_t event = next_event();
    assert_int_equal(event.kind, BROKER_RETURN);
    expect_text(event.message.message_id, "m-1");
    expect_text(event.reply_text, "NO_ROUTE");
    event = next_event();
    assert_int_equal(event.kind, BROKER_ACK);
    assert_int_equal(event.tag, 1);
}

static void another_kind_of_queue_is_told_and_nothing_is_lost(void **state)
{
    broker_topology_t other = topology;
    uint32_t messages, consumers;
    (void)state;
    other.queue_type = "quorum";
    well(broker_declare(connection, &topology, &detail));
    assert_int_equal(broker_declare(connection, &other, &detail), ERR_TOPOLOGY);
    assert_non_null(strstr(detail.text, queue));
    assert_non_null(strstr(detail.text, "x-queue-type"));
    /* The channel works again, and the queue is what it was. */
    well(broker_declare(connection, &topology, &detail));
    well(broker_queue_depth(connection, queue, &messages, &consumers, &detail));
    assert_int_equal(
        broker_queue_depth(connection, "no-such-queue", &messages, &consumers, &detail),
        ERR_TOPOLOGY);
    well(broker_queue_depth(connection, queue, &messages, &consumers, &detail));
}

static void an_unknown_tag_ends_the_connection(void **state)
{
    (void)state;
    broker_ack(connection, 99, false);
    well(broker_flush(connection, &detail));
    broker_event_t event;
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    int got = 0;
    while (got == 0 && clock_mono_ms() < deadline_ms)
        got = broker_next(connection, &event, &detail);
    assert_int_equal(got, ERR_BROKER_DOWN);
    assert_non_null(strstr(detail.text, "406"));
}

static void wrong_credentials_are_refused(void **state)
{
    broker_connection_t *other = NULL;
    char bad[256];
    const char *at = strrchr(broker_url(), '@');
    (void)state;
    assert_non_null(at);
    snprintf(bad, sizeof(bad), "amqp://guest:wrong%s", at);
    assert_int_equal(broker_open(&other, bad, "test", &detail), ERR_BROKER_REFUSED);
    assert_null(other);
    assert_non_null(strstr(detail.text, "RABBIT_MQ_URL"));
    assert_null(strstr(detail.text, "wrong"));
    const char *end = strchr(at, '/');
    int host_size = end != NULL ? (int)(end - at) : (int)strlen(at);
    snprintf(bad, sizeof(bad), "amqp://guest:guest%.*s/no-such-vhost", host_size, at);
    assert_int_equal(broker_open(&other, bad, "test", &detail), ERR_BROKER_REFUSED);
    assert_null(other);
}

static void a_closed_port_is_down_at_once(void **state)
{
    broker_connection_t *other = NULL;
    int64_t began_ms = clock_mono_ms();
    (void)state;
    assert_int_equal(broker_open(&other, "amqp://guest:guest@127.0.0.1:1/", "test", &detail),
                     ERR_BROKER_DOWN);
    assert_null(other);
    assert_true(clock_mono_ms() - began_ms < 2000);
}

static void the_first_broker_that_answers_is_taken(void **state)
{
    broker_connection_t *other = NULL;
    char list[512];
    const char *at = strrchr(broker_url(), '@');
    (void)state;
    snprintf(list, sizeof(list), "amqp://127.0.0.1:1, amqp://guest:wrong%s, %s", at, broker_url());
    well(broker_open(&other, list, "test", &detail));
    assert_non_null(strstr(broker_url(), broker_address(other)));
    broker_close(&other);
    snprintf(list, sizeof(list), "amqp://guest:wrong%s,amqp://127.0.0.1:1", at);
    assert_int_equal(broker_open(&other, list, "test", &detail),
                     ERR_BROKER_DOWN); /* the last one's */
}

/* --- a peer that we play ourselves ------------------------------------------------------------- */

static const char heartbeat[8] = "\x08\0\0\0\0\0\0\xCE";
static const char blocked[] = "\x01\0\0\0\0\0\x08\0\x0A\0\x3C\x03low\xCE";
static const char unblocked[] = "\x01\0\0\0\0\0\x04\0\x0A\0\x3D\xCE";

enum { HEARTBEAT_S = 1, SMALL_BUFFER = 4096 };

static int peer = -1;

/* Logs in at the real broker, then puts a socket of ours in the place of its own. */
static int set_up_peer(void **state)
{
    const broker_login_t login = {
        .url = broker_url(), .name = "peer test", .heartbeat_s = HEARTBEAT_S};
    int ends[2], size = SMALL_BUFFER;
    (void)state;
    well(broker_open_by(&connection, &login, clock_mono_ms() + PATIENCE_MS, &detail));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    assert_true(dup2(ends[0], broker_fd(connection)) >= 0);
    close(ends[0]);
    peer = ends[1];
    return 0;
}

static int tear_down_peer(void **state)
{
    close(peer);
    return tear_down(state);
}

static void say(const char *bytes, size_t size)
{
    assert_int_equal(send(peer, bytes, size, 0), size);
}

/* Runs the connection as an actor would for so long, with a heartbeat from the peer every 200 ms when it
 * speaks; the first event or error ends it, 0: none came. */
static int run_for(int ms, bool speaks, broker_event_t *event)
{
    int64_t end_ms = clock_mono_ms() + ms, beat_ms = 0;
    int got = 0;
    while (got == 0 && clock_mono_ms() < end_ms) {
        struct pollfd socket = {.fd = broker_fd(connection),
                                .events = broker_poll_events(connection)};
        if (speaks && clock_mono_ms() >= beat_ms) {
            say(heartbeat, sizeof(heartbeat));
            beat_ms = clock_mono_ms() + 200;
        }
        poll(&socket, 1, 50);
        int64_t began_ms = clock_mono_ms();
        got = broker_next(connection, event, &detail);
        assert_true(clock_mono_ms() - began_ms < 200); /* it never waits */
    }
    return got;
}

static void a_silent_peer_is_given_up_within_twice_the_heartbeat(void **state)
{
    broker_event_t event;
    int64_t began_ms = clock_mono_ms();
    (void)state;
    assert_int_equal(run_for(PATIENCE_MS, false, &event), ERR_BROKER_DOWN);
    int64_t took_ms = clock_mono_ms() - began_ms;
    assert_true(took_ms >= 1000 && took_ms <= 2000 * HEARTBEAT_S);
    assert_non_null(strstr(detail.text, "nothing came"));
}

static void heartbeats_keep_it_alive_and_are_answered(void **state)
{
    broker_event_t event;
    char bytes[1024];
    (void)state;
    assert_int_equal(run_for(4000, true, &event), 0);
    ssize_t size = recv(peer, bytes, sizeof(bytes), 0);
    assert_true(size >= 3 * 8 && size <= 9 * 8 && size % 8 == 0); /* each half second or so */
    for (ssize_t i = 0; i < size; i += 8)
        assert_memory_equal(bytes + i, heartbeat, 8);
}

/* More than the socket takes. */
static void publish_too_much(void)
{
    char body[1000] = {0};
    const broker_message_t message = message_to(queue, (text_t){body, sizeof(body)});
    int64_t began_ms = clock_mono_ms();
    for (int i = 0; i < 200; i++)
        broker_publish(connection, &message);
    well(broker_flush(connection, &detail));
    assert_true(clock_mono_ms() - began_ms < 500);
    assert_true(broker_unsent(connection) > 0);
    assert_int_equal(broker_poll_events(connection), POLLIN | POLLOUT);
}

static void a_peer_that_takes_nothing_is_given_up(void **state)
{
    broker_event_t event;
    (void)state;
    publish_too_much();
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(run_for(PATIENCE_MS, true, &event), ERR_BROKER_DOWN);
    assert_true(clock_mono_ms() - began_ms <= 2000 * HEARTBEAT_S);
    assert_non_null(strstr(detail.text, "takes nothing"));
}

/* What was left is sent by broker_next, whole and once, when the peer reads again. */
static void what_is_left_goes_on_later(void **state)
{
    broker_event_t event;
    char bytes[65536];
    size_t taken = 0;
    (void)state;
    publish_too_much();
    size_t all = broker_unsent(connection);
    for (ssize_t size; (size = recv(peer, bytes, sizeof(bytes), 0)) > 0;)
        taken += (size_t)size;
    all += taken;
    while (broker_unsent(connection) > 0) {
        assert_int_equal(run_for(10, true, &event), 0);
        for (ssize_t size; (size = recv(peer, bytes, sizeof(bytes), 0)) > 0;)
            taken += (size_t)size;
    }
    assert_int_equal(taken, all);
    assert_int_equal(broker_poll_events(connection), POLLIN);
    assert_int_equal(run_for(2500, true, &event), 0); /* nothing is stuck any more */
}

static void in_an_alarm_only_silence_ends_it(void **state)
{
    broker_event_t event;
    (void)state;
    publish_too_much();
    assert_false(broker_is_blocked(connection));
    say(blocked, sizeof(blocked) - 1);
    assert_int_equal(run_for(500, true, &event), 1);
    assert_int_equal(event.kind, BROKER_BLOCKED);
    assert_true(broker_is_blocked(connection));
    assert_int_equal(run_for(4500, true, &event), 0); /* more than twice the heartbeat */
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(run_for(PATIENCE_MS, false, &event), ERR_BROKER_DOWN);
    assert_true(clock_mono_ms() - began_ms <= 2000 * HEARTBEAT_S);
    assert_non_null(strstr(detail.text, "nothing came"));
}

static void after_an_alarm_it_must_take_again(void **state)
{
    broker_event_t event;
    (void)state;
    publish_too_much();
    say(blocked, sizeof(blocked) - 1);
    assert_int_equal(run_for(500, true, &event), 1);
    say(unblocked, sizeof(unblocked) - 1);
    assert_int_equal(run_for(500, true, &event), 1);
    assert_int_equal(event.kind, BROKER_UNBLOCKED);
    assert_false(broker_is_blocked(connection));
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(run_for(PATIENCE_MS, true, &event), ERR_BROKER_DOWN);
    assert_true(clock_mono_ms() - began_ms > 1000);
    assert_non_null(strstr(detail.text, "takes nothing"));
}

static void a_close_waits_a_second_at_most(void **state)
{
    broker_event_t event;
    (void)state;
    publish_too_much();
    int64_t began_ms = clock_mono_ms();
    broker_close(&connection); /* the peer takes nothing and answers nothing */
    assert_true(clock_mono_ms() - began_ms < BROKER_CLOSE_TIMEOUT_MS + 500);
    close(peer);
    set_up_peer(NULL);
    say(blocked, sizeof(blocked) - 1);
    assert_int_equal(run_for(500, true, &event), 1);
    began_ms = clock_mono_ms();
    broker_close(&connection); /* in an alarm there is nobody to say goodbye to */
    assert_true(clock_mono_ms() - began_ms < 200);
}

static void a_call_ends_by_its_deadline(void **state)
{
    uint32_t messages, consumers;
    (void)state;
    publish_too_much();
    int64_t began_ms = clock_mono_ms();
    broker_set_deadline(connection, began_ms + 300);
    assert_int_equal(broker_queue_depth(connection, queue, &messages, &consumers, &detail),
                     ERR_BROKER_DOWN);
    int64_t took_ms = clock_mono_ms() - began_ms;
    assert_true(took_ms >= 300 && took_ms < 1000);
}

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, set_up_peer, tear_down_peer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_published_message_is_confirmed_and_delivered, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bodies_of_all_sizes_come_back_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_routed_comes_back_before_its_ack, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_kind_of_queue_is_told_and_nothing_is_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_tag_ends_the_connection, set_up, tear_down),
        cmocka_unit_test(wrong_credentials_are_refused),
        cmocka_unit_test(a_closed_port_is_down_at_once),
        cmocka_unit_test(the_first_broker_that_answers_is_taken),
        WITH_PEER(a_silent_peer_is_given_up_within_twice_the_heartbeat),
        WITH_PEER(heartbeats_keep_it_alive_and_are_answered),
        WITH_PEER(a_peer_that_takes_nothing_is_given_up),
        WITH_PEER(what_is_left_goes_on_later),
        WITH_PEER(in_an_alarm_only_silence_ends_it),
        WITH_PEER(after_an_alarm_it_must_take_again),
        WITH_PEER(a_close_waits_a_second_at_most),
        WITH_PEER(a_call_ends_by_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
