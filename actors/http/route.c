/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/route.h"

#include <string.h>

#include "proto/errors.h"

static const route_info_t routes[ROUTE_COUNT] = {
    {ROUTE_LIVEZ, "livez", "GET", "/livez", FOR_BOTH, false, MSG_count},
    {ROUTE_READYZ, "readyz", "GET", "/readyz", FOR_BOTH, true, MSG_health},
    {ROUTE_CREATE, "user_create", "POST", "/users", FOR_CLIENTS, true, MSG_user_create},
    {ROUTE_LIST, "user_list", "GET", "/users", FOR_CLIENTS, true, MSG_user_list},
    {ROUTE_READ, "user_read", "GET", "/users/{key}", FOR_CLIENTS, true, MSG_user_read},
    {ROUTE_UPDATE, "user_update", "PATCH", "/users/{key}", FOR_CLIENTS, true, MSG_user_update},
    {ROUTE_DELETE, "user_delete", "DELETE", "/users/{key}", FOR_CLIENTS, true, MSG_user_delete},
    {ROUTE_STATUS, "status", "GET", "/status", FOR_OPERATOR, true, MSG_status},
    {ROUTE_LANES, "lanes", "GET", "/lanes", FOR_OPERATOR, true, MSG_lane_list},
    {ROUTE_LANES_RELEASE, "lanes_release", "POST", "/lanes/release", FOR_OPERATOR, true,
     MSG_lane_release},
    {ROUTE_LANES_DISCARD, "lanes_discard", "POST", "/lanes/discard", FOR_OPERATOR, true,
     MSG_lane_discard},
};

static bool starts_with(text_t text, const char *start, size_t size)
{
    return text.size >= size && memcmp(text.data, start, size) == 0;
}

static bool path_fits(const char *pattern, text_t path, text_t *key)
{
    const char *brace = strchr(pattern, '{');
    *key = (text_t){NULL, 0};
    if (brace == NULL)
        return text_equal(path, text_of(pattern));
    size_t fixed = (size_t)(brace - pattern);
    if (!starts_with(path, pattern, fixed) || path.size == fixed)
        return false;
    *key = (text_t){path.data + fixed, path.size - fixed};
    return memchr(key->data, '/', key->size) == NULL;
}

static void split_query(text_t target, text_t *path, text_t *query)
{
    const char *mark = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
    *path = target;
    *query = (text_t){NULL, 0};
    if (mark == NULL)
        return;
    path->size = (size_t)(mark - target.data);
    *query = (text_t){mark + 1, target.size - path->size - 1};
}

static void allow_too(char allow[ALLOW_SIZE], const char *method)
{
    size_t size = strlen(allow);
    if (size > 0)
        strncat(allow, ", ", ALLOW_SIZE - size - 1);
    strncat(allow, method, ALLOW_SIZE - strlen(allow) - 1);
}

/* The path as the route's pattern sees it: without the prefix, if the route has one. */
static bool strip_prefix(const route_info_t *info, const char *prefix, text_t *path)
{
    size_t size = strlen(prefix);
    if (info->audience != FOR_CLIENTS)
        return true;
    if (!starts_with(*path, prefix, size))
        return false;
    *path = (text_t){path->data + size, path->size - size};
    return true;
}

int route_match(route_match_t *out, listener_kind_t listener, const char *prefix, text_t method,
                text_t target)
{
    text_t whole_path;
    *out = (route_match_t){0};
    split_query(target, &whole_path, &out->query);
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const route_info_t *info = &routes[i];
        text_t path = whole_path, key;
        if (info->audience == (listener == LISTENER_ADMIN ? FOR_CLIENTS : FOR_OPERATOR))
            continue;
        if (!strip_prefix(info, prefix, &path) || !path_fits(info->pattern, path, &key))
            continue;
        if (text_equal(method, text_of(info->method))) {
            out->info = info;
            out->key = key;
            out->allow[0] = '\0';
            return 0;
        }
        allow_too(out->allow, info->method);
    }
    return out->allow[0] != '\0' ? ERR_METHOD : ERR_NO_ROUTE;
}
