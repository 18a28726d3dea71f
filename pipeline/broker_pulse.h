/* SPDX-License-Identifier: Apache-2.0
 * broker_pulse.h - whether the peer of a connection lives, by our own monotonic clock, and when we must
 * give a sign of life ourselves. Pure: the caller brings the time.
 *
 * Limit     A peer from which nothing came for broker_pulse_limit_ms, or which takes nothing that we send
 *           for so long, is given up. The limit is twice the heartbeat less the time that the caller may
 *           sleep, so that the verdict falls within twice the heartbeat. RabbitMQ sends a heartbeat each
 *           half of it when there is nothing else, also during a memory or disk alarm.
 * Blocked   A broker in an alarm reads nothing from a connection that has published, so what we send may
 *           wait for as long as the alarm lasts: only silence tells then.
 */
#ifndef USERBUS_PIPELINE_BROKER_PULSE_H
#define USERBUS_PIPELINE_BROKER_PULSE_H

#include <stdbool.h>
#include <stdint.h>

enum { BROKER_IDLE_MAX_MS = 500 }; /* call broker_next at least this often */

/* All times are monotonic milliseconds. */
typedef struct broker_pulse {
    int64_t heartbeat_ms;
    int64_t received_ms, sent_ms; /* when bytes last came and went */
    int64_t stuck_ms; /* since when the peer takes nothing; 0: nothing waits to be sent */
    bool blocked;
} broker_pulse_t;

/* heartbeat_s: 1 or more, as agreed with the broker. */
void broker_pulse_init(broker_pulse_t *self, int heartbeat_s, int64_t now_ms);

int64_t broker_pulse_limit_ms(const broker_pulse_t *self);

static inline void broker_pulse_received(broker_pulse_t *self, int64_t now_ms)
{
    self->received_ms = now_ms;
}

/* The socket took something; `all`: nothing is left. */
void broker_pulse_sent(broker_pulse_t *self, bool all, int64_t now_ms);

/* The socket takes nothing although something is there. */
void broker_pulse_stuck(broker_pulse_t *self, int64_t now_ms);

/* After an alarm the peer has the whole limit again to take what waits. */
void broker_pulse_set_blocked(broker_pulse_t *self, bool blocked, int64_t now_ms);

/* A heartbeat should be sent, if nothing else is. */
bool broker_pulse_beat_is_due(const broker_pulse_t *self, int64_t now_ms);

typedef enum broker_pulse_verdict { PULSE_ALIVE, PULSE_SILENT, PULSE_STUCK } broker_pulse_verdict_t;

broker_pulse_verdict_t broker_pulse_judge(const broker_pulse_t *self, int64_t now_ms);

#endif
