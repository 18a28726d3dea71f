/* SPDX-License-Identifier: Apache-2.0
 * errors.h - the error codes of errors.def: 0 is success, every error is a negative number.
 */
#ifndef USERBUS_PROTO_ERRORS_H
#define USERBUS_PROTO_ERRORS_H

enum {
    ERR_ORDINAL_none, /* so that the first error is -1 */
#define ERR(name, http, exit, retry_after_s, slug, title) ERR_ORDINAL_##name,
#include "proto/errors.def"
#undef ERR
    ERR_ORDINAL_end
};

enum {
#define ERR(name, http, exit, retry_after_s, slug, title) ERR_##name = -ERR_ORDINAL_##name,
#include "proto/errors.def"
#undef ERR
};

typedef struct error_info {
    const char *name;  /* as in errors.def */
    int http_status;   /* 0: never sent to a client */
    int exit_code;     /* sysexits.h; 0: never ends the process */
    int retry_after_s; /* 0: no Retry-After */
    const char *slug;  /* of the problem type URI */
    const char *title;
} error_info_t;

/* The row of an error code; a code that is none (0 included) gets the row of INTERNAL, so the
 * result is never NULL. Static storage. */
const error_info_t *error_info(int code);

/* Invariants that only a bug of ours can break. Always on, without side effects in expr. */
#define must(expr) ((expr) ? (void)0 : must_failed(#expr, __FILE__, __LINE__))
_Noreturn void must_failed(const char *expr, const char *file, int line);

#endif
