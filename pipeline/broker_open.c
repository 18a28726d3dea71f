/* SPDX-License-Identifier: Apache-2.0
 * broker_open.c - from a URL to a connection that is logged in and has its channel.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/broker_private.h"
#include "pipeline/broker_socket.h"
#include "pipeline/clock.h"
#include "proto/errors.h"

enum { FRAME_MAX = 131072 };

/* What we understand beyond the library's own list; the broker tells only those who say so. */
static amqp_table_t client_properties(amqp_table_entry_t entries[2],
                                      amqp_table_entry_t capabilities[4], const char *name)
{
    static const char *const understood[4] = {"connection.blocked", "consumer_cancel_notify",
                                              "basic.nack", "publisher_confirms"};
    for (int i = 0; i < 4; i++) {
        capabilities[i].key = amqp_cstring_bytes(understood[i]);
        capabilities[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
        capabilities[i].value.value.boolean = 1;
    }
    entries[0].key = amqp_cstring_bytes("capabilities");
    entries[0].value.kind = AMQP_FIELD_KIND_TABLE;
    entries[0].value.value.table = (amqp_table_t){4, capabilities};
    entries[1].key = amqp_cstring_bytes("connection_name");
    entries[1].value.kind = AMQP_FIELD_KIND_UTF8;
    entries[1].value.value.bytes = amqp_cstring_bytes(name);
    return (amqp_table_t){2, entries};
}

static int login_outcome(broker_connection_t *self, const amqp_rpc_reply_t *reply,
                         const broker_place_t *place, detail_t *detail)
{
    if (reply->reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    self->healthy = false;
    if (reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return detail_set(detail, ERR_BROKER_DOWN,
                          "the broker at %s:%d did not finish the login: %s", place->host,
                          place->port, amqp_error_string2(reply->library_error));
    const amqp_connection_close_t *close = reply->reply.decoded;
    int error = close->reply_code == AMQP_ACCESS_REFUSED || close->reply_code == AMQP_NOT_ALLOWED
                    ? ERR_BROKER_REFUSED
                    : ERR_BROKER_DOWN;
    return detail_set(detail, error,
                      "the broker at %s:%d refuses user '%s' on virtual host '%s': %.*s; check "
                      "RABBIT_MQ_URL",
                      place->host, place->port, place->user, place->vhost,
                      (int)close->reply_text.len, (const char *)close->reply_text.bytes);
}

/* From here on the heartbeats are ours. */
static void take_over(broker_connection_t *self, int wanted_heartbeat_s)
{
    int heartbeat_s = amqp_get_heartbeat(self->library);
    self->frame_max = (size_t)amqp_get_frame_max(self->library);
    broker_pulse_init(&self->pulse, heartbeat_s > 0 ? heartbeat_s : wanted_heartbeat_s,
                      clock_mono_ms());
    must(amqp_tune_connection(self->library, amqp_get_channel_max(self->library),
                              (int)self->frame_max, 0) == AMQP_STATUS_OK);
    broker_socket_set_patience(amqp_get_sockfd(self->library), broker_pulse_limit_ms(&self->pulse));
}

static int log_in(broker_connection_t *self, const broker_place_t *place,
                  const broker_login_t *login, int64_t deadline_ms, detail_t *detail)
{
    const struct timeval left = broker_time_until(deadline_ms);
    int heartbeat_s = login->heartbeat_s > 0 ? login->heartbeat_s : BROKER_HEARTBEAT_S;
    amqp_table_entry_t entries[2] = {0}, capabilities[4] = {0};
    amqp_table_t properties = client_properties(entries, capabilities, login->name);
    must(amqp_set_handshake_timeout(self->library, &left) == AMQP_STATUS_OK);
    amqp_rpc_reply_t reply = amqp_login_with_properties(
        self->library, place->vhost, 0, FRAME_MAX, heartbeat_s, &properties, AMQP_SASL_METHOD_PLAIN,
        place->user, place->password);
    int error = login_outcome(self, &reply, place, detail);
    if (error != 0)
        return error;
    take_over(self, heartbeat_s);
    self->deadline_ms = deadline_ms;
    error = broker_begin_call(self, "opening a channel", detail);
    if (error != 0)
        return error;
    amqp_channel_open(self->library, BROKER_CHANNEL);
    error = broker_end_call(self, "opening a channel", detail);
    self->deadline_ms = 0;
    return error;
}

static int open_at(broker_connection_t **out, const struct addrinfo *address,
                   const broker_place_t *place, const broker_login_t *login, int64_t deadline_ms,
                   detail_t *detail)
{
    int fd = broker_socket_connect(address, deadline_ms);
    if (fd < 0)
        return detail_set(detail, ERR_BROKER_DOWN,
                          "the broker at %s:%d does not answer: %s; is it running, and is "
                          "RABBIT_MQ_URL right?",
                          place->host, place->port, strerror(errno));
    broker_connection_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->library = amqp_new_connection();
    must(self->library != NULL);
    amqp_socket_t *socket = amqp_tcp_socket_new(self->library);
    must(socket != NULL);
    amqp_tcp_socket_set_sockfd(socket, fd);
    self->healthy = true;
    snprintf(self->address, sizeof(self->address), "%s:%d", place->host, place->port);
    int error = log_in(self, place, login, deadline_ms, detail);
    if (error != 0)
        broker_close(&self);
    *out = self;
    return error;
}

/* An address that is silent may use only its share of the time that is left. */
static int open_at_any(broker_connection_t **out, const struct addrinfo *addresses,
                       const broker_place_t *place, const broker_login_t *login,
                       int64_t deadline_ms, detail_t *detail)
{
    int error = ERR_BROKER_DOWN, left = 0;
    for (const struct addrinfo *each = addresses; each != NULL; each = each->ai_next)
        left++;
    for (; addresses != NULL && error == ERR_BROKER_DOWN; addresses = addresses->ai_next, left--) {
        int64_t now_ms = clock_mono_ms();
        int64_t share_ms = (deadline_ms - now_ms) / left;
        error = share_ms > 0
                    ? open_at(out, addresses, place, login, now_ms + share_ms, detail)
                    : detail_set(detail, ERR_BROKER_DOWN,
                                 "the lookup of the broker's name '%s' took too long", place->host);
    }
    return error;
}

int broker_open_by(broker_connection_t **out, const broker_login_t *login, int64_t deadline_ms,
                   detail_t *detail)
{
    broker_place_t place;
    struct addrinfo *addresses = NULL;
    *out = NULL;
    int error = broker_place_parse(&place, login->url) && !place.tls ? 0 : ERR_BROKER_REFUSED;
    if (error != 0 && broker_url_check(login->url, detail))
        error = ERR_INTERNAL;
    if (error == 0)
        error = broker_socket_lookup(&addresses, place.host, place.port, detail);
    if (error == 0)
        error = open_at_any(out, addresses, &place, login, deadline_ms, detail);
    if (addresses != NULL)
        freeaddrinfo(addresses);
    broker_place_fini(&place);
    return error;
}

int broker_open(broker_connection_t **out, const char *urls, const char *name, detail_t *detail)
{
    broker_urls_t list;
    *out = NULL;
    int error = broker_urls_split(&list, urls, detail) ? ERR_BROKER_DOWN : ERR_BROKER_REFUSED;
    for (size_t i = 0; i < list.count && *out == NULL; i++) {
        const broker_login_t login = {.url = list.texts[i], .name = name};
        error = broker_open_by(out, &login, clock_mono_ms() + BROKER_OPEN_TIMEOUT_MS, detail);
    }
    broker_urls_fini(&list);
    return error;
}
