/* SPDX-License-Identifier: Apache-2.0
 * tsan_order.c - tells ThreadSanitizer of the order in which libzmq hands frames from thread to thread
 * and in which a join waits. It sees neither: Debian's libzmq is not instrumented, and gcc 12's runtime
 * does not know pthread_clockjoin_np. Each of these functions is called instead of the library's of the
 * same name (LD_PRELOAD, in scripts/test) and adds an order that the library really gives, no more.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

/* Of ThreadSanitizer's runtime; without it, in ctest itself, they are NULL and nothing here is called. */
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

#define NEXT(function) ((__typeof__(&(function)))dlsym(RTLD_NEXT, #function))

typedef struct payload {
    zmq_free_fn *free_fn;
    void *hint;
} payload_t;

/* The last owner's thread, which is the reaper's when nobody received the frame. */
static void free_payload(void *data, void *hint)
{
    payload_t *payload = hint;
    __tsan_acquire(data);
    payload->free_fn(data, payload->hint);
    free(payload);
}

int zmq_msg_init_data(zmq_msg_t *message, void *data, size_t size, zmq_free_fn *free_fn, void *hint)
{
    payload_t *payload = malloc(sizeof(*payload));
    if (payload == NULL)
        abort();
    *payload = (payload_t){free_fn, hint};
    __tsan_release(data);
    return NEXT(zmq_msg_init_data)(message, data, size, free_payload, payload);
}

int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags)
{
    int size = NEXT(zmq_msg_recv)(message, socket, flags);
    if (size >= 0)
        __tsan_acquire(zmq_msg_data(message));
    return size;
}

/* The runtime knows the join that measures by the wall clock. */
int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                         const struct timespec *until)
{
    struct timespec now, wall;
    clock_gettime(clock, &now);
    clock_gettime(CLOCK_REALTIME, &wall);
    long nanoseconds = wall.tv_nsec + until->tv_nsec - now.tv_nsec + 1000000000;
    wall.tv_sec += until->tv_sec - now.tv_sec - 1 + nanoseconds / 1000000000;
    wall.tv_nsec = nanoseconds % 1000000000;
    return pthread_timedjoin_np(thread, result, &wall);
}
