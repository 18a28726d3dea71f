/* SPDX-License-Identifier: Apache-2.0
 * report_command.c - what the worker made of the events: totals, then the users that were active last.
 */
#include <jansson.h>
#include <stdio.h>

#include "actors/consumer/inbox_database.h"
#include "manager/commands.h"
#include "manager/output.h"
#include "proto/errors.h"

enum { USERS_SHOWN = 20, TIME_WIDTH = 27 };

static const struct {
    int tally;
    const char *name;
} tallies[] = {
    {EVENT_USER_CREATE, "user.create"}, {EVENT_USER_READ, "user.read"},
    {EVENT_USER_UPDATE, "user.update"}, {EVENT_USER_DELETE, "user.delete"},
    {TALLY_DUPLICATE, "duplicates"},    {TALLY_UNHANDLED, "unhandled"},
};

/* Of what did not go straight. */
static const struct {
    int tally;
    const char *name, *words;
} troubles[] = {
    {TALLY_DEAD, "dead", "dead letters"},
    {TALLY_REPLAYED, "replayed", "replayed"},
    {TALLY_FAILED_RUNS, "failed_runs", "failed runs"},
    {TALLY_TIMEOUTS, "timeouts", "timeouts"},
    {TALLY_GAPS, "gaps", "sequence gaps"},
    {TALLY_GAPS_HEALED, "gaps_healed", "healed"},
    {TALLY_WAITING_FULL, "waiting_full", "waiting full"},
    {TALLY_CUT_SHORT, "cut_short", "forgotten early"},
};

enum {
    TALLY_ROWS = sizeof(tallies) / sizeof(tallies[0]),
    TROUBLE_ROWS = sizeof(troubles) / sizeof(troubles[0]),
};

/* --- as JSON ---------------------------------------------------------------------------------- */

static void add_user_json(void *context, const projected_user_t *user)
{
    json_t *row = json_pack("{s:o, s:I, s:I, s:o, s:b, s:o}", "email", text_json(user->email),
                            "views", (json_int_t)user->views, "updates", (json_int_t)user->updates,
                            "last_update", text_json(user->last_update), "disabled",
                            !user->is_valid, "disabled_at", text_json(user->disabled_at));
    must(row != NULL && json_array_append_new(context, row) == 0);
}

static void add_troubles_json(json_t *report, const inbox_totals_t *totals)
{
    char since[TIME_TEXT_SIZE];
    time_text(since, totals->waiting_since_us);
    must(json_object_set_new(report, "waiting", json_integer(totals->waiting)) == 0);
    must(json_object_set_new(report, "waiting_users", json_integer(totals->waiting_users)) == 0);
    must(json_object_set_new(report, "waiting_since",
                             totals->waiting > 0 ? json_string(since) : json_null()) == 0);
    for (size_t i = 0; i < TROUBLE_ROWS; i++)
        must(json_object_set_new(report, troubles[i].name,
                                 json_integer(totals->tallies[troubles[i].tally])) == 0);
}

static int print_json(inbox_database_t *database, const inbox_totals_t *totals)
{
    json_t *users = json_array();
    json_t *report = json_pack(
        "{s:I, s:I, s:I, s:I, s:I}", "users_known", (json_int_t)totals->users, "registered",
        (json_int_t)totals->registered, "disabled", (json_int_t)totals->disabled, "views",
        (json_int_t)totals->views, "updates", (json_int_t)totals->updates);
    must(users != NULL && report != NULL);
    for (size_t i = 0; i < TALLY_ROWS; i++)
        must(json_object_set_new(report, tallies[i].name,
                                 json_integer(totals->tallies[tallies[i].tally])) == 0);
    add_troubles_json(report, totals);
    int error = inbox_walk_users(database, USERS_SHOWN, add_user_json, users);
    must(json_object_set_new(report, "users", users) == 0);
    if (error == 0)
        print_json_line(report);
    else
        json_decref(report);
    return error;
}

/* --- as a table ------------------------------------------------------------------------------- */

static void print_time(text_t text, bool is_so)
{
    text_t shown = text.size > 0 ? text : is_so ? TEXT("at some time") : TEXT("-");
    print_column(shown, TIME_WIDTH);
}

static void print_user(void *context, const projected_user_t *user)
{
    (void)context;
    printf("%9lld  %9lld  ", (long long)user->views, (long long)user->updates);
    print_time(user->last_update, user->updates > 0);
    print_time(user->disabled_at, !user->is_valid);
    print_safely(user->email);
    putchar('\n');
}

static void print_troubles(const inbox_totals_t *totals)
{
    char since[TIME_TEXT_SIZE];
    time_text(since, totals->waiting_since_us);
    printf("waiting     %lld events of %lld users%s%s\n", (long long)totals->waiting,
           (long long)totals->waiting_users, totals->waiting > 0 ? " since " : "",
           totals->waiting > 0 ? since : "");
    printf("trouble    ");
    for (size_t i = 0; i < TROUBLE_ROWS; i++)
        printf(" %s %lld%s", troubles[i].words, (long long)totals->tallies[troubles[i].tally],
               i + 1 < TROUBLE_ROWS ? "," : "\n");
}

static int print_table(inbox_database_t *database, const inbox_totals_t *totals)
{
    printf("users       %lld registered, %lld disabled, %lld known in all\n",
           (long long)totals->registered, (long long)totals->disabled, (long long)totals->users);
    printf("counted     %lld views, %lld updates\n", (long long)totals->views,
           (long long)totals->updates);
    printf("messages   ");
    for (size_t i = 0; i < TALLY_ROWS; i++)
        printf(" %s %lld%s", tallies[i].name, (long long)totals->tallies[tallies[i].tally],
               i + 1 < TALLY_ROWS ? "," : "\n");
    print_troubles(totals);
    if (totals->users == 0)
        return 0;
    printf("\n%9s  %9s  %-*s  %-*s  %s\n", "VIEWS", "UPDATES", TIME_WIDTH, "LAST UPDATE",
           TIME_WIDTH, "DISABLED", "EMAIL");
    int error = inbox_walk_users(database, USERS_SHOWN, print_user, NULL);
    if (totals->users > USERS_SHOWN)
        printf("and %lld more, whose last events are older\n",
               (long long)totals->users - USERS_SHOWN);
    return error;
}

int report_command(const command_context_t *context)
{
    inbox_database_t *database = NULL;
    inbox_totals_t totals;
    detail_t detail = {{0}};
    int error =
        inbox_database_open_readonly(&database, context->settings->consumer_database_url, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    error = inbox_totals_read(database, &totals);
    if (error == 0)
        error = option_given(context, "--json") ? print_json(database, &totals)
                                                : print_table(database, &totals);
    inbox_database_close(&database);
    if (error == 0)
        return 0;
    detail_set(&detail, error, "the worker's database could not be read to its end; try again");
    return command_fail(error, &detail);
}
