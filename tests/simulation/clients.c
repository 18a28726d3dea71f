/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/clients.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/errors.h"
#include "tests/simulation/promises.h"

enum { ANSWER_WITHIN_US = 10 * 1000000 }; /* also with the broker down and the disk full */

typedef enum answer { NOT_SENT, WAITING, ANSWERED, UNKNOWN } answer_t;

static struct {
    const plan_t *plan;
    mailroom_t *room; /* NULL: nobody to send to */
    answer_t answers[PLAN_REQUESTS_MAX];
    event_kind_t sent[PLAN_REQUESTS_MAX];
    bool created[PLAN_USERS_MAX];
} clients;

void clients_begin(const plan_t *plan)
{
    memset(&clients, 0, sizeof(clients));
    clients.plan = plan;
}

/* --- answers ---------------------------------------------------------------------------------------- */

/* How many events a successful request may have. */
static void check_success(int64_t request, const msg_user_reply_t *reply)
{
    event_kind_t kind = clients.sent[request];
    int events = promise_events_of_request(request);
    int least = kind == EVENT_USER_DELETE || reply->uncounted ? 0 : 1;
    int most = reply->uncounted ? 0 : 1;
    if (events < least || events > most)
        breach("an answer comes after the commit",
               "request %" PRId64 " (%s) is answered with %d "
               "events in the log",
               request, event_kind_name(kind), events);
}

static void on_reply(const message_t *message)
{
    int64_t request = (int64_t)message->corr - 1;
    if (message->type != MSG_user_reply || message->corr == 0)
        return;
    const msg_user_reply_t *reply = &message->user_reply;
    trace("answer", "client", request, reply->error);
    if (clients.answers[request] == ANSWERED)
        breach("each request is answered once", "request %" PRId64, request);
    clients.answers[request] = ANSWERED;
    if (reply->error == 0)
        check_success(request, reply);
    else if (promise_events_of_request(request) > 0)
        breach("nothing is invented", "request %" PRId64 " is refused (%s), and has an event",
               request, error_info((int)reply->error)->name);
    unsigned user = clients.plan->requests[request].user;
    if (clients.sent[request] == EVENT_USER_CREATE &&
        (reply->error == 0 || reply->error == ERR_EMAIL_TAKEN))
        clients.created[user] = true;
}

static void expect_answer(void *context, int64_t request)
{
    (void)context;
    if (clients.answers[request] == WAITING)
        breach("every request is answered in time", "request %" PRId64, request);
}

/* --- requests --------------------------------------------------------------------------------------- */

static void add_request(frame_t *frame, int64_t request, unsigned user, event_kind_t kind)
{
    char id[24], email[24], name[24];
    snprintf(id, sizeof(id), "r%" PRId64, request);
    snprintf(email, sizeof(email), "u%u@example.org", user);
    snprintf(name, sizeof(name), "Name %" PRId64, request);
    const msg_user_create_t create = {.request_id = text_of(id),
                                      .email = text_of(email),
                                      .email_key = text_of(email),
                                      .first_name = text_of(name),
                                      .last_name = TEXT("Last"),
                                      .is_valid = 1};
    const msg_user_read_t read = {.request_id = text_of(id), .email_key = text_of(email)};
    const msg_user_update_t update = {.request_id = text_of(id),
                                      .email_key = text_of(email),
                                      .new_first_name = text_of(name),
                                      .new_is_valid = -1};
    const msg_user_delete_t delete = {.request_id = text_of(id), .email_key = text_of(email)};
    const struct {
        message_type_t type;
        const void *fields;
    } of_kind[EVENT_KIND_COUNT] = {
        [EVENT_USER_CREATE] = {MSG_user_create, &create},
        [EVENT_USER_READ] = {MSG_user_read, &read},
        [EVENT_USER_UPDATE] = {MSG_user_update, &update},
        [EVENT_USER_DELETE] = {MSG_user_delete, &delete},
    };
    frame_add(frame, of_kind[kind].type, (uint64_t)request + 1, of_kind[kind].fields);
}

void clients_send(int64_t request)
{
    static frame_t frame;
    const planned_request_t *planned = &clients.plan->requests[request];
    if (clients.room == NULL)
        return;
    event_kind_t kind = clients.created[planned->user] ? planned->kind : EVENT_USER_CREATE;
    clients.sent[request] = kind;
    clients.answers[request] = WAITING;
    trace("request", "client", request, kind);
    add_request(&frame, request, planned->user, kind);
    (void)room_send(clients.room, "store", &frame);
    world_after(ANSWER_WITHIN_US, expect_answer, NULL, request);
}

void clients_release_lanes(void)
{
    static frame_t frame;
    if (clients.room == NULL)
        return;
    frame_add(&frame, MSG_lane_release, 0, &(msg_lane_release_t){.request_id = TEXT("release")});
    (void)room_send(clients.room, "store", &frame);
}

void clients_connect(mailroom_t *room)
{
    clients.room = room;
    room_sink(room, "http.0", on_reply);
}

void clients_disconnect(void)
{
    clients.room = NULL;
    for (size_t i = 0; i < clients.plan->request_count; i++)
        if (clients.answers[i] == WAITING)
            clients.answers[i] = UNKNOWN;
}
