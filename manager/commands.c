/* SPDX-License-Identifier: Apache-2.0
 * commands.c - the table of the commands and their options.
 */
#include "manager/commands.h"

#include <string.h>

#include "proto/errors.h"

#define JSON_OPTION                                                                                \
    {                                                                                              \
        "--json", NULL, "print JSON instead of a text for people"                                  \
    }

static const option_t runserver_options[] = {
    {"--with-worker", NULL, "run the worker of the queue in the same process"}, {0}};

static const option_t json_options[] = {JSON_OPTION, {0}};

static const option_t replay_options[] = {
    {"--from", "TIME", "first time, RFC 3339, or like 2026-11-24T10:00 in UTC; needed"},
    {"--to", "TIME", "the time before which it ends; needed"},
    {"--user", "ID|EMAIL", "only the events of one user"},
    {"--rate", "N", "events a second at most"},
    {"--dry-run", NULL, "only count what would be replayed"},
    JSON_OPTION,
    {0}};

static const option_t verify_options[] = {
    {"--wait", "SECONDS", "for events that are on their way; 10 unless told"},
    {"--from", "TIME", "only events made then or later; RFC 3339, or like 2026-11-24T10:00 in UTC"},
    {"--to", "TIME", "only events made before"},
    JSON_OPTION,
    {0}};

static const option_t status_options[] = {
    JSON_OPTION, {"--watch", NULL, "again every second, until it is interrupted"}, {0}};

static const option_t lane_options[] = {{"--user", "ID", "the lane of this user"},
                                        {"--all", NULL, "every lane in quarantine"},
                                        JSON_OPTION,
                                        {0}};

static const option_t no_options[] = {{0}};

static const option_t check_options[] = {
    JSON_OPTION,
    {"--database", NULL, "read both databases whole instead, also while the service runs"},
    {0}};

/* Of `broker dead_letters`. */
/* clang-format off */
#define LETTER_OPTIONS                                                                             \
    {"--event", "TYPE", "only those of an event type, such as user.update"},                       \
    {"--user", "ID|EMAIL", "only those of one user"},                                              \
    {"--fingerprint", "F", "only those of one cause, as `list` shows it"},                         \
    {"--older-than", "AGE", "only those that first failed longer ago, such as 90s, 15m, 2h, 7d"},  \
    {"--newer-than", "AGE", "only those that first failed less long ago"},                         \
    {"--id", "MESSAGE_ID", "only this one"},                                                       \
    {"--queue", "QUEUE", "dead letters of this queue instead of `user`"},                          \
    JSON_OPTION
/* clang-format on */

static const option_t letters_list_options[] = {
    LETTER_OPTIONS, {"--limit", "N", "causes at most"}, {0}};

static const option_t letters_show_options[] = {
    LETTER_OPTIONS, {"--limit", "N", "letters at most; 10 unless told"}, {0}};

static const option_t letters_replay_options[] = {
    LETTER_OPTIONS,
    {"--limit", "N", "letters at most; of each user the oldest first"},
    {"--rate", "N", "letters a second at most"},
    {"--dry-run", NULL, "only count what would be replayed"},
    {0}};

static const option_t letters_discard_options[] = {
    LETTER_OPTIONS,
    {"--all", NULL, "every letter; needed when there is no filter"},
    {"--limit", "N", "letters at most"},
    {"--dry-run", NULL, "only count what would be discarded"},
    {0}};

const command_t commands[] = {
    {"runserver", "", 0, runserver_options, "serve the REST API and publish every event",
     runserver_command},
    {"broker list_queues", "", 0, json_options, "print the queues of the handler table",
     list_queues_command},
    {"broker start", "<queue>", 1, json_options, "consume a queue and run its processors",
     start_command},
    {"broker status", "", 0, status_options,
     "print how outbox, bridges, parked lanes and queues are", status_command},
    {"broker lanes list", "", 0, json_options,
     "print the users whose events the broker does not take", lanes_list_command},
    {"broker lanes release", "", 0, lane_options,
     "let parked lanes try again at once, their failures forgotten", lanes_release_command},
    {"broker lanes discard", "", 0, lane_options,
     "delete the events of parked lanes: they are never sent", lanes_discard_command},
    {"broker replay", "", 0, replay_options,
     "publish events of the log again, with the same ids, in order per user", replay_command},
    {"verify", "", 0, verify_options,
     "count what is stored, confirmed and processed, and print the ids of events that are missing",
     verify_command},
    {"broker dead_letters list", "", 0, letters_list_options,
     "print the dead letters by cause; none is taken away", dead_letters_list_command},
    {"broker dead_letters show", "", 0, letters_show_options,
     "print dead letters whole; none is taken away", dead_letters_show_command},
    {"broker dead_letters replay", "", 0, letters_replay_options,
     "send dead letters to their queue again, with the same ids, in order per user; each is "
     "deleted "
     "once that is confirmed",
     dead_letters_replay_command},
    {"broker dead_letters discard", "", 0, letters_discard_options, "delete dead letters",
     dead_letters_discard_command},
    {"report", "", 0, json_options, "print what the worker made of the events", report_command},
    {"backup", "<file>", 1, no_options,
     "copy the users' database to a new file, also while the service runs", backup_command},
    {"check", "", 0, check_options,
     "tell what is wrong with settings, database, broker or topology, and what to do",
     check_command},
};

const size_t command_count = sizeof(commands) / sizeof(commands[0]);

int option_index(const command_t *command, const char *name, size_t size)
{
    for (int i = 0; command->options[i].name != NULL; i++)
        if (strlen(command->options[i].name) == size &&
            strncmp(command->options[i].name, name, size) == 0)
            return i;
    return -1;
}

const char *option_value(const command_context_t *context, const char *name)
{
    int index = option_index(context->command, name, strlen(name));
    must(index >= 0 && index < OPTIONS_MAX);
    return context->values[index];
}

bool option_given(const command_context_t *context, const char *name)
{
    return option_value(context, name) != NULL;
}
