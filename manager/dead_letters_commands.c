/* SPDX-License-Identifier: Apache-2.0
 * dead_letters_commands.c - `broker dead_letters list`, `show`, `replay` and `discard`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/commands.h"
#include "manager/letter_box.h"
#include "manager/letter_groups.h"
#include "manager/option_values.h"
#include "manager/output.h"
#include "manager/worker.h"
#include "proto/errors.h"

enum { SHOW_DEFAULT = 10, EVENT_WIDTH = 12, FINGERPRINT_WIDTH = 20, RATE_MAX = 1000000 };

/* What all four begin with. */
typedef struct letters_request {
    letter_filter_t filter;
    bool is_filtered, json, dry_run;
    int64_t limit, rate;
    const char *queue;
} letters_request_t;

static text_t option_text(const command_context_t *context, const char *name)
{
    const char *value = option_value(context, name);
    return value != NULL ? text_of(value) : (text_t){NULL, 0};
}

static int read_request(letters_request_t *out, const command_context_t *context, detail_t *detail)
{
    static const char *const filters[] = {"--event",      "--user",       "--fingerprint",
                                          "--older-than", "--newer-than", "--id"};
    const char *queue = option_value(context, "--queue");
    *out = (letters_request_t){.filter = {.event = option_text(context, "--event"),
                                          .user = option_text(context, "--user"),
                                          .fingerprint = option_text(context, "--fingerprint"),
                                          .id = option_text(context, "--id"),
                                          .older_than_us = -1,
                                          .newer_than_us = -1},
                               .json = option_given(context, "--json"),
                               .limit = LETTERS_MAX,
                               .queue = queue != NULL ? queue : USER_QUEUE};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        out->is_filtered = out->is_filtered || option_given(context, filters[i]);
    if (out->filter.event.size > 0 && event_kind_parse(out->filter.event) < 0)
        return detail_set(detail, ERR_USAGE,
                          "--event: '%.32s' is none of user.create, user.read, "
                          "user.update, user.delete",
                          option_value(context, "--event"));
    int error = option_age(context, "--older-than", &out->filter.older_than_us, detail);
    if (error == 0)
        error = option_age(context, "--newer-than", &out->filter.newer_than_us, detail);
    if (error == 0)
        error = option_number(context, "--limit", 1, LETTERS_MAX, &out->limit, detail);
    return error;
}

/* Opens the box and keeps what is meant. letter_box_close in both cases. */
static int read_letters(letter_box_t *box, const letters_request_t *request,
                        const command_context_t *context, bool with_bodies, detail_t *detail)
{
    int error = letter_box_open(box, context->settings, request->queue, detail);
    return error != 0 ? error : letter_box_read(box, &request->filter, with_bodies, detail);
}

static size_t limited(const letters_request_t *request, size_t count)
{
    return count < (size_t)request->limit ? count : (size_t)request->limit;
}

/* The queue held more than was looked at. */
static void warn_of_the_rest(const letter_box_t *box)
{
    if (box->is_partial)
        fprintf(
            stderr,
            "userbus: %s held %u letters, of which %zu were looked at; the rest is more than one "
            "run takes, or in other hands\n",
            box->name, box->depth, box->seen);
}

/* --- list ------------------------------------------------------------------------------------- */

static void time_or_dash(char out[TIME_TEXT_SIZE], int64_t us)
{
    snprintf(out, TIME_TEXT_SIZE, "-");
    if (us >= 0)
        time_text(out, us);
}

static void print_group(const letter_group_t *group)
{
    char first[TIME_TEXT_SIZE], last[TIME_TEXT_SIZE];
    time_or_dash(first, group->first_us);
    time_or_dash(last, group->last_us);
    printf("%7zu  %-*s  %-*s  ", group->count, TIME_TEXT_SIZE - 1, first, TIME_TEXT_SIZE - 1, last);
    print_column(group->event.size > 0 ? group->event : TEXT("-"), EVENT_WIDTH);
    print_column(group->fingerprint.size > 0 ? group->fingerprint : TEXT("-"), FINGERPRINT_WIDTH);
    print_safely(group->error);
    fputs(group->error.size > 0 && group->reason.size > 0 ? ": " : "", stdout);
    print_safely(group->reason);
    putchar('\n');
}

static void print_groups(const letter_box_t *box, const letter_group_t *groups, size_t shown,
                         size_t count)
{
    printf("%s: %u letters, %zu meant, %zu causes\n", box->name, box->depth, box->count, count);
    if (shown > 0)
        printf("\n%7s  %-*s  %-*s  %-*s  %-*s  %s\n", "LETTERS", TIME_TEXT_SIZE - 1, "FIRST FAILED",
               TIME_TEXT_SIZE - 1, "LAST FAILED", EVENT_WIDTH, "EVENT", FINGERPRINT_WIDTH,
               "FINGERPRINT", "REASON");
    for (size_t i = 0; i < shown; i++)
        print_group(&groups[i]);
    if (shown < count)
        printf("and %zu causes more\n", count - shown);
}

static json_t *time_json(int64_t us)
{
    char text[TIME_TEXT_SIZE];
    if (us < 0)
        return json_null();
    time_text(text, us);
    return json_string(text);
}

static void print_groups_json(const letter_box_t *box, const letter_group_t *groups, size_t shown)
{
    json_t *list = json_array();
    must(list != NULL);
    for (size_t i = 0; i < shown; i++)
        must(json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o}",
                                                   "fingerprint", text_json(groups[i].fingerprint),
                                                   "error", text_json(groups[i].error), "event",
                                                   text_json(groups[i].event), "reason",
                                                   text_json(groups[i].reason), "count",
                                                   (json_int_t)groups[i].count, "first_failed_at",
                                                   time_json(groups[i].first_us), "last_failed_at",
                                                   time_json(groups[i].last_us))) == 0);
    print_json_line(json_pack("{s:s, s:I, s:I, s:I, s:o}", "queue", box->name, "letters",
                              (json_int_t)box->depth, "looked_at", (json_int_t)box->seen, "meant",
                              (json_int_t)box->count, "groups", list));
}

int dead_letters_list_command(const command_context_t *context)
{
    letters_request_t request;
    letter_box_t box = {0};
    detail_t detail = {{0}};
    int error = read_request(&request, context, &detail);
    if (error == 0)
        error = read_letters(&box, &request, context, false, &detail);
    if (error == 0) {
        size_t count = 0;
        letter_group_t *groups = letter_groups(box.letters, box.count, &count);
        size_t shown = limited(&request, count);
        if (request.json)
            print_groups_json(&box, groups, shown);
        else
            print_groups(&box, groups, shown, count);
        warn_of_the_rest(&box);
        free(groups);
    }
    letter_box_close(&box);
    return error == 0 ? 0 : command_fail(error, &detail);
}

/* --- show ------------------------------------------------------------------------------------- */

static void print_property(const char *name, text_t value)
{
    if (value.size == 0)
        return;
    printf("  %-24s ", name);
    print_safely(value);
    putchar('\n');
}

static void print_letter(const letter_t *letter)
{
    const broker_message_t *message = &letter->message;
    fputs("letter ", stdout);
    print_safely(message->message_id.size > 0 ? message->message_id : TEXT("without message_id"));
    putchar('\n');
    print_property("type", message->type);
    print_property("user", text_of(letter->user));
    print_property("email", text_of(letter->email));
    print_property("correlation_id", message->correlation_id);
    print_property("app_id", message->app_id);
    for (size_t i = 0; i < message->header_count; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)message->headers[i].key.size,
                 message->headers[i].key.data);
        for (char *at = name; *at != '\0'; at++)
            *at = *at < ' ' ? '?' : *at;
        print_property(name, message->headers[i].value);
    }
    print_property("body", message->body);
    putchar('\n');
}

static json_t *letter_json(const letter_t *letter)
{
    const broker_message_t *message = &letter->message;
    json_t *headers = json_object();
    must(headers != NULL);
    for (size_t i = 0; i < message->header_count; i++) {
        char name[256];
        snprintf(name, sizeof(name), "%.*s", (int)message->headers[i].key.size,
                 message->headers[i].key.data);
        (void)json_object_set_new(headers, name, text_json(message->headers[i].value));
    }
    json_t *letter_object = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "message_id", text_json(message->message_id),
        "type", text_json(message->type), "user", text_json(text_of(letter->user)), "email",
        text_json(text_of(letter->email)), "sequence", (json_int_t)letter->sequence,
        "correlation_id", text_json(message->correlation_id), "headers", headers, "body",
        text_json(message->body));
    must(letter_object != NULL);
    return letter_object;
}

int dead_letters_show_command(const command_context_t *context)
{
    letters_request_t request;
    letter_box_t box = {0};
    detail_t detail = {{0}};
    int error = read_request(&request, context, &detail);
    if (error == 0)
        error = read_letters(&box, &request, context, true, &detail);
    if (error == 0) {
        if (!option_given(context, "--limit"))
            request.limit = SHOW_DEFAULT;
        size_t shown = limited(&request, box.count);
        for (size_t i = 0; i < shown; i++) {
            if (request.json)
                print_json_line(letter_json(box.letters[i]));
            else
                print_letter(box.letters[i]);
        }
        if (!request.json)
            printf("%zu of %zu letters\n", shown, box.count);
        warn_of_the_rest(&box);
    }
    letter_box_close(&box);
    return error == 0 ? 0 : command_fail(error, &detail);
}

/* --- replay and discard ----------------------------------------------------------------------- */

static void print_outcome(const letter_box_t *box, const letters_request_t *request,
                          const char *verb, size_t meant, size_t done)
{
    if (request->json)
        print_json_line(json_pack("{s:s, s:I, s:I, s:I, s:b}", "queue", box->name, "letters",
                                  (json_int_t)box->depth, "meant", (json_int_t)meant, verb,
                                  (json_int_t)done, "dry_run", request->dry_run));
    else if (request->dry_run)
        printf("%zu letters would be %s; nothing was changed\n", meant, verb);
    else
        printf("%zu of %zu letters %s\n", done, meant, verb);
}

static size_t replayed(const letter_box_t *box, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++)
        done += box->letters[i]->state == LETTER_REPLAYED;
    return done;
}

/* What is left is not done: 0 when nothing is. */
static int rest_of(const letter_box_t *box, size_t meant, size_t done, bool limited_by_user,
                   detail_t *detail)
{
    if (done < meant)
        return detail_set(detail, ERR_UNFINISHED,
                          "%zu letters were not taken by the queue they belong to, or stand behind "
                          "such a one of the same user; they are still in %s",
                          meant - done, box->name);
    if (box->is_partial && !limited_by_user)
        return detail_set(detail, ERR_UNFINISHED, "%s holds more letters: run it again", box->name);
    return 0;
}

int dead_letters_replay_command(const command_context_t *context)
{
    letters_request_t request;
    letter_box_t box = {0};
    detail_t detail = {{0}};
    size_t count = 0;
    int error = read_request(&request, context, &detail);
    if (error == 0)
        error = option_number(context, "--rate", 1, RATE_MAX, &request.rate, &detail);
    request.dry_run = option_given(context, "--dry-run");
    if (error == 0)
        error = read_letters(&box, &request, context, !request.dry_run, &detail);
    if (error == 0) {
        count = limited(&request, box.count);
        if (!request.dry_run)
            error = letter_box_replay(&box, count, request.rate, &detail);
        size_t done = replayed(&box, count);
        print_outcome(&box, &request, "replayed", count, done);
        if (error == 0 && !request.dry_run)
            error = rest_of(&box, count, done, count < box.count, &detail);
    }
    letter_box_close(&box);
    return error == 0 ? 0 : command_fail(error, &detail);
}

int dead_letters_discard_command(const command_context_t *context)
{
    letters_request_t request;
    letter_box_t box = {0};
    detail_t detail = {{0}};
    int error = read_request(&request, context, &detail);
    request.dry_run = option_given(context, "--dry-run");
    if (error == 0 && !request.is_filtered && !option_given(context, "--all"))
        error = detail_set(&detail, ERR_USAGE,
                           "broker dead_letters discard needs a filter, or --all to delete every "
                           "letter");
    if (error == 0)
        error = read_letters(&box, &request, context, false, &detail);
    if (error == 0) {
        size_t count = limited(&request, box.count);
        if (!request.dry_run)
            error = letter_box_discard(&box, count, &detail);
        print_outcome(&box, &request, "discarded", count,
                      error == 0 && !request.dry_run ? count : 0);
        if (error == 0 && !request.dry_run)
            error = rest_of(&box, count, count, count < box.count, &detail);
    }
    letter_box_close(&box);
    return error == 0 ? 0 : command_fail(error, &detail);
}
