/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/broker_urls.h"

#include <amqp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"

static char *trim(char *text)
{
    text += strspn(text, " \t\n");
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\n", text[size - 1]) != NULL)
        size--;
    text[size] = '\0';
    return text;
}

bool broker_urls_split(broker_urls_t *out, const char *list, detail_t *detail)
{
    *out = (broker_urls_t){.memory = strdup(list)};
    must(out->memory != NULL);
    char *rest = out->memory, *next;
    while ((next = strsep(&rest, ",")) != NULL) {
        if (out->count == BROKERS_MAX) {
            detail_set(detail, 0, "RABBIT_MQ_URL names more than %d brokers", BROKERS_MAX);
            return false;
        }
        next = trim(next);
        out->texts[out->count++] = next;
        if (*next == '\0' && (out->count > 1 || rest != NULL)) {
            detail_set(
                detail, 0,
                "RABBIT_MQ_URL has nothing in place %zu of its list: write the URLs with one "
                "comma between them, and a comma inside of a password as %%2C",
                out->count);
            return false;
        }
    }
    return true;
}

void broker_urls_fini(broker_urls_t *urls)
{
    free(urls->memory);
    *urls = (broker_urls_t){0};
}

bool broker_place_parse(broker_place_t *out, const char *url)
{
    struct amqp_connection_info info;
    *out = (broker_place_t){.memory = strdup(url)};
    must(out->memory != NULL);
    /* the library fills in a host and refuses ports beyond 65535, but not "[]" and not port 0 */
    if (amqp_parse_url(out->memory, &info) != AMQP_STATUS_OK || info.host[0] == '\0' ||
        info.port == 0)
        return false;
    out->host = info.host;
    out->port = info.port;
    /* a trailing slash, which people write and mean no other one by */
    out->vhost = info.vhost[0] == '\0' ? "/" : info.vhost;
    out->user = info.user;
    out->password = info.password;
    out->tls = info.ssl;
    return true;
}

void broker_place_fini(broker_place_t *place)
{
    free(place->memory);
    *place = (broker_place_t){0};
}

static bool check_one(const char *url, const char *which, detail_t *detail)
{
    broker_place_t place;
    bool good = broker_place_parse(&place, url);
    if (!good)
        detail_set(detail, 0,
                   "RABBIT_MQ_URL%s cannot be read: write it like "
                   "amqp://user:password@host:5672/vhost, with other characters percent-encoded",
                   which);
    else if (place.tls)
        detail_set(
            detail, 0,
            "RABBIT_MQ_URL%s asks for TLS (amqps), which is not supported yet: use amqp on a "
            "trusted network",
            which);
    good = good && !place.tls;
    broker_place_fini(&place);
    return good;
}

bool broker_url_check(const char *list, detail_t *detail)
{
    broker_urls_t urls;
    bool good = broker_urls_split(&urls, list, detail);
    for (size_t i = 0; good && i < urls.count; i++) {
        char which[64] = "";
        if (urls.count > 1)
            snprintf(which, sizeof(which), ", broker %zu of %zu,", i + 1, urls.count);
        good = check_one(urls.texts[i], which, detail);
    }
    broker_urls_fini(&urls);
    return good;
}
