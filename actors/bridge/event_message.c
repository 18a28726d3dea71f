/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/event_message.h"

static void add_header(event_message_t *out, text_t key, text_t value)
{
    if (value.size > 0)
        out->headers[out->message.header_count++] = (broker_header_t){key, value};
}

/* The consumer drops what it has seen by message_id and finds gaps by the sequence, so that one always goes along. */
static void add_cloud_event(event_message_t *out, const outgoing_event_t *event,
                            const bridge_conf_t *conf, const char *source)
{
    const text_t sequence = int_text(out->sequence, event->sequence);
    if (!conf->full_headers) {
        add_header(out, TEXT("cloudEvents_sequence"), sequence);
        return;
    }
    const text_t subject = {out->subject, UUID_TEXT_SIZE - 1};
    uuid_text(out->subject, event->user_id);
    time_text(out->time, event->created_us);
    add_header(out, TEXT("cloudEvents_id"), out->message.message_id);
    add_header(out, TEXT("cloudEvents_source"), text_of(source));
    add_header(out, TEXT("cloudEvents_type"), out->message.type);
    add_header(out, TEXT("cloudEvents_subject"), subject);
    add_header(out, TEXT("cloudEvents_time"), (text_t){out->time, TIME_TEXT_SIZE - 1});
    add_header(out, TEXT("cloudEvents_sequence"), sequence);
    add_header(out, TEXT("cloudEvents_partitionkey"), subject);
    add_header(out, TEXT("cloudEvents_specversion"), TEXT("1.0"));
}

void event_message_make(event_message_t *out, const outgoing_event_t *event,
                        const bridge_conf_t *conf, const char *source)
{
    uuid_text(out->id, event->id);
    out->message = (broker_message_t){.exchange = text_of(conf->topology.exchange),
                                      .routing_key = text_of(conf->topology.queue),
                                      .content_type = TEXT("application/json"),
                                      .app_id = text_of(conf->application_id),
                                      .message_id = {out->id, UUID_TEXT_SIZE - 1},
                                      .type = text_of(event_kind_name(event->kind)),
                                      .correlation_id = event->request_id,
                                      .timestamp = (uint64_t)(event->created_us / 1000000),
                                      .delivery_mode = 2,
                                      .headers = out->headers,
                                      .body = event->body};
    add_cloud_event(out, event, conf, source);
    add_header(out, TEXT("traceparent"), event->traceparent);
    add_header(out, TEXT("tracestate"), event->tracestate);
}
