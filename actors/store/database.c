/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/database.h"

#include <string.h>

#include "proto/errors.h"

static const database_class_t *const classes[] = {&sqlite_database};

static int class_of(const database_class_t **out, const char *url, detail_t *detail)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        *out = classes[i];
        if (strncmp(url, classes[i]->scheme, strlen(classes[i]->scheme)) == 0)
            return 0;
    }
    return detail_set(detail, ERR_DATABASE_OPEN,
                      "DATABASE_URL names no database that is supported: write it like "
                      "sqlite:userbus.db");
}

int database_open(database_t **out, const char *url, detail_t *detail)
{
    const database_class_t *class;
    *out = NULL;
    int error = class_of(&class, url, detail);
    return error != 0 ? error : class->open(out, url, detail);
}

int database_open_readonly(database_t **out, const char *url, detail_t *detail)
{
    const database_class_t *class;
    *out = NULL;
    int error = class_of(&class, url, detail);
    return error != 0 ? error : class->open_readonly(out, url, detail);
}

void database_close(database_t **self)
{
    if (*self != NULL)
        (*self)->class->close(*self);
    *self = NULL;
}

int database_probe(const char *url, detail_t *detail)
{
    const database_class_t *class;
    int error = class_of(&class, url, detail);
    return error != 0 ? error : class->probe(url, detail);
}
