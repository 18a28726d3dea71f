/* SPDX-License-Identifier: Apache-2.0
 * characters.h - what a text from outside is made of, in Unicode's terms.
 */
#ifndef USERBUS_ACTORS_HTTP_CHARACTERS_H
#define USERBUS_ACTORS_HTTP_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h" /* text_t */

typedef struct characters {
    size_t count;     /* code points */
    bool has_control; /* of general category Cc: C0, DEL and C1, so NUL as well */
    bool has_space;   /* of the property White_Space */
} characters_t;

/* False: the text is not UTF-8, and *out is void. */
bool characters_scan(characters_t *out, text_t text);

/* False: the text is not UTF-8 or has a control character. */
bool characters_are_readable(characters_t *out, text_t text);

#endif
