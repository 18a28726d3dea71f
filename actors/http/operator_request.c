/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/operator_request.h"

#include <jansson.h>
#include <string.h>

#include "proto/errors.h"

/* An address as it stands in a URL, or the one name that every host keeps for itself. */
static bool is_address(text_t host)
{
    static const text_t local = {"localhost", 9};
    if (host.size >= local.size && memcmp(host.data, local.data, local.size) == 0 &&
        (host.size == local.size || host.data[local.size] == ':'))
        return true;
    const char *allowed = "0123456789.:";
    if (host.size > 0 && host.data[0] == '[')
        allowed = "0123456789abcdefABCDEF.:[]";
    for (size_t i = 0; i < host.size; i++)
        if (host.data[i] == '\0' || strchr(allowed, host.data[i]) == NULL)
            return false;
    return host.size > 0;
}

int operator_request_check(text_t host, text_t origin, detail_t *detail)
{
    if (origin.data != NULL)
        return detail_set(detail, ERR_FOREIGN,
                          "A request with an Origin comes from a web page, and none may ask here.");
    if (!is_address(host))
        return detail_set(detail, ERR_FOREIGN,
                          "Ask by the address of the operator's listener, not by a name.");
    return 0;
}

int lane_choice_parse(lane_choice_t *out, text_t body, bool all_allowed, detail_t *detail)
{
    json_t *document =
        body.size > 0 ? json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *user = json_object_get(document, "user_id");
    text_t id = {json_string_value(user), json_string_length(user)};
    bool all = all_allowed && json_is_true(json_object_get(document, "all"));
    bool one = id.data != NULL && uuid_parse(out->user_id, id);
    bool good = json_object_size(document) == 1 && all != one;
    out->user_id_size = one ? UUID_BYTES : 0;
    json_decref(document);
    if (good)
        return 0;
    return detail_set(detail, ERR_BAD_JSON, "Send {\"user_id\": \"the user's UUID\"}%s.",
                      all_allowed ? " or {\"all\": true}" : "");
}
