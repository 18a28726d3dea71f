/* SPDX-License-Identifier: Apache-2.0
 * backup_command.c - `backup FILE`: a consistent copy of the users' database, also while the service
 * runs.
 */
#include <stdio.h>
#include <unistd.h>

#include "manager/commands.h"
#include "manager/database_audits.h"
#include "proto/errors.h"
#include "storage/sqlite_backup.h"

static void show_progress(int done, int all)
{
    if (all > 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%3d%% of %d pages%s", (int)((int64_t)done * 100 / all), all,
                done == all ? "\n" : "");
}

int backup_command(const command_context_t *context)
{
    const char *to = context->argv[0];
    sqlite3 *connection = NULL;
    detail_t detail = {{0}};
    int error = sqlite_open_to_look(&connection, context->settings->database_url,
                                    users_audit.schema, &detail);
    if (error == 0)
        error = sqlite_backup(connection, to, show_progress, &detail);
    sqlite3_close(connection);
    if (error != 0)
        return command_fail(error, &detail);
    printf("%s is a copy of the users' database as it was when this command began\n", to);
    return 0;
}
