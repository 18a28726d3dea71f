/* SPDX-License-Identifier: Apache-2.0
 * target.h - reads the parts of a request target that clients fill in: the user's key and the query.
 *
 * Percent-encoding (RFC 3986 section 2.1) is undone strictly and once: "%2540" is the text "%40".
 */
#ifndef USERBUS_ACTORS_HTTP_TARGET_H
#define USERBUS_ACTORS_HTTP_TARGET_H

#include <stdbool.h>

#include "pipeline/actor.h" /* detail_t */
#include "proto/event.h"    /* ID_BYTES, EMAIL_KEY_MAX_BYTES */

/* Which user a path names: by id, or by email. */
typedef struct user_key {
    uint8_t id[ID_BYTES];
    size_t id_size; /* ID_BYTES or 0 */
    char email_key[EMAIL_KEY_MAX_BYTES];
    size_t email_key_size; /* 0 when id_size is not */
} user_key_t;

/* ERR_BAD_PATH: a broken percent-encoding, a control character (NUL included) or no UTF-8;
 * ERR_USER_NOT_FOUND: readable, but neither a UUID nor anything that could be an email. */
int user_key_parse(user_key_t *out, text_t segment, detail_t *detail);

enum { LIST_LIMIT_DEFAULT = 20, LIST_LIMIT_MAX = 100 };

typedef struct list_query {
    int limit; /* 1..LIST_LIMIT_MAX */
    uint8_t cursor[ID_BYTES];
    size_t cursor_size; /* ID_BYTES or 0: from the start */
} list_query_t;

/* ERR_BAD_QUERY: *detail names the parameter that is unknown, repeated or has a bad value. */
int list_query_parse(list_query_t *out, text_t query, detail_t *detail);

#endif
