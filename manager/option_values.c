/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/option_values.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "manager/time_input.h"
#include "proto/errors.h"

int option_number(const command_context_t *context, const char *name, int64_t lo, int64_t hi,
                  int64_t *out, detail_t *detail)
{
    const char *value = option_value(context, name);
    char *end = NULL;
    if (value == NULL)
        return 0;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || number < lo ||
        number > hi)
        return detail_set(detail, ERR_USAGE, "%s: '%.32s' is not a whole number of %lld..%lld",
                          name, value, (long long)lo, (long long)hi);
    *out = number;
    return 0;
}

int option_time(const command_context_t *context, const char *name, int64_t *out, detail_t *detail)
{
    const char *value = option_value(context, name);
    if (value == NULL || time_input_parse(out, text_of(value)))
        return 0;
    return detail_set(detail, ERR_USAGE,
                      "%s: '%.40s' is no time; write it like 2026-11-24T10:00:00Z, or "
                      "2026-11-24T10:00 (UTC)",
                      name, value);
}

int option_age(const command_context_t *context, const char *name, int64_t *out, detail_t *detail)
{
    const char *value = option_value(context, name);
    if (value == NULL || age_input_parse(out, text_of(value)))
        return 0;
    return detail_set(detail, ERR_USAGE, "%s: '%.32s' is no age; write it like 90s, 15m, 2h or 7d",
                      name, value);
}
