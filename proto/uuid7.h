/* SPDX-License-Identifier: Apache-2.0
 * uuid7.h - UUIDs of version 7 (RFC 9562 section 5.7): time first, so that new keys are neighbours.
 */
#ifndef USERBUS_PROTO_UUID7_H
#define USERBUS_PROTO_UUID7_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/message.h"

enum { UUID_BYTES = 16, UUID_TEXT_SIZE = 37 /* with its NUL */ };

/* Makes a UUID of the given milliseconds since 1970 and 74 random bits from the kernel. Safe from
 * any thread. */
void uuid7_make(uint8_t out[UUID_BYTES], int64_t unix_ms);

/* Lower-case text form with its NUL. */
void uuid_text(char out[UUID_TEXT_SIZE], const uint8_t id[UUID_BYTES]);

/* Reads the 36-character text form of any UUID version, either case. False: it is none, and *out is
 * untouched. */
bool uuid_parse(uint8_t out[UUID_BYTES], text_t text);

#endif
