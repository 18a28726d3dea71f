/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/email.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>

#include "actors/http/characters.h"
#include "proto/errors.h"

const char *email_fault(text_t email)
{
    characters_t characters;
    if (email.size > EMAIL_MAX_BYTES)
        return "must be at most 254 bytes long";
    if (!characters_are_readable(&characters, email) || characters.has_space)
        return "must not hold white space or control characters";
    const char *at = email.size > 0 ? memchr(email.data, '@', email.size) : NULL;
    if (at == NULL)
        return "must hold an @";
    size_t local = (size_t)(at - email.data), domain = email.size - local - 1;
    if (local == 0 || domain == 0)
        return "must have something on both sides of the @";
    if (memchr(at + 1, '@', domain) != NULL)
        return "must hold only one @";
    return NULL;
}

static bool fold_ascii(char *out, text_t email)
{
    for (size_t i = 0; i < email.size; i++) {
        char byte = email.data[i];
        if ((unsigned char)byte >= 0x80)
            return false;
        out[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
    }
    return true;
}

size_t email_fold(char out[EMAIL_KEY_MAX_BYTES], text_t email)
{
    if (fold_ascii(out, email))
        return email.size;
    size_t size = EMAIL_KEY_MAX_BYTES;
    uint8_t *folded = u8_casefold((const uint8_t *)email.data, email.size, NULL, UNINORM_NFC,
                                  (uint8_t *)out, &size);
    must(folded != NULL || errno != ENOMEM);
    if (folded == (uint8_t *)out)
        return size;
    free(folded); /* it did not fit, so the library made room for it */
    return 0;
}
