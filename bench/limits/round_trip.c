/* SPDX-License-Identifier: Apache-2.0
 * round_trip.c - what a message between two threads costs over ZeroMQ inproc: there and back with both asleep in
 * between, and as one of many that are under way.
 *
 *   bench_round_trip COUNT
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <zmq.h>

#include "bench/limits/limit.h"

enum { MESSAGE_BYTES = 200, BURST = 64 };

typedef struct echo {
    void *context;
    long count;
} echo_t;

static void *connect_pair(void *context, bool is_server)
{
    void *pair = zmq_socket(context, ZMQ_PAIR);
    int unlimited = 0;
    need(pair != NULL);
    need(zmq_setsockopt(pair, ZMQ_SNDHWM, &unlimited, sizeof(unlimited)) == 0);
    need(zmq_setsockopt(pair, ZMQ_RCVHWM, &unlimited, sizeof(unlimited)) == 0);
    need((is_server ? zmq_bind(pair, "inproc://echo") : zmq_connect(pair, "inproc://echo")) == 0);
    return pair;
}

static void *echo_main(void *argument)
{
    const echo_t *self = argument;
    void *pair = connect_pair(self->context, false);
    char message[MESSAGE_BYTES];
    for (long i = 0; i < self->count; i++) {
        need(zmq_recv(pair, message, sizeof(message), 0) == MESSAGE_BYTES);
        need(zmq_send(pair, message, sizeof(message), 0) == MESSAGE_BYTES);
    }
    zmq_close(pair);
    return NULL;
}

/* Microseconds a round trip when so many are under way. */
static double measure(void *pair, long count, int burst)
{
    char message[MESSAGE_BYTES];
    memset(message, 'x', sizeof(message));
    double began = wall_us();
    for (long i = 0; i < count; i += burst) {
        for (int k = 0; k < burst; k++)
            need(zmq_send(pair, message, sizeof(message), 0) == MESSAGE_BYTES);
        for (int k = 0; k < burst; k++)
            need(zmq_recv(pair, message, sizeof(message), 0) == MESSAGE_BYTES);
    }
    return (wall_us() - began) / (double)count;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 64;
    long count = count_argument(argv[1]) / BURST * BURST;
    need(count > 0);
    void *context = zmq_ctx_new();
    echo_t echo = {.context = context, .count = count * 2};
    void *pair = connect_pair(context, true);
    pthread_t thread;
    need(pthread_create(&thread, NULL, echo_main, &echo) == 0);
    tell("round_trip_us", measure(pair, count, 1));
    tell("burst_round_trip_us", measure(pair, count, BURST));
    need(pthread_join(thread, NULL) == 0);
    zmq_close(pair);
    zmq_ctx_term(context);
    return 0;
}
