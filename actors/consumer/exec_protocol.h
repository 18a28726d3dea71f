/* SPDX-License-Identifier: Apache-2.0
 * exec_protocol.h - what is said between the worker and a processor that is a program of its own: one JSON object per
 * line each way. Pure.
 *
 *   to it    {"message_id": "…", "type": "user.create", "queue": "user", "sequence": 1, "attempt": 1,
 *             "traceparent": "…", "event": {the message's body}}
 *   from it  {"message_id": "…", "result": "done" | "retry" | "dead", "error": "…"}
 */
#ifndef USERBUS_ACTORS_CONSUMER_EXEC_PROTOCOL_H
#define USERBUS_ACTORS_CONSUMER_EXEC_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>

#include "pipeline/actor.h" /* detail_t */
#include "pipeline/broker_connection.h"
#include "proto/text_buffer.h"

enum { ANSWER_MAX_BYTES = 16 * 1024, EXEC_ID_MAX_BYTES = 255 };

/* The id can be said in JSON and comes back as it was. */
bool exec_id_is_sayable(text_t message_id);

typedef struct exec_request {
    text_t message_id; /* sayable */
    const char *type, *queue;
    int64_t sequence, attempt;       /* attempt counts from 1 */
    const broker_message_t *message; /* its body is valid JSON */
} exec_request_t;

/* Appends the line with its end. */
void exec_request_line(text_buffer_t *out, const exec_request_t *request);

typedef enum exec_result { EXEC_DONE, EXEC_RETRY, EXEC_DEAD } exec_result_t;

typedef struct exec_answer {
    text_t message_id; /* in the document */
    exec_result_t result;
    text_t error;     /* empty: it told none */
    json_t *document; /* owned */
} exec_answer_t;

/* Of a line without its end. False: it is none, and *why tells. exec_answer_fini in both cases. */
bool exec_answer_parse(exec_answer_t *out, text_t line, detail_t *why)
    __attribute__((warn_unused_result));

void exec_answer_fini(exec_answer_t *answer);

#endif
