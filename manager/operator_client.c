/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/operator_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"
#include "proto/text_buffer.h"

enum { ANSWER_MAX_BYTES = 4 << 20, URL_SIZE = 512 };

static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
    text_buffer_t *answer = context;
    if (answer->size + size * count > ANSWER_MAX_BYTES)
        return 0;
    text_add(answer, (text_t){data, size * count});
    return size * count;
}

/* Who listens everywhere is asked on the loopback. */
static int make_url(char url[URL_SIZE], const settings_t *settings, const char *path,
                    detail_t *detail)
{
    static const struct {
        const char *listened, *asked;
    } everywhere[] = {{"0.0.0.0:", "127.0.0.1:"}, {"[::]:", "[::1]:"}};
    const char *address = settings->admin_listen, *host = "";
    const char *port = strrchr(address, ':');
    if (port == NULL || strcmp(port, ":0") == 0)
        return detail_set(
            detail, ERR_SERVICE_DOWN,
            "ADMIN_LISTEN is '%.64s', so the service cannot be asked: give it the address "
            "that the service logs as `admin`",
            address);
    for (size_t i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]); i++)
        if (strncmp(address, everywhere[i].listened, strlen(everywhere[i].listened)) == 0) {
            host = everywhere[i].asked;
            address += strlen(everywhere[i].listened);
        }
    snprintf(url, URL_SIZE, "http://%s%s%s", host, address, path);
    return 0;
}

/* *status: of the answer. */
static int perform(text_buffer_t *answer, long *status, const char *url, const char *body,
                   detail_t *detail)
{
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    must(curl != NULL);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    must(headers != NULL);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* it is ours, whatever the environment says */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)OPERATOR_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK)
        return 0;
    return detail_set(detail, ERR_SERVICE_DOWN, "nobody answers at %.200s: %s", url,
                      why[0] != '\0' ? why : curl_easy_strerror(code));
}

/* A problem's own words, or the bare status. */
static int refused(const json_t *problem, long status, detail_t *detail)
{
    const char *title = json_string_value(json_object_get(problem, "title"));
    const char *more = json_string_value(json_object_get(problem, "detail"));
    return detail_set(detail, ERR_SERVICE_REFUSED, "%ld %.160s%s%.200s", status,
                      title != NULL ? title : "", more != NULL ? ": " : "",
                      more != NULL ? more : "");
}

int operator_ask(json_t **out, const settings_t *settings, const char *path, json_t *body,
                 detail_t *detail)
{
    char url[URL_SIZE];
    text_buffer_t answer = {0};
    long status = 0;
    char *text = body != NULL ? json_dumps(body, 0) : NULL;
    json_decref(body);
    *out = NULL;
    int error = make_url(url, settings, path, detail);
    if (error == 0)
        error = perform(&answer, &status, url, text, detail);
    if (error == 0) {
        *out = json_loadb(answer.size > 0 ? answer.data : "", answer.size, 0, NULL);
        if (status != 200)
            error = refused(*out, status, detail);
        else if (!json_is_object(*out))
            error =
                detail_set(detail, ERR_SERVICE_DOWN, "what answers at %.200s is no userbus", url);
    }
    if (error != 0) {
        json_decref(*out);
        *out = NULL;
    }
    free(text);
    text_buffer_fini(&answer);
    return error;
}
