/* SPDX-License-Identifier: Apache-2.0
 * raw_publish.c - what a broker takes when nothing stands before it: persistent, confirmed messages of an event's size on
 * a durable quorum queue, 64 per write, at most 1,000 unconfirmed.
 *
 *   bench_raw_publish PORT COUNT
 *
 * A broker on 127.0.0.1 with its default user; the queue is made and deleted.
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <string.h>
#include <unistd.h>

#include "bench/limits/limit.h"

enum {
    BATCH = 64,
    WINDOW = 1000,
    BODY_BYTES = 300,
    HEADERS = 9,
    BUFFER_BYTES = 131072,
    CHANNEL = 1
};

static const char queue_name[] = "bench.raw_publish";

typedef struct publisher {
    amqp_connection_state_t connection;
    uint8_t batch[BUFFER_BYTES]; /* BATCH publishes, encoded once */
    size_t size;
    long confirmed;
} publisher_t;

static void check(publisher_t *self)
{
    need(amqp_get_rpc_reply(self->connection).reply_type == AMQP_RESPONSE_NORMAL);
}

static void add_frame(publisher_t *self, uint8_t type, const uint8_t *payload, size_t size)
{
    uint8_t *at = self->batch + self->size;
    need(self->size + size + 8 <= sizeof(self->batch));
    at[0] = type;
    at[1] = 0;
    at[2] = CHANNEL;
    for (int i = 0; i < 4; i++)
        at[3 + i] = (uint8_t)(size >> (24 - 8 * i));
    memcpy(at + 7, payload, size);
    at[7 + size] = 0xce; /* AMQP 0-9-1 section 4.2.3: the frame's end */
    self->size += size + 8;
}

static void put_method(uint8_t *out, amqp_method_number_t id)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(id >> (24 - 8 * i));
}

static void fill_properties(amqp_basic_properties_t *out, amqp_table_entry_t *headers)
{
    static const char *const names[HEADERS] = {"cloudEvents_id",
                                               "cloudEvents_source",
                                               "cloudEvents_type",
                                               "cloudEvents_subject",
                                               "cloudEvents_time",
                                               "cloudEvents_sequence",
                                               "traceparent",
                                               "cloudEvents_datacontenttype",
                                               "cloudEvents_specversion"};
    for (int i = 0; i < HEADERS; i++) {
        headers[i].key = amqp_cstring_bytes(names[i]);
        headers[i].value.kind = AMQP_FIELD_KIND_UTF8;
        headers[i].value.value.bytes = amqp_cstring_bytes("018f2b3c-1111-7222-8333-444455556666");
    }
    *out = (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG,
        .delivery_mode = 2,
        .headers = {.num_entries = HEADERS, .entries = headers},
        .message_id = amqp_cstring_bytes("018f2b3c-1111-7222-8333-444455556666"),
        .type = amqp_cstring_bytes("user.create")};
}

static void encode_batch(publisher_t *self)
{
    uint8_t method[256], header[2048], body[BODY_BYTES];
    amqp_table_entry_t headers[HEADERS];
    amqp_basic_properties_t properties;
    amqp_basic_publish_t publish = {.routing_key = amqp_cstring_bytes(queue_name), .mandatory = 1};
    fill_properties(&properties, headers);
    memset(body, 'x', sizeof(body));
    put_method(method, AMQP_BASIC_PUBLISH_METHOD);
    int method_size = amqp_encode_method(AMQP_BASIC_PUBLISH_METHOD, &publish,
                                         (amqp_bytes_t){sizeof(method) - 4, method + 4});
    memset(header, 0, 12); /* class, weight, body size: section 2.3.5.2 */
    header[1] = AMQP_BASIC_CLASS;
    header[10] = BODY_BYTES >> 8;
    header[11] = BODY_BYTES & 255;
    int header_size = amqp_encode_properties(AMQP_BASIC_CLASS, &properties,
                                             (amqp_bytes_t){sizeof(header) - 12, header + 12});
    need(method_size > 0 && header_size > 0);
    for (int i = 0; i < BATCH; i++) {
        add_frame(self, AMQP_FRAME_METHOD, method, (size_t)method_size + 4);
        add_frame(self, AMQP_FRAME_HEADER, header, (size_t)header_size + 12);
        add_frame(self, AMQP_FRAME_BODY, body, sizeof(body));
    }
}

static void open_queue(publisher_t *self, int port)
{
    self->connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(self->connection);
    need(socket != NULL && amqp_socket_open(socket, "127.0.0.1", port) == AMQP_STATUS_OK);
    need(amqp_login(self->connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest")
             .reply_type == AMQP_RESPONSE_NORMAL);
    amqp_channel_open(self->connection, CHANNEL);
    check(self);
    amqp_table_entry_t type = {.key = amqp_cstring_bytes("x-queue-type")};
    type.value.kind = AMQP_FIELD_KIND_UTF8;
    type.value.value.bytes = amqp_cstring_bytes("quorum");
    amqp_queue_declare(self->connection, CHANNEL, amqp_cstring_bytes(queue_name), 0, 1, 0, 0,
                       (amqp_table_t){.num_entries = 1, .entries = &type});
    check(self);
    amqp_confirm_select(self->connection, CHANNEL);
    check(self);
}

static void write_batch(publisher_t *self)
{
    int fd = amqp_get_sockfd(self->connection);
    for (size_t done = 0; done < self->size;) {
        ssize_t sent = write(fd, self->batch + done, self->size - done);
        need(sent > 0); /* a window of 1,000 fits the socket's buffer */
        done += (size_t)sent;
    }
}

/* Waits for the next confirm. */
static void take_confirm(publisher_t *self)
{
    amqp_frame_t frame;
    need(amqp_simple_wait_frame(self->connection, &frame) == AMQP_STATUS_OK);
    need(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD);
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    if (ack->multiple)
        self->confirmed = (long)ack->delivery_tag;
    else
        self->confirmed++;
    amqp_maybe_release_buffers_on_channel(self->connection, CHANNEL);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    static publisher_t self;
    long count = count_argument(argv[2]) / BATCH * BATCH;
    open_queue(&self, (int)count_argument(argv[1]));
    encode_batch(&self);
    double began = wall_us(), cpu = cpu_us();
    for (long sent = 0; self.confirmed < count;) {
        if (sent < count && sent + BATCH - self.confirmed <= WINDOW) {
            write_batch(&self);
            sent += BATCH;
        } else {
            take_confirm(&self);
        }
    }
    tell("publish_us", (wall_us() - began) / (double)count);
    tell("publish_cpu_us", (cpu_us() - cpu) / (double)count);
    amqp_queue_delete(self.connection, CHANNEL, amqp_cstring_bytes(queue_name), 0, 0);
    check(&self);
    amqp_connection_close(self.connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(self.connection);
    return 0;
}
