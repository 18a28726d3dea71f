/* SPDX-License-Identifier: Apache-2.0
 * time_input.h - points in time and ages as people and messages write them. Pure.
 */
#ifndef USERBUS_MANAGER_TIME_INPUT_H
#define USERBUS_MANAGER_TIME_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/message.h" /* text_t */

/* RFC 3339: "2026-11-24T10:00:00.123456Z", "…+01:00". The zone may be missing and is UTC then, the seconds
 * may be missing, and so may the time of day: "2026-11-24T10:00", "2026-11-24". *us is microseconds since
 * 1970; digits beyond microseconds count for nothing. False: it is no such time, or one before 1970. */
bool time_input_parse(int64_t *us, text_t text);

/* "90s", "15m", "2h", "7d"; a number alone is seconds. Microseconds; at most 100 years. */
bool age_input_parse(int64_t *us, text_t text);

#endif
