/* SPDX-License-Identifier: Apache-2.0
 * usage.h - what --help prints, made from the tables of commands and settings.
 */
#ifndef USERBUS_MANAGER_USAGE_H
#define USERBUS_MANAGER_USAGE_H

#include <stdio.h>

#include "manager/command.h"

/* The help of one command and its options, or with NULL the list of all. Settings follow in both. */
void usage_print(FILE *to, const command_t *command);

#endif
