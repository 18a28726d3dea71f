/* SPDX-License-Identifier: Apache-2.0
 * request_headers.h - judges the values of the request headers that we read.
 */
#ifndef USERBUS_ACTORS_HTTP_REQUEST_HEADERS_H
#define USERBUS_ACTORS_HTTP_REQUEST_HEADERS_H

#include <stdbool.h>

#include "proto/message.h"

enum { REQUEST_ID_MAX_BYTES = 64 };

/* 1..64 bytes of visible ASCII, so that it can go into logs and message headers as it is. */
bool request_id_is_usable(text_t value);

/* W3C Trace Context section 3.2: version 00, lower-case, neither id all zeros. */
bool traceparent_is_valid(text_t value);

/* At most 512 bytes of printable ASCII; its list is not taken apart, since we only pass it on. */
bool tracestate_is_usable(text_t value);

/* True when the Content-Type names `media_type`, whatever its parameters. */
bool content_type_is(text_t value, const char *media_type);

#endif
