/* SPDX-License-Identifier: Apache-2.0
 * broker_urls.h - RABBIT_MQ_URL: one URL, or several with commas between them, of brokers that stand in
 * for each other. A comma inside of credentials or a virtual host is written %2C. Pure.
 */
#ifndef USERBUS_PIPELINE_BROKER_URLS_H
#define USERBUS_PIPELINE_BROKER_URLS_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/actor.h" /* detail_t */

enum { BROKERS_MAX = 16 };

typedef struct broker_urls {
    size_t count; /* 1..BROKERS_MAX */
    const char *texts[BROKERS_MAX];
    char *memory; /* which the texts point into */
} broker_urls_t;

/* Cuts the list; blanks around a URL do not count. False: one is missing or there are too many, and
 * *detail says what to do. broker_urls_fini in both cases. It does not look into the URLs. */
bool broker_urls_split(broker_urls_t *out, const char *list, detail_t *detail);

void broker_urls_fini(broker_urls_t *urls);

/* What a URL says. Texts are decoded and point into `memory`. */
typedef struct broker_place {
    const char *host, *vhost, *user, *password;
    int port; /* 1..65535 */
    bool tls;
    char *memory;
} broker_place_t;

/* Reads one URL, amqp://user:password@host:port/vhost; a path of "/" alone means the virtual host "/".
 * False: it cannot be read. broker_place_fini in both cases. */
bool broker_place_parse(broker_place_t *out, const char *url);

void broker_place_fini(broker_place_t *place);

/* True when every URL of the list can be read and used; else *detail says which one and what is wrong,
 * without a password. */
bool broker_url_check(const char *list, detail_t *detail);

#endif
