/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/store_status.h"

#include <string.h>

static void keep_text(char *to, text_t *text)
{
    if (text->size > 0)
        memcpy(to, text->data, text->size);
    to[text->size] = '\0';
    text->data = to;
}

void store_status_hear(store_status_t *self, const msg_bridge_state_t *said, int64_t now_ms)
{
    if (said->bridge >= OUTBOX_BRIDGES_MAX)
        return;
    self->bridges[said->bridge].heard = true;
    self->bridges[said->bridge].heard_ms = now_ms;
    self->bridges[said->bridge].said = *said;
    keep_text(self->bridges[said->bridge].state, &self->bridges[said->bridge].said.state);
    keep_text(self->bridges[said->bridge].broker, &self->bridges[said->bridge].said.broker);
    keep_text(self->bridges[said->bridge].trouble, &self->bridges[said->bridge].said.trouble);
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* A comma goes before every member but the first of its object. */
static void add_name(text_buffer_t *out, const char *name)
{
    if (out->data[out->size - 1] != '{')
        text_add(out, TEXT(", "));
    text_add_json_string(out, text_of(name));
    text_add(out, TEXT(": "));
}

static void add_int(text_buffer_t *out, const char *name, int64_t value)
{
    add_name(out, name);
    text_add_int(out, value);
}

static void add_bool(text_buffer_t *out, const char *name, bool value)
{
    add_name(out, name);
    text_add(out, value ? TEXT("true") : TEXT("false"));
}

static void add_text(text_buffer_t *out, const char *name, text_t value)
{
    add_name(out, name);
    text_add_json_string(out, value);
}

static void add_outbox(text_buffer_t *out, const store_view_t *view)
{
    const outbox_load_t load = outbox_load(view->outbox);
    add_name(out, "outbox");
    text_add(out, TEXT("{"));
    add_int(out, "events", load.events);
    add_int(out, "bytes", load.bytes);
    add_int(out, "max_events", view->outbox->max.events);
    add_int(out, "max_bytes", view->outbox->max.bytes);
    add_bool(out, "full", view->outbox->full);
    if (view->oldest_us >= 0) {
        int64_t age_us = view->now_us - view->oldest_us;
        add_int(out, "oldest_age_s", age_us > 0 ? age_us / 1000000 : 0);
    } else {
        add_name(out, "oldest_age_s");
        text_add(out, TEXT("null"));
    }
    add_int(out, "head", view->outbox->head);
    add_int(out, "low", outbox_low(view->outbox));
    add_int(out, "retention_s", view->retention_s);
    text_add(out, TEXT("}"));
}

static void add_bridge(const store_status_t *self, text_buffer_t *out, unsigned index,
                       const store_view_t *view)
{
    const msg_bridge_state_t *said = &self->bridges[index].said;
    text_add(out, index == 0 ? TEXT("{") : TEXT(", {"));
    add_int(out, "bridge", index);
    add_text(out, "state", self->bridges[index].heard ? said->state : TEXT("unknown"));
    add_text(out, "broker", said->broker);
    add_text(out, "trouble", said->trouble);
    add_bool(out, "blocked", said->blocked != 0);
    add_int(out, "waiting", view->outbox->bridges[index].unconfirmed.events);
    add_int(out, "held", said->held);
    add_int(out, "in_flight", said->in_flight);
    add_int(out, "lanes_parked", said->lanes_parked);
    add_int(out, "published", said->published);
    add_int(out, "confirmed", said->confirmed);
    add_int(out, "returned", said->returned);
    add_int(out, "nacked", said->nacked);
    if (self->bridges[index].heard)
        add_int(out, "heard_ms_ago", view->now_ms - self->bridges[index].heard_ms);
    text_add(out, TEXT("}"));
}

static void add_lanes(text_buffer_t *out, const lanes_summary_t *lanes)
{
    add_name(out, "lanes");
    text_add(out, TEXT("{"));
    add_int(out, "retrying", lanes->retrying);
    add_int(out, "quarantined", lanes->quarantined);
    add_int(out, "events", lanes->events);
    add_int(out, "bytes", lanes->bytes);
    text_add(out, TEXT("}"));
}

void store_status_json(const store_status_t *self, text_buffer_t *out, const store_view_t *view)
{
    text_add(out, TEXT("{"));
    add_outbox(out, view);
    add_name(out, "bridges");
    text_add(out, TEXT("["));
    for (unsigned i = 0; i < view->outbox->bridge_count; i++)
        add_bridge(self, out, i, view);
    text_add(out, TEXT("]"));
    add_lanes(out, &view->lanes);
    text_add(out, TEXT("}"));
}
