/* SPDX-License-Identifier: Apache-2.0
 * operator_question.h - what an operator asks of the store: status, lane_list, lane_release and
 * lane_discard, kept until the batch in which it came has ended, then answered with a JSON object.
 */
#ifndef USERBUS_ACTORS_STORE_OPERATOR_QUESTION_H
#define USERBUS_ACTORS_STORE_OPERATOR_QUESTION_H

#include "actors/store/lane_keeper.h"

/* The message without its texts, which go with their frame. */
typedef struct operator_question {
    message_type_t type;
    uint8_t user_id[ID_BYTES];
    bool of_user; /* user_id tells of whom */
    int64_t limit;
} operator_question_t;

/* Whom it is about. */
typedef struct operator_room {
    event_feed_t *feed;
    lane_keeper_t *lanes;
    const store_status_t *status;
    int64_t retention_s;
} operator_room_t;

/* Keeps one of the four messages. */
void operator_question_keep(operator_question_t *out, const message_t *message);

/* Outside of transactions; appends the object. An error is of the operator, or the database's. */
int operator_question_answer(const operator_question_t *self, const operator_room_t *room,
                             text_buffer_t *out) __attribute__((warn_unused_result));

#endif
