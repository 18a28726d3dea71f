/* SPDX-License-Identifier: Apache-2.0
 * lanes_commands.c - `broker lanes list`, `release` and `discard`: the users whose events the broker does
 * not take, as the running service knows them.
 */
#include <stdio.h>
#include <string.h>

#include "manager/commands.h"
#include "manager/operator_client.h"
#include "manager/output.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

/* --- list ------------------------------------------------------------------------------------- */

static void print_member(const char *name, const json_t *value)
{
    if (json_is_null(value))
        return;
    printf("  %s=", name);
    if (json_is_string(value))
        print_safely((text_t){json_string_value(value), json_string_length(value)});
    else
        (void)json_dumpf(value, stdout, JSON_ENCODE_ANY);
}

static void print_lane(json_t *lane)
{
    const char *name;
    json_t *value;
    const json_t *user = json_object_get(lane, "user_id");
    print_safely((text_t){json_string_value(user), json_string_length(user)});
    json_object_foreach(lane, name, value) if (strcmp(name, "user_id") != 0)
        print_member(name, value);
    putchar('\n');
}

int lanes_list_command(const command_context_t *context)
{
    detail_t detail = {{0}};
    json_t *answer = NULL;
    int error = operator_ask(&answer, context->settings, "/lanes", NULL, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    if (option_given(context, "--json")) {
        print_json_line(answer);
        return 0;
    }
    const json_t *lanes = json_object_get(answer, "lanes");
    size_t count = json_array_size(lanes);
    printf("%zu of %lld lanes are parked here\n", count,
           (long long)json_integer_value(json_object_get(answer, "total")));
    for (size_t i = 0; i < count; i++)
        print_lane(json_array_get(lanes, i));
    json_decref(answer);
    return 0;
}

/* --- release and discard ---------------------------------------------------------------------- */

static int check_choice(const command_context_t *context, detail_t *detail)
{
    uint8_t id[UUID_BYTES];
    const char *user = option_value(context, "--user");
    if ((user != NULL) == option_given(context, "--all"))
        return detail_set(detail, ERR_USAGE, "%s needs either --user ID or --all",
                          context->command->words);
    if (user != NULL && !uuid_parse(id, text_of(user)))
        return detail_set(detail, ERR_USAGE, "--user: '%.64s' is no id of a user (a UUID)", user);
    return 0;
}

static int ask_for(const command_context_t *context, const char *path, json_t *body)
{
    detail_t detail = {{0}};
    json_t *answer = NULL;
    must(body != NULL);
    int error = operator_ask(&answer, context->settings, path, body, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    if (option_given(context, "--json")) {
        print_json_line(answer);
        return 0;
    }
    const char *name;
    json_t *value;
    json_object_foreach(answer, name, value)
    {
        printf("%s: ", name);
        (void)json_dumpf(value, stdout, JSON_ENCODE_ANY);
        putchar('\n');
    }
    json_decref(answer);
    return 0;
}

int lanes_release_command(const command_context_t *context)
{
    detail_t detail = {{0}};
    const char *user = option_value(context, "--user");
    int error = check_choice(context, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    return ask_for(context, "/lanes/release",
                   user != NULL ? json_pack("{s:s}", "user_id", user)
                                : json_pack("{s:b}", "all", 1));
}

/* The service discards one lane at a time, so that nothing is deleted that was not listed. */
static int discard_all(const command_context_t *context)
{
    detail_t detail = {{0}};
    json_t *answer = NULL;
    int error = operator_ask(&answer, context->settings, "/lanes", NULL, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    const json_t *lanes = json_object_get(answer, "lanes");
    int code = 0;
    for (size_t i = 0; i < json_array_size(lanes) && code == 0; i++) {
        const json_t *lane = json_array_get(lanes, i);
        const char *state = json_string_value(json_object_get(lane, "state"));
        if (state != NULL && strcmp(state, "quarantined") == 0)
            code = ask_for(context, "/lanes/discard",
                           json_pack("{s:O}", "user_id", json_object_get(lane, "user_id")));
    }
    json_decref(answer);
    return code;
}

int lanes_discard_command(const command_context_t *context)
{
    detail_t detail = {{0}};
    int error = check_choice(context, &detail);
    if (error != 0)
        return command_fail(error, &detail);
    if (option_given(context, "--all"))
        return discard_all(context);
    return ask_for(context, "/lanes/discard",
                   json_pack("{s:s}", "user_id", option_value(context, "--user")));
}
