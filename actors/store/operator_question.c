/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/operator_question.h"

#include <string.h>

#include "pipeline/clock.h"
#include "proto/errors.h"

static void keep_user(operator_question_t *out, text_t user_id)
{
    out->of_user = user_id.size == ID_BYTES;
    if (out->of_user)
        memcpy(out->user_id, user_id.data, ID_BYTES);
}

void operator_question_keep(operator_question_t *out, const message_t *message)
{
    *out = (operator_question_t){.type = message->type};
    if (message->type == MSG_lane_list)
        out->limit = message->lane_list.limit;
    if (message->type == MSG_lane_release)
        keep_user(out, message->lane_release.user_id);
    if (message->type == MSG_lane_discard)
        keep_user(out, message->lane_discard.user_id);
}

static int tell_status(const operator_question_t *self, const operator_room_t *room,
                       text_buffer_t *out)
{
    store_view_t view = {.outbox = &room->feed->outbox,
                         .lanes = room->lanes->lanes.summary,
                         .retention_s = room->retention_s,
                         .now_us = clock_wall_us(),
                         .now_ms = clock_mono_ms()};
    (void)self;
    int error = event_feed_oldest(room->feed, &view.oldest_us);
    if (error == 0)
        store_status_json(room->status, out, &view);
    return error;
}

static int tell_lanes(const operator_question_t *self, const operator_room_t *room,
                      text_buffer_t *out)
{
    lane_keeper_list(room->lanes, out, self->limit);
    return 0;
}

static int release_lanes(const operator_question_t *self, const operator_room_t *room,
                         text_buffer_t *out)
{
    return lane_keeper_release(room->lanes, self->of_user ? self->user_id : NULL, out);
}

static int discard_lane(const operator_question_t *self, const operator_room_t *room,
                        text_buffer_t *out)
{
    return lane_keeper_discard(room->lanes, self->user_id, out);
}

static int (*const answers[MSG_count])(const operator_question_t *self, const operator_room_t *room,
                                       text_buffer_t *out) = {
    [MSG_status] = tell_status,
    [MSG_lane_list] = tell_lanes,
    [MSG_lane_release] = release_lanes,
    [MSG_lane_discard] = discard_lane,
};

int operator_question_answer(const operator_question_t *self, const operator_room_t *room,
                             text_buffer_t *out)
{
    must(answers[self->type] != NULL);
    return answers[self->type](self, room, out);
}
