/* SPDX-License-Identifier: Apache-2.0
 * hex.h - the hexadecimal digits of UUIDs, percent-encoding (RFC 3986 section 2.1) and the like.
 */
#ifndef USERBUS_PROTO_HEX_H
#define USERBUS_PROTO_HEX_H

/* 0..15, letters in either case; -1: it is none. */
static inline int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

#endif
