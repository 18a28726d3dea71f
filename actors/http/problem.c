/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/problem.h"

#include "proto/errors.h"

/* What a client can do about an error that brings no detail of its own. */
static const struct {
    int error;
    const char *detail;
} usual_details[] = {
    {ERR_USER_NOT_FOUND, "Check the email or the id in the path."},
    {ERR_NO_ROUTE, "Users are at /users and /users/{email or id}, behind the prefix of this API."},
    {ERR_METHOD, "Use a method that the Allow header lists."},
    {ERR_EMAIL_TAKEN, "Use another email, or change the user that has this one with PATCH."},
    {ERR_INVALID_USER, "Correct the members that `errors` lists, then send the request again."},
    {ERR_LANE_NOT_FOUND,
     "Check the id; GET /lanes on the operator's listener lists what is parked."},
    {ERR_LANE_BUSY, "Nothing was done. Send the request again after Retry-After seconds; while the "
                    "broker is away that may take long."},
    {ERR_LANE_FULL,
     "Nothing was done. The broker does not take this user's events, and there is no room "
     "for more of them. Send the request again after Retry-After seconds."},
    {ERR_OVERLOADED, "Nothing was done. Send the request again after Retry-After seconds."},
    {ERR_OUTBOX_FULL,
     "Nothing was done. Send the request again after Retry-After seconds; until the "
     "broker is reachable only requests without an event are served."},
    {ERR_STORE_UNAVAILABLE, "Nothing was saved. Send the request again after Retry-After seconds."},
    {ERR_STOPPING, "Nothing was done. Send the request again on a new connection after Retry-After "
                   "seconds."},
};

static const char *usual_detail(int error)
{
    for (size_t i = 0; i < sizeof(usual_details) / sizeof(usual_details[0]); i++)
        if (usual_details[i].error == error)
            return usual_details[i].detail;
    return "Correct the request, then send it again.";
}

/* "/name", with "~" and "/" of the name escaped (RFC 6901 section 3). */
static void add_pointer(text_buffer_t *out, text_t name)
{
    text_buffer_t pointer = {0};
    if (name.data != NULL) /* else it is the whole document */
        text_add(&pointer, TEXT("/"));
    for (size_t i = 0; name.data != NULL && i < name.size; i++) {
        if (name.data[i] == '~')
            text_add(&pointer, TEXT("~0"));
        else if (name.data[i] == '/')
            text_add(&pointer, TEXT("~1"));
        else
            text_add(&pointer, (text_t){name.data + i, 1});
    }
    text_add_json_string(out, text_buffer_view(&pointer));
    text_buffer_fini(&pointer);
}

static void add_invalid(text_buffer_t *out, const problem_t *problem)
{
    text_add(out, TEXT(",\"errors\":["));
    for (size_t i = 0; i < problem->invalid_count; i++) {
        if (i > 0)
            text_add(out, TEXT(","));
        text_add(out, TEXT("{\"pointer\":"));
        add_pointer(out, problem->invalid[i].name);
        text_add(out, TEXT(",\"detail\":"));
        text_add_json_string(out, text_of(problem->invalid[i].detail));
        text_add(out, TEXT("}"));
    }
    text_add(out, TEXT("]"));
}

void problem_json(text_buffer_t *out, const problem_t *problem)
{
    const error_info_t *info = error_info(problem->error);
    const char *detail = problem->detail != NULL ? problem->detail : usual_detail(problem->error);
    /* A URN, since a URL would need a domain that outlives every installation. */
    text_add(out, TEXT("{\"type\":\"urn:userbus:problem:"));
    text_add(out, text_of(info->slug));
    text_add(out, TEXT("\",\"title\":"));
    text_add_json_string(out, text_of(info->title));
    text_add(out, TEXT(",\"status\":"));
    text_add_int(out, info->http_status);
    text_add(out, TEXT(",\"detail\":"));
    text_add_json_string(out, text_of(detail));
    text_add(out, TEXT(",\"request_id\":"));
    text_add_json_string(out, text_of(problem->request_id));
    if (problem->invalid_count > 0)
        add_invalid(out, problem);
    text_add(out, TEXT("}"));
}
