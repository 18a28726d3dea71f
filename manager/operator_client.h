/* SPDX-License-Identifier: Apache-2.0
 * operator_client.h - asks the running service at its operator's listener (ADMIN_LISTEN), by libcurl.
 */
#ifndef USERBUS_MANAGER_OPERATOR_CLIENT_H
#define USERBUS_MANAGER_OPERATOR_CLIENT_H

#include <jansson.h>

#include "pipeline/settings.h"

enum { OPERATOR_TIMEOUT_MS = 10000 };

/* GET when body is NULL (which is taken over), else POST. On 0 *out is the answer, for json_decref.
 * ERR_SERVICE_DOWN: nobody answers there; ERR_SERVICE_REFUSED: it answers no, and *detail is what it
 * says. */
int operator_ask(json_t **out, const settings_t *settings, const char *path, json_t *body,
                 detail_t *detail) __attribute__((warn_unused_result));

#endif
