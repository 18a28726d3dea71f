/* SPDX-License-Identifier: Apache-2.0
 * commands.h - what runs each command, for the table.
 */
#ifndef USERBUS_MANAGER_COMMANDS_H
#define USERBUS_MANAGER_COMMANDS_H

#include "manager/command.h"

int runserver_command(const command_context_t *context);
int list_queues_command(const command_context_t *context);
int start_command(const command_context_t *context);
int dead_letters_list_command(const command_context_t *context);
int dead_letters_show_command(const command_context_t *context);
int dead_letters_replay_command(const command_context_t *context);
int dead_letters_discard_command(const command_context_t *context);
int status_command(const command_context_t *context);
int lanes_list_command(const command_context_t *context);
int lanes_release_command(const command_context_t *context);
int lanes_discard_command(const command_context_t *context);
int replay_command(const command_context_t *context);
int verify_command(const command_context_t *context);
int backup_command(const command_context_t *context);
int check_command(const command_context_t *context);

/* `check --database`, part of check_command. */
int check_database_contents(const command_context_t *context);

int report_command(const command_context_t *context);

#endif
