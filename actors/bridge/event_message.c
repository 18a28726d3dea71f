/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/bridge/event_message.h"

#include <inttypes.h>
#include <stdio.h>

static void add_header(event_message_t *out, text_t key, text_t value)
{
    if (value.size > 0)
        out->headers[out->message.header_count++] = (broker_header_t){key, value};
}

static void add_cloud_event(event_message_t *out, const outgoing_event_t *event, const char *source)
{
    uuid_text(out->subject, event->user_id);
    time_text(out->time, event->created_us);
    snprintf(out->sequence, sizeof(out->sequence), "%" PRId64, event->sequence);
    add_header(out, TEXT("cloudEvents_id"), text_of(out->id));
    add_header(out, TEXT("cloudEvents_source"), text_of(source));
    add_header(out, TEXT("cloudEvents_type"), text_of(event_kind_name(event->kind)));
    add_header(out, TEXT("cloudEvents_subject"), text_of(out->subject));
    add_header(out, TEXT("cloudEvents_time"), text_of(out->time));
    add_header(out, TEXT("cloudEvents_sequence"), text_of(out->sequence));
    add_header(out, TEXT("cloudEvents_partitionkey"), text_of(out->subject));
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
                                      .message_id = text_of(out->id),
                                      .type = text_of(event_kind_name(event->kind)),
                                      .correlation_id = event->request_id,
                                      .timestamp = (uint64_t)(event->created_us / 1000000),
                                      .delivery_mode = 2,
                                      .headers = out->headers,
                                      .body = event->body};
    if (conf->full_headers)
        add_cloud_event(out, event, source);
    add_header(out, TEXT("traceparent"), event->traceparent);
    add_header(out, TEXT("tracestate"), event->tracestate);
}
