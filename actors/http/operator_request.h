/* SPDX-License-Identifier: Apache-2.0
 * operator_request.h - what a request to the operator's own routes must be like, so that no web page which an
 * operator happens to have open can send one: none with an Origin, none for a Host that is a name (a name
 * can be made to lead here), and a body of JSON's own media type, which a page may not send without asking. Pure.
 */
#ifndef USERBUS_ACTORS_HTTP_OPERATOR_REQUEST_H
#define USERBUS_ACTORS_HTTP_OPERATOR_REQUEST_H

#include "pipeline/actor.h" /* detail_t */
#include "proto/uuid7.h"

/* The values of the headers; data NULL: there is none. 0 or ERR_FOREIGN with *detail. */
int operator_request_check(text_t host, text_t origin, detail_t *detail)
    __attribute__((warn_unused_result));

/* Which lanes a POST means. */
typedef struct lane_choice {
    uint8_t user_id[UUID_BYTES];
    size_t user_id_size; /* 0: all in quarantine */
} lane_choice_t;

/* Reads {"user_id": "..."} or, where all may be meant, {"all": true}. ERR_BAD_JSON with *detail. */
int lane_choice_parse(lane_choice_t *out, text_t body, bool all_allowed, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
