/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/errors.h"

#include <stdio.h>
#include <stdlib.h>

static const error_info_t rows[] = {
    {"none", 500, 70, 0, "internal", "Something that must hold does not"},
#define ERR(name, http, exit, retry_after_s, slug, title)                                          \
    {#name, http, exit, retry_after_s, slug, title},
#include "proto/errors.def"
#undef ERR
};

const error_info_t *error_info(int code)
{
    if (code >= 0 || code <= -ERR_ORDINAL_end)
        code = ERR_INTERNAL;
    return &rows[-code];
}

void must_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "level=fatal event=invariant_broken expr=\"%s\" at=%s:%d\n", expr, file, line);
    abort();
}
