/* SPDX-License-Identifier: Apache-2.0
 * problem.h - what a client gets instead of a user: application/problem+json (RFC 9457).
 */
#ifndef USERBUS_ACTORS_HTTP_PROBLEM_H
#define USERBUS_ACTORS_HTTP_PROBLEM_H

#include "proto/text_buffer.h"

#define PROBLEM_MEDIA_TYPE "application/problem+json"

/* One bad member of a body. */
typedef struct invalid_member {
    text_t name;        /* UTF-8, borrowed; data NULL: the whole document */
    const char *detail; /* static storage */
} invalid_member_t;

/* All borrowed for the call. */
typedef struct problem {
    int error;              /* a code of errors.def with an http_status */
    const char *detail;     /* what the client can do, UTF-8; NULL: what the error always means */
    const char *request_id; /* visible ASCII */
    const invalid_member_t *invalid;
    size_t invalid_count; /* 0: no `errors` member */
} problem_t;

/* Appends {"type", "title", "status", "detail", "request_id", "errors": [{"pointer", "detail"}]};
 * a pointer is a JSON pointer (RFC 6901) into the body. */
void problem_json(text_buffer_t *out, const problem_t *problem);

#endif
