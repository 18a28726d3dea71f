/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * Against the broker at TEST_RABBIT_MQ_URL, listeners that say nothing, and a resolver of our own: this
 * program's getaddrinfo stands before the C library's. */
#include "pipeline/broker_dialer.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/clock.h"
#include "proto/errors.h"
#include "tests/actor/real_broker.h"

enum { PATIENCE_MS = 15000, AT_ONCE_MS = 2000 };

static char queue[64], exchange[64], list[1024];
static broker_dialer_conf_t conf;
static broker_dialer_t *dialer;
static broker_connection_t *connection;
static detail_t detail;

/* --- the resolver ------------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int hanging, lookups; /* in getaddrinfo now; so far */
static bool let_go;
static struct sockaddr_in first_address; /* of the name "two.test"; the second is the broker's */

/* Hangs for names in .hang until let_go, then gives the address of `localhost`. */
static void hang(void)
{
    pthread_mutex_lock(&lock);
    lookups++;
    hanging++;
    while (!let_go)
        pthread_cond_wait(&changed, &lock);
    hanging--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strstr(host, ".hang") != NULL) {
        hang();
        return real("127.0.0.1", service, hints, out);
    }
    if (strcmp(host, "two.test") != 0)
        return real(host, service, hints, out);
    int failed = real("127.0.0.1", service, hints, out);
    if (failed == 0)
        failed = real("127.0.0.1", service, hints, &(*out)->ai_next);
    if (failed == 0)
        memcpy((*out)->ai_addr, &first_address, sizeof(first_address));
    return failed;
}

static void release_lookups(void)
{
    pthread_mutex_lock(&lock);
    let_go = true;
    pthread_cond_broadcast(&changed);
    while (hanging > 0)
        pthread_cond_wait(&changed, &lock);
    let_go = false;
    pthread_mutex_unlock(&lock);
}

static int read_count(const int *count)
{
    pthread_mutex_lock(&lock);
    int value = *count;
    pthread_mutex_unlock(&lock);
    return value;
}

/* --- tools ------------------------------------------------------------------------------------- */

static int broker_port(void)
{
    return atoi(strrchr(broker_url(), ':') + 1);
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
    snprintf(queue, sizeof(queue), "dialer-test-%llx", mark);
    snprintf(exchange, sizeof(exchange), "dialer-test-x-%llx", mark);
    conf = (broker_dialer_conf_t){.urls = broker_url(),
                                  .name = "dialer test",
                                  .topology = {exchange, "direct", "classic", queue}};
    lookups = 0;
    detail = (detail_t){{0}};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    broker_close(&connection);
    broker_dialer_close(&dialer);
    release_lookups();
    return 0;
}

/* A turn never waits. */
static int turn(void)
{
    int64_t began_ms = clock_mono_ms();
    int got = broker_dialer_turn(dialer, &connection, &detail);
    assert_true(clock_mono_ms() - began_ms < AT_ONCE_MS);
    return got;
}

/* Turns as an actor does until something is told. */
static int await_outcome(void)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    for (int got; clock_mono_ms() < deadline_ms;) {
        if ((got = turn()) != 0)
            return got;
        int64_t left_ms = broker_dialer_due_ms(dialer) - clock_mono_ms();
        struct pollfd fd = {.fd = broker_dialer_fd(dialer), .events = POLLIN};
        poll(&fd, 1, left_ms > 0 ? (int)left_ms : 0);
    }
    fail_msg("no outcome");
    return 0;
}

static void await_connection(void)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    while (await_outcome() != 1)
        assert_true(clock_mono_ms() < deadline_ms);
}

static void close_at_once(void)
{
    int64_t began_ms = clock_mono_ms();
    broker_dialer_close(&dialer);
    assert_true(clock_mono_ms() - began_ms < AT_ONCE_MS);
}

/* Connections are made, by the kernel, and nobody says a word. */
static int silent_listener(struct sockaddr_in *address)
{
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)address, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

/* --- tests ------------------------------------------------------------------------------------- */

static void a_connection_comes_with_all_that_was_asked_for(void **state)
{
    uint32_t messages = 9, consumers = 9;
    (void)state;
    conf.prefetch = 10;
    dialer = broker_dialer_open(&conf);
    assert_int_equal(await_outcome(), 1);
    assert_non_null(strstr(detail.text, broker_address(connection)));
    const broker_message_t message = {
        .exchange = text_of(exchange), .routing_key = text_of(queue), .body = TEXT("x")};
    broker_publish(connection, &message);
    well(broker_flush(connection, &detail));
    bool confirmed = false, delivered = false;
    for (int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
         !(confirmed && delivered) && clock_mono_ms() < end_ms;) {
        broker_event_t event;
        struct pollfd fd = {.fd = broker_fd(connection), .events = POLLIN};
        poll(&fd, 1, 100);
        int got = broker_next(connection, &event, &detail);
        assert_true(got >= 0);
        confirmed |= got == 1 && event.kind == BROKER_ACK;
        delivered |= got == 1 && event.kind == BROKER_DELIVERY;
    }
    assert_true(confirmed && delivered);
    well(broker_queue_depth(connection, queue, &messages, &consumers, &detail));
    assert_int_equal(consumers, 1);
}

static void another_broker_takes_over(void **state)
{
    (void)state;
    snprintf(list, sizeof(list), "amqp://127.0.0.1:1/,%s,amqp://guest:wrong@127.0.0.1:%d/",
             broker_url(), broker_port());
    conf.urls = list;
    for (int round = 0; round < 8; round++) { /* whatever the order */
        int64_t began_ms = clock_mono_ms();
        dialer = broker_dialer_open(&conf);
        await_connection();
        assert_true(clock_mono_ms() - began_ms < 3000);
        broker_close(&connection);
        broker_dialer_lost(dialer, ERR_BROKER_DOWN);
        await_connection(); /* again, the one that lets us in */
        broker_close(&connection);
        close_at_once();
    }
}

static void a_refusal_is_told_as_such_and_waits(void **state)
{
    broker_topology_t other = conf.topology;
    (void)state;
    snprintf(list, sizeof(list), "amqp://guest:wrong@127.0.0.1:%d/", broker_port());
    conf.urls = list;
    dialer = broker_dialer_open(&conf);
    assert_int_equal(await_outcome(), ERR_BROKER_REFUSED);
    assert_null(strstr(detail.text, "wrong"));
    int64_t left_ms = broker_dialer_due_ms(dialer) - clock_mono_ms();
    assert_true(left_ms > DIAL_CAP_MS - 1000 && left_ms <= DIAL_CAP_MS);
    assert_int_equal(turn(), 0);
    broker_dialer_close(&dialer);
    other.queue_type = "quorum";
    conf.urls = broker_url();
    dialer = broker_dialer_open(&conf);
    await_connection();
    broker_close(&connection);
    broker_dialer_close(&dialer);
    conf.topology = other;
    dialer = broker_dialer_open(&conf);
    assert_int_equal(await_outcome(), ERR_TOPOLOGY);
    assert_non_null(strstr(detail.text, "x-queue-type"));
    assert_true(broker_dialer_due_ms(dialer) - clock_mono_ms() > DIAL_CAP_MS - 1000);
}

/* A frozen broker: the kernel accepts, nobody answers. One deadline for all of the attempt. */
static void a_frozen_broker_costs_one_deadline_and_holds_nobody(void **state)
{
    struct sockaddr_in address;
    int listener = silent_listener(&address);
    (void)state;
    snprintf(list, sizeof(list), "amqp://127.0.0.1:%d/", ntohs(address.sin_port));
    conf.urls = list;
    dialer = broker_dialer_open(&conf);
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(await_outcome(), ERR_BROKER_DOWN);
    int64_t took_ms = clock_mono_ms() - began_ms;
    assert_true(took_ms >= DIAL_TIMEOUT_MS - 100 &&
                took_ms < DIAL_TIMEOUT_MS + DIAL_GRACE_MS + 500);
    assert_non_null(strstr(detail.text, "did not finish the login"));
    while (turn() == 0 && broker_dialer_due_ms(dialer) - clock_mono_ms() < DIAL_TIMEOUT_MS - 1000)
        poll(NULL, 0, 5); /* until the next attempt is under way */
    close_at_once();
    close(listener);
}

/* The first address of a name may use only its share. */
static void all_addresses_of_a_name_are_tried(void **state)
{
    int listener = silent_listener(&first_address);
    (void)state;
    snprintf(list, sizeof(list), "amqp://two.test:%d/", broker_port());
    conf.urls = list;
    dialer = broker_dialer_open(&conf);
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(await_outcome(), 1);
    int64_t took_ms = clock_mono_ms() - began_ms;
    assert_true(took_ms >= DIAL_TIMEOUT_MS / 2 - 100 && took_ms < DIAL_TIMEOUT_MS);
    close(listener);
}

static void a_name_that_does_not_exist_is_told(void **state)
{
    (void)state;
    conf.urls = "amqp://no-such-host.invalid/";
    dialer = broker_dialer_open(&conf);
    assert_int_equal(await_outcome(), ERR_BROKER_DOWN);
    assert_non_null(strstr(detail.text, "no-such-host.invalid"));
}

/* One thread hangs, and no second one is made, however often the broker's turn comes. */
static void a_lookup_that_hangs_is_abandoned(void **state)
{
    (void)state;
    snprintf(list, sizeof(list), "amqp://broker.hang:%d/", broker_port());
    conf.urls = list;
    dialer = broker_dialer_open(&conf);
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(await_outcome(), ERR_BROKER_DOWN);
    int64_t took_ms = clock_mono_ms() - began_ms;
    assert_true(took_ms >= DIAL_TIMEOUT_MS && took_ms < DIAL_TIMEOUT_MS + DIAL_GRACE_MS + 500);
    assert_non_null(strstr(detail.text, "lookup of its name does not end"));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(await_outcome(), ERR_BROKER_DOWN);
        assert_non_null(strstr(detail.text, "still hangs"));
    }
    assert_int_equal(read_count(&lookups), 1);
    release_lookups();
    /* The late lookup leads to nothing; the next attempt makes one that hangs no more. */
    pthread_mutex_lock(&lock);
    let_go = true;
    pthread_mutex_unlock(&lock);
    await_connection();
    assert_int_equal(read_count(&lookups), 2);
}

static void a_lookup_that_hangs_leaves_the_other_brokers_alone(void **state)
{
    (void)state;
    snprintf(list, sizeof(list), "amqp://broker.hang:%d/,%s", broker_port(), broker_url());
    conf.urls = list;
    do { /* until the order is the one that hangs first */
        broker_close(&connection);
        broker_dialer_close(&dialer);
        dialer = broker_dialer_open(&conf);
    } while (await_outcome() == 1);
    assert_int_equal(await_outcome(), 1);
    for (int i = 0; i < 10; i++) {
        broker_close(&connection);
        broker_dialer_lost(dialer, ERR_BROKER_DOWN);
        await_connection();
    }
    assert_int_equal(read_count(&hanging), read_count(&lookups));
}

/* The thread outlives the dialer and frees what it holds: the sanitizers would tell. */
static void a_lookup_may_end_after_everything(void **state)
{
    (void)state;
    snprintf(list, sizeof(list), "amqp://broker.hang:%d/", broker_port());
    conf.urls = list;
    for (int round = 0; round < 3; round++) {
        dialer = broker_dialer_open(&conf);
        assert_int_equal(turn(), 0);
        while (read_count(&hanging) <= round) /* its thread is in the lookup */
            poll(NULL, 0, 1);
        close_at_once();
    }
    release_lookups(); /* within the deadline: each now connects, and closes what nobody waits for */
}

static void a_deleted_queue_is_mended_in_the_background(void **state)
{
    uint32_t messages = 9, consumers;
    char command[1024];
    (void)state;
    dialer = broker_dialer_open(&conf);
    await_connection();
    snprintf(command, sizeof(command),
             "/usr/bin/python3 -c \"import pika; c = pika.BlockingConnection(pika.URLParameters("
             "'%s%%2F')).channel(); c.queue_delete('%s')\"",
             broker_url(), queue);
    assert_int_equal(system(command), 0);
    assert_int_equal(broker_dialer_mended(dialer, &detail), 0); /* nobody asked yet */
    broker_dialer_mend(dialer);
    broker_dialer_mend(dialer); /* once is enough */
    int got = 0;
    for (int64_t end_ms = clock_mono_ms() + PATIENCE_MS; got == 0 && clock_mono_ms() < end_ms;) {
        got = broker_dialer_mended(dialer, &detail);
        poll(NULL, 0, 5);
    }
    assert_int_equal(got, 1);
    assert_int_equal(broker_dialer_mended(dialer, &detail), 0);
    well(broker_queue_depth(connection, queue, &messages, &consumers, &detail));
    assert_int_equal(messages, 0);
    broker_dialer_mend(dialer); /* and is abandoned */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_comes_with_all_that_was_asked_for),
        TEST(another_broker_takes_over),
        TEST(a_refusal_is_told_as_such_and_waits),
        TEST(a_frozen_broker_costs_one_deadline_and_holds_nobody),
        TEST(all_addresses_of_a_name_are_tried),
        TEST(a_name_that_does_not_exist_is_told),
        TEST(a_lookup_that_hangs_is_abandoned),
        TEST(a_lookup_that_hangs_leaves_the_other_brokers_alone),
        TEST(a_lookup_may_end_after_everything),
        TEST(a_deleted_queue_is_mended_in_the_background),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
