/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/exec_protocol.h"

#include <string.h>

static const char *const result_names[] = {
    [EXEC_DONE] = "done", [EXEC_RETRY] = "retry", [EXEC_DEAD] = "dead"};

bool exec_id_is_sayable(text_t message_id)
{
    if (message_id.size == 0 || message_id.size > EXEC_ID_MAX_BYTES ||
        memchr(message_id.data, '\0', message_id.size) != NULL)
        return false;
    json_t *said = json_stringn(message_id.data, message_id.size); /* NULL: no UTF-8 */
    json_decref(said);
    return said != NULL;
}

static text_t traceparent_of(const broker_message_t *message)
{
    for (size_t i = 0; i < message->header_count; i++)
        if (text_equal(message->headers[i].key, TEXT("traceparent")) &&
            exec_id_is_sayable(message->headers[i].value))
            return message->headers[i].value;
    return TEXT("");
}

/* In valid JSON the end of a line can only stand between tokens (RFC 8259 section 7), where a space means the
 * same. */
static void add_on_one_line(text_buffer_t *out, text_t json)
{
    char *to = text_reserve(out, json.size);
    for (size_t i = 0; i < json.size; i++)
        to[i] = json.data[i] == '\n' || json.data[i] == '\r' ? ' ' : json.data[i];
    out->size += json.size;
}

void exec_request_line(text_buffer_t *out, const exec_request_t *request)
{
    text_add(out, TEXT("{\"message_id\": "));
    text_add_json_string(out, request->message_id);
    text_add(out, TEXT(", \"type\": "));
    text_add_json_string(out, text_of(request->type));
    text_add(out, TEXT(", \"queue\": "));
    text_add_json_string(out, text_of(request->queue));
    text_add(out, TEXT(", \"sequence\": "));
    text_add_int(out, request->sequence);
    text_add(out, TEXT(", \"attempt\": "));
    text_add_int(out, request->attempt);
    text_add(out, TEXT(", \"traceparent\": "));
    text_add_json_string(out, traceparent_of(request->message));
    text_add(out, TEXT(", \"event\": "));
    add_on_one_line(out, request->message->body);
    text_add(out, TEXT("}\n"));
}

static text_t member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (text_t){json_string_value(value), json_string_length(value)};
}

static bool take_result(exec_answer_t *out, detail_t *why)
{
    text_t name = member(out->document, "result");
    for (int i = 0; i <= EXEC_DEAD; i++) {
        out->result = (exec_result_t)i;
        if (text_equal(name, text_of(result_names[i])))
            return true;
    }
    detail_set(why, 0, "`result` is none of done, retry, dead");
    return false;
}

bool exec_answer_parse(exec_answer_t *out, text_t line, detail_t *why)
{
    json_error_t error;
    *out = (exec_answer_t){0};
    out->document =
        json_loadb(line.size > 0 ? line.data : "", line.size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(out->document)) {
        detail_set(why, 0, "the line is no JSON object");
        return false;
    }
    out->message_id = member(out->document, "message_id");
    out->error = member(out->document, "error");
    return take_result(out, why);
}

void exec_answer_fini(exec_answer_t *answer)
{
    json_decref(answer->document);
    answer->document = NULL;
}
