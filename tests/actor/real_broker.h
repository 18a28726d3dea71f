/* SPDX-License-Identifier: Apache-2.0
 * real_broker.h - what the tests beside a real RabbitMQ share: where it is, and waiting for what it does. Include it
 * after cmocka.
 */
#ifndef USERBUS_TESTS_ACTOR_REAL_BROKER_H
#define USERBUS_TESTS_ACTOR_REAL_BROKER_H

#include <poll.h>
#include <stdlib.h>

#include "pipeline/clock.h"

/* Fails the test when there is none. */
static inline const char *broker_url(void)
{
    const char *value = getenv("TEST_RABBIT_MQ_URL");
    if (value == NULL)
        fail_msg("TEST_RABBIT_MQ_URL names no broker: scripts/broker start, then its url");
    return value;
}

/* Waits until the condition holds: it is evaluated again and again, up to PATIENCE_MS of the including file. */
#define await(condition)                                                                           \
    do {                                                                                           \
        int64_t until_ms = clock_mono_ms() + PATIENCE_MS;                                          \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms() > until_ms)                                                        \
                fail_msg("never came true: %s", #condition);                                       \
            poll(NULL, 0, 10);                                                                     \
        }                                                                                          \
    } while (0)

#endif
