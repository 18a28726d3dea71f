/* SPDX-License-Identifier: Apache-2.0
 * option_values.h - the values of a command's options, checked. Each leaves *out alone when the option was
 * not given, and answers ERR_USAGE with a *detail that names it when its value cannot be read.
 */
#ifndef USERBUS_MANAGER_OPTION_VALUES_H
#define USERBUS_MANAGER_OPTION_VALUES_H

#include "manager/command.h"

/* A whole number of lo..hi. */
int option_number(const command_context_t *context, const char *name, int64_t lo, int64_t hi,
                  int64_t *out, detail_t *detail) __attribute__((warn_unused_result));

/* A point in time (time_input.h); microseconds since 1970. */
int option_time(const command_context_t *context, const char *name, int64_t *out, detail_t *detail)
    __attribute__((warn_unused_result));

/* An age (time_input.h); microseconds. */
int option_age(const command_context_t *context, const char *name, int64_t *out, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
