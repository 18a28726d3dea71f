/* SPDX-License-Identifier: Apache-2.0
 * user_input.h - reads the body of a POST or PATCH into the members a client may write.
 *
 * A PATCH is an RFC 7396 merge: absent members stay as they are. No member may be removed, so a null
 * is an error. Every bad member is listed, up to INVALID_MEMBERS_MAX of them.
 */
#ifndef USERBUS_ACTORS_HTTP_USER_INPUT_H
#define USERBUS_ACTORS_HTTP_USER_INPUT_H

#include <jansson.h>

#include "actors/http/problem.h" /* invalid_member_t */
#include "pipeline/actor.h"      /* detail_t */
#include "proto/event.h"         /* EMAIL_KEY_MAX_BYTES */

typedef enum input_kind { INPUT_CREATE, INPUT_PATCH } input_kind_t;

enum {
    NAME_MIN_CHARACTERS = 2,
    NAME_MAX_CHARACTERS = 100,
    INVALID_MEMBERS_MAX = 16,
};

/* Texts point into the document or the key beside it and die at user_input_fini. */
typedef struct user_input {
    text_t email, email_key, first_name, last_name; /* data NULL: not given */
    int is_valid;                                   /* -1: not given */

    invalid_member_t invalid[INVALID_MEMBERS_MAX];
    size_t invalid_count;

    json_t *document;
    char email_key_bytes[EMAIL_KEY_MAX_BYTES];
} user_input_t;

/* 0; ERR_BAD_JSON with *detail; ERR_INVALID_USER with `invalid` filled. user_input_fini in every
 * case. */
int user_input_parse(user_input_t *out, input_kind_t kind, text_t body, detail_t *detail);

/* A zero-initialised input is fine. */
void user_input_fini(user_input_t *input);

#endif
