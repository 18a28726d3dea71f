/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/dispatch.h"

#include <stdio.h>

#include "actors/http/operator_request.h"
#include "actors/http/target.h"
#include "actors/http/user_input.h"
#include "pipeline/clock.h"
#include "pipeline/failpoint.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

/* What a request was taken apart into. Lives until its message is packed. */
typedef struct parsed {
    route_match_t match;
    user_key_t key;
    user_input_t input;
    list_query_t list;
    lane_choice_t lanes;
    message_t message;
    detail_t detail; /* of an error; empty: the usual one */
} parsed_t;

/* --- from a request to a message -------------------------------------------------------------- */

/* Fills what every request with an event carries. */
#define SET_CONTEXT(to, self, exchange)                                                            \
    do {                                                                                           \
        (to)->reply_to = (self)->conf->index;                                                      \
        (to)->request_id = text_of((exchange)->request_id);                                        \
        set_trace(exchange, &(to)->traceparent, &(to)->tracestate);                                \
    } while (0)

#define SET_KEY(to, key)                                                                           \
    do {                                                                                           \
        (to)->id = (text_t){(const char *)(key)->id, (key)->id_size};                              \
        (to)->email_key = (text_t){(key)->email_key, (key)->email_key_size};                       \
    } while (0)

/* A tracestate without a valid traceparent means nothing (W3C Trace Context section 3.3). */
static void set_trace(const exchange_t *exchange, text_t *traceparent, text_t *tracestate)
{
    text_t parent = exchange_header(exchange, "traceparent");
    if (!traceparent_is_valid(parent))
        return;
    *traceparent = parent;
    text_t state = exchange_header(exchange, "tracestate");
    if (tracestate_is_usable(state))
        *tracestate = state;
}

static int check_media_type(exchange_t *exchange, input_kind_t kind, detail_t *detail)
{
    text_t type = exchange_header(exchange, "content-type");
    if (content_type_is(type, "application/json"))
        return 0;
    if (kind == INPUT_CREATE) {
        exchange_add_header(exchange, "accept-post", TEXT("application/json"));
        return detail_set(detail, ERR_MEDIA_TYPE,
                          "Send the user as JSON, with Content-Type: application/json.");
    }
    if (content_type_is(type, "application/merge-patch+json"))
        return 0;
    exchange_add_header(exchange, "accept-patch",
                        TEXT("application/merge-patch+json, application/json"));
    return detail_set(detail, ERR_MEDIA_TYPE,
                      "Send the changes as JSON, with Content-Type: application/merge-patch+json.");
}

static int read_input(dispatcher_t *self, exchange_t *exchange, input_kind_t kind, parsed_t *parsed)
{
    text_t body = {exchange->req->entity.base, exchange->req->entity.len};
    int error = check_media_type(exchange, kind, &parsed->detail);
    if (error != 0)
        return error;
    if (body.size > self->conf->body_max)
        return detail_set(&parsed->detail, ERR_BODY_TOO_LARGE,
                          "The body has %zu bytes: send at most %zu.", body.size,
                          self->conf->body_max);
    return user_input_parse(&parsed->input, kind, body, &parsed->detail);
}

static int fill_health(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    msg_health_t *message = &parsed->message.health;
    message->reply_to = self->conf->index;
    message->request_id = text_of(exchange->request_id);
    return 0;
}

static int fill_create(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    const user_input_t *input = &parsed->input;
    int error = read_input(self, exchange, INPUT_CREATE, parsed);
    if (error != 0)
        return error;
    msg_user_create_t *message = &parsed->message.user_create;
    SET_CONTEXT(message, self, exchange);
    message->email = input->email;
    message->email_key = input->email_key;
    message->first_name = input->first_name;
    message->last_name = input->last_name;
    message->is_valid = input->is_valid != 0; /* not given: valid */
    return 0;
}

static int fill_list(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    int error = list_query_parse(&parsed->list, parsed->match.query, &parsed->detail);
    if (error != 0)
        return error;
    msg_user_list_t *message = &parsed->message.user_list;
    message->reply_to = self->conf->index;
    message->request_id = text_of(exchange->request_id);
    message->after = (text_t){(const char *)parsed->list.cursor, parsed->list.cursor_size};
    message->limit = exchange->limit = parsed->list.limit;
    return 0;
}

static int fill_read(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    int error = user_key_parse(&parsed->key, parsed->match.key, &parsed->detail);
    if (error != 0)
        return error;
    SET_CONTEXT(&parsed->message.user_read, self, exchange);
    SET_KEY(&parsed->message.user_read, &parsed->key);
    return 0;
}

static int fill_update(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    const user_input_t *input = &parsed->input;
    int error = user_key_parse(&parsed->key, parsed->match.key, &parsed->detail);
    if (error == 0)
        error = read_input(self, exchange, INPUT_PATCH, parsed);
    if (error != 0)
        return error;
    msg_user_update_t *message = &parsed->message.user_update;
    SET_CONTEXT(message, self, exchange);
    SET_KEY(message, &parsed->key);
    message->new_email = input->email;
    message->new_email_key = input->email_key;
    message->new_first_name = input->first_name;
    message->new_last_name = input->last_name;
    message->new_is_valid = input->is_valid;
    return 0;
}

static int fill_delete(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    int error = user_key_parse(&parsed->key, parsed->match.key, &parsed->detail);
    if (error != 0)
        return error;
    SET_CONTEXT(&parsed->message.user_delete, self, exchange);
    SET_KEY(&parsed->message.user_delete, &parsed->key);
    return 0;
}

/* --- the operator's ---------------------------------------------------------------------------- */

enum { LANES_LISTED_MAX = 1000 };

static int check_operator(const exchange_t *exchange, parsed_t *parsed)
{
    const h2o_iovec_t *host = &exchange->req->input.authority;
    return operator_request_check((text_t){host->base, host->len},
                                  exchange_header(exchange, "origin"), &parsed->detail);
}

static int fill_status(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    msg_status_t *message = &parsed->message.status;
    message->reply_to = self->conf->index;
    message->request_id = text_of(exchange->request_id);
    return check_operator(exchange, parsed);
}

static int fill_lanes(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    msg_lane_list_t *message = &parsed->message.lane_list;
    message->reply_to = self->conf->index;
    message->request_id = text_of(exchange->request_id);
    message->limit = LANES_LISTED_MAX;
    return check_operator(exchange, parsed);
}

static int read_choice(exchange_t *exchange, parsed_t *parsed, bool all_allowed)
{
    text_t body = {exchange->req->entity.base, exchange->req->entity.len};
    int error = check_operator(exchange, parsed);
    if (error != 0)
        return error;
    if (!content_type_is(exchange_header(exchange, "content-type"), "application/json"))
        return detail_set(&parsed->detail, ERR_MEDIA_TYPE,
                          "Send it as JSON, with Content-Type: application/json.");
    return lane_choice_parse(&parsed->lanes, body, all_allowed, &parsed->detail);
}

static text_t chosen_user(const parsed_t *parsed)
{
    return (text_t){(const char *)parsed->lanes.user_id, parsed->lanes.user_id_size};
}

static int fill_release(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    msg_lane_release_t *message = &parsed->message.lane_release;
    int error = read_choice(exchange, parsed, true);
    message->reply_to = self->conf->index;
    message->request_id = text_of(exchange->request_id);
    message->user_id = chosen_user(parsed);
    return error;
}

static int fill_discard(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed)
{
    msg_lane_discard_t *message = &parsed->message.lane_discard;
    int error = read_choice(exchange, parsed, false);
    message->reply_to = self->conf->index;
    message->request_id = text_of(exchange->request_id);
    message->user_id = chosen_user(parsed);
    return error;
}

/* --- from the store's reply to an answer ------------------------------------------------------ */

static void answer_health(dispatcher_t *self, exchange_t *exchange, const msg_user_reply_t *reply)
{
    (void)self;
    exchange_reply(exchange, reply->uncounted != 0 ? TEXT("{\"status\":\"read-only\"}")
                                                   : TEXT("{\"status\":\"ok\"}"));
}

/* As RFC 9110 section 8.8.3 writes it: the version in quotes. */
static void add_etag(exchange_t *exchange, int64_t version)
{
    char digits[INT_TEXT_MAX], etag[INT_TEXT_MAX + 2];
    const text_t number = int_text(digits, version);
    etag[0] = etag[1 + number.size] = '"';
    memcpy(etag + 1, number.data, number.size);
    exchange_add_header(exchange, "etag", (text_t){etag, number.size + 2});
}

static void add_location(exchange_t *exchange, const char *prefix, const uint8_t id[ID_BYTES])
{
    static const char users[] = "/users/";
    enum { USERS_SIZE = sizeof(users) - 1 };
    char location[PREFIX_MAX_BYTES + USERS_SIZE + UUID_TEXT_SIZE];
    size_t size = strlen(prefix);
    must(size <= PREFIX_MAX_BYTES);
    memcpy(location, prefix, size);
    memcpy(location + size, users, USERS_SIZE);
    uuid_text(location + size + USERS_SIZE, id);
    exchange_add_header(exchange, "location",
                        (text_t){location, size + USERS_SIZE + UUID_TEXT_SIZE - 1});
}

static void answer_user(dispatcher_t *self, exchange_t *exchange, const msg_user_reply_t *reply)
{
    add_etag(exchange, reply->version);
    if (reply->uncounted != 0)
        exchange_add_header(exchange, "view-counted", TEXT("no"));
    if (exchange->route->route == ROUTE_CREATE && reply->id.size == ID_BYTES)
        add_location(exchange, self->conf->prefix, (const uint8_t *)reply->id.data);
    exchange_reply(exchange, reply->body);
}

static void answer_page(dispatcher_t *self, exchange_t *exchange, const msg_user_reply_t *reply)
{
    char link[PREFIX_MAX_BYTES + 128], cursor[UUID_TEXT_SIZE];
    if (reply->next.size == ID_BYTES) {
        uuid_text(cursor, (const uint8_t *)reply->next.data);
        int size = snprintf(link, sizeof(link), "<%s/users?limit=%d&cursor=%s>; rel=\"next\"",
                            self->conf->prefix, exchange->limit, cursor);
        must(size < (int)sizeof(link));
        exchange_add_header(exchange, "link", (text_t){link, (size_t)size});
    }
    exchange_reply(exchange, reply->body);
}

static void answer_operator(dispatcher_t *self, exchange_t *exchange, const msg_user_reply_t *reply)
{
    (void)self;
    exchange_reply(exchange, reply->body);
}

/* --- routes ----------------------------------------------------------------------------------- */

static const struct {
    int (*fill)(dispatcher_t *self, exchange_t *exchange, parsed_t *parsed);
    void (*answer)(dispatcher_t *self, exchange_t *exchange, const msg_user_reply_t *reply);
    int timeout_ms;
} steps[ROUTE_COUNT] = {
    [ROUTE_READYZ] = {fill_health, answer_health, HEALTH_TIMEOUT_MS},
    [ROUTE_CREATE] = {fill_create, answer_user, STORE_TIMEOUT_MS},
    [ROUTE_LIST] = {fill_list, answer_page, STORE_TIMEOUT_MS},
    [ROUTE_READ] = {fill_read, answer_user, STORE_TIMEOUT_MS},
    [ROUTE_UPDATE] = {fill_update, answer_user, STORE_TIMEOUT_MS},
    [ROUTE_DELETE] = {fill_delete, answer_user, STORE_TIMEOUT_MS},
    [ROUTE_STATUS] = {fill_status, answer_operator, STORE_TIMEOUT_MS},
    [ROUTE_LANES] = {fill_lanes, answer_operator, STORE_TIMEOUT_MS},
    [ROUTE_LANES_RELEASE] = {fill_release, answer_operator, STORE_TIMEOUT_MS},
    [ROUTE_LANES_DISCARD] = {fill_discard, answer_operator, STORE_TIMEOUT_MS},
};

/* Takes a slot and puts the message into this turn's frame. */
static int admit(dispatcher_t *self, exchange_t *exchange, const message_t *message)
{
    int timeout_ms = steps[exchange->route->route].timeout_ms;
    if (self->stopping)
        return ERR_STOPPING;
    exchange->corr = open_requests_take(&self->open, exchange, clock_mono_ms() + timeout_ms);
    if (exchange->corr == 0)
        return ERR_OVERLOADED;
    /* Every member of the union starts where the union starts. */
    frame_add(&self->requests, exchange->route->message, exchange->corr, &message->user_create);
    exchange_defer(exchange);
    return 0;
}

static void refuse(exchange_t *exchange, int error, const parsed_t *parsed)
{
    if (error == ERR_METHOD)
        exchange_add_header(exchange, "allow", text_of(parsed->match.allow));
    exchange_refuse(
        exchange, (problem_t){.error = error,
                              .detail = parsed->detail.text[0] != '\0' ? parsed->detail.text : NULL,
                              .invalid = parsed->input.invalid,
                              .invalid_count = parsed->input.invalid_count});
}

void dispatch_request(dispatcher_t *self, listener_kind_t listener, exchange_t *exchange)
{
    const h2o_req_t *req = exchange->req;
    parsed_t parsed;
    parsed.detail.text[0] = '\0';
    parsed.input.document = NULL;
    parsed.input.invalid_count = 0;
    parsed.lanes.user_id_size = 0;
    memset(&parsed.message, 0, sizeof(parsed.message));
    int error = route_match(&parsed.match, listener, self->conf->prefix,
                            (text_t){req->input.method.base, req->input.method.len},
                            (text_t){req->input.path.base, req->input.path.len});
    exchange->route = parsed.match.info;
    if (error == 0 && !exchange->route->asks_store) {
        exchange_reply(exchange, TEXT("{\"status\":\"ok\"}"));
        return;
    }
    if (error == 0)
        error = steps[exchange->route->route].fill(self, exchange, &parsed);
    FAILPOINT("http.parsed");
    if (error == 0)
        error = admit(self, exchange, &parsed.message);
    if (error != 0)
        refuse(exchange, error, &parsed);
    user_input_fini(&parsed.input);
}

bool dispatch_reply(dispatcher_t *self, uint64_t corr, const msg_user_reply_t *reply)
{
    exchange_t *exchange = NULL;
    if (!open_requests_settle(&self->open, corr, &exchange))
        return false;
    if (exchange == NULL)
        return true; /* its client has left or was told to try again */
    exchange->corr = 0;
    if (reply->error == 0) {
        steps[exchange->route->route].answer(self, exchange, reply);
        FAILPOINT("http.replied");
        return true;
    }
    int error = (int)reply->error;
    if (error_info(error)->http_status == 0)
        error = ERR_STORE_UNAVAILABLE; /* what happened inside is no client's business */
    exchange_refuse(exchange, (problem_t){.error = error});
    return true;
}

void dispatch_timeouts(dispatcher_t *self, int64_t now_ms)
{
    uint32_t cursor = 0;
    exchange_t *exchange;
    while ((exchange = open_requests_expire(&self->open, now_ms, &cursor)) != NULL) {
        exchange->corr = 0;
        problem_t problem = {.error = ERR_STORE_UNAVAILABLE,
                             .detail = "The database did not answer in time. Whether the request "
                                       "took effect is unknown: read the user before sending it "
                                       "again."};
        if (exchange->route->route == ROUTE_READYZ)
            problem.detail = "The database did not answer in time.";
        exchange_refuse(exchange, problem);
    }
}
