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
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "proto/errors.h"

enum { PATIENCE_MS = 10000 };

static char queue[64], exchange[64];
static broker_topology_t topology;
static broker_connection_t *connection;
static detail_t detail;

static const char *url(void)
{
    const char *value = getenv("TEST_RABBIT_MQ_URL");
    if (value == NULL)
        fail_msg("TEST_RABBIT_MQ_URL names no broker: scripts/broker start, then its url");
    return value;
}

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
    well(broker_open(&connection, url(), "connection test", &detail));
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
    const char *at = strrchr(url(), '@');
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

static void urls_are_checked(void **state)
{
    static const struct {
        const char *url;
        bool good;
    } cases[] = {
        {"amqp://guest:guest@localhost:5672/", true},
        {"amqp://localhost", true},
        {"amqp://user:p%40ss@host:1/%2Fvhost", true},
        {"http://localhost", false},
        {"amqp://user:secret@host:notaport/", false},
        {"amqps://user:secret@host/", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(broker_url_check(cases[i].url, &detail), cases[i].good);
        assert_null(strstr(detail.text, "secret"));
    }
}

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
        cmocka_unit_test(urls_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
