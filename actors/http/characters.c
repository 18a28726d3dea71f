/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/http/characters.h"

#include <unictype.h>
#include <unistr.h>

/* The library looks through the planes of Unicode for each; nearly all that comes is ASCII. */
static bool is_white_space(ucs4_t character)
{
    if (character < 0x80)
        return character == ' ' || (character >= '\t' && character <= '\r');
    return uc_is_property_white_space(character);
}

bool characters_scan(characters_t *out, text_t text)
{
    *out = (characters_t){0};
    const uint8_t *at = (const uint8_t *)text.data;
    for (size_t left = text.size; left > 0; out->count++) {
        ucs4_t character = *at;
        int size = 1;
        if (character >= 0x80)
            size = u8_mbtoucr(&character, at, left);
        if (size < 0)
            return false;
        if (character < 0x20 || (character >= 0x7f && character < 0xa0))
            out->has_control = true;
        if (is_white_space(character))
            out->has_space = true;
        at += size;
        left -= (size_t)size;
    }
    return true;
}

bool characters_are_readable(characters_t *out, text_t text)
{
    return characters_scan(out, text) && !out->has_control;
}
