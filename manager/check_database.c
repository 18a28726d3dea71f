/* SPDX-License-Identifier: Apache-2.0
 * check_database.c - `check --database`: reads both databases whole, also while the service runs, and
 * prints what is wrong.
 */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "manager/commands.h"
#include "manager/database_audits.h"
#include "proto/errors.h"
#include "storage/sqlite_file.h"

static void add_finding(void *context, const char *finding)
{
    json_t *text = json_string(finding);
    if (text == NULL)
        text = json_string("damage that is no text");
    must(json_array_append_new(context, text) == 0);
}

/* Fills a row of the report. An error, ERR_DATABASE_OPEN also for findings. */
static int check_one(const sqlite_audit_t *audit, const char *url, bool may_be_missing,
                     json_t *report)
{
    json_t *list = json_array();
    detail_t detail = {{0}};
    const char *path;
    int findings = 0, error = 0;
    must(list != NULL);
    if (may_be_missing && sqlite_url_path(url, &path) && access(path, F_OK) != 0)
        detail_set(&detail, 0, "does not exist: no worker has run here");
    else
        error = sqlite_audit(audit, url, add_finding, list, &findings, &detail);
    if (error == 0 && findings > 0)
        error = detail_set(&detail, ERR_DATABASE_OPEN,
                           "%d findings: stop the service and restore a backup, or mend it with a "
                           "copy at hand",
                           findings);
    else if (error == 0 && detail.text[0] == '\0')
        detail_set(&detail, 0, "whole and consistent");
    json_t *row = json_pack("{s:s, s:b, s:s, s:o}", "check", audit->schema->what, "ok", error == 0,
                            "detail", detail.text, "findings", list);
    must(row != NULL && json_array_append_new(report, row) == 0);
    return error;
}

static void print_text(const json_t *report)
{
    size_t i, k;
    json_t *row, *finding;
    json_array_foreach(report, i, row)
    {
        printf("%-5s %s: %s\n", json_is_true(json_object_get(row, "ok")) ? "ok" : "WRONG",
               json_string_value(json_object_get(row, "check")),
               json_string_value(json_object_get(row, "detail")));
        json_array_foreach(json_object_get(row, "findings"), k, finding)
            printf("      %s\n", json_string_value(finding));
    }
}

int check_database_contents(const command_context_t *context)
{
    json_t *report = json_array();
    must(report != NULL);
    int first = check_one(&users_audit, context->settings->database_url, false, report);
    int second = check_one(&worker_audit, context->settings->consumer_database_url, true, report);
    int error = first != 0 ? first : second;
    if (option_given(context, "--json")) {
        json_t *all = json_pack("{s:b, s:O}", "ok", error == 0, "checks", report);
        must(all != NULL && json_dumpf(all, stdout, 0) == 0);
        putchar('\n');
        json_decref(all);
    } else {
        print_text(report);
    }
    json_decref(report);
    return error == 0 ? 0 : error_info(error)->exit_code;
}
