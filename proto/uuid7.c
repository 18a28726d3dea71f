/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/uuid7.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "proto/errors.h"
#include "proto/hex.h"

/* A system call per UUID would cost more than the rest of it, so each thread draws a page of the
 * kernel's random bytes at a time. */
static void take_random(uint8_t *out, size_t size)
{
    static _Thread_local uint8_t pool[1024];
    static _Thread_local size_t left;
    must(size <= sizeof(pool));
    if (left < size) {
        size_t filled = 0;
        while (filled < sizeof(pool)) {
            ssize_t got = getrandom(pool + filled, sizeof(pool) - filled, 0);
            must(got > 0 || errno == EINTR);
            filled += got > 0 ? (size_t)got : 0;
        }
        left = sizeof(pool);
    }
    left -= size;
    memcpy(out, pool + left, size);
}

void uuid7_make(uint8_t out[UUID_BYTES], int64_t unix_ms)
{
    for (int i = 0; i < 6; i++)
        out[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    take_random(out + 6, UUID_BYTES - 6);
    out[6] = (uint8_t)(0x70 | (out[6] & 0x0f)); /* version, RFC 9562 section 4.2 */
    out[8] = (uint8_t)(0x80 | (out[8] & 0x3f)); /* variant, section 4.1 */
}

static int dash_before(int byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

/* Writes `count` bytes and what ends them; unrolled by the compiler, since each event has three ids. */
static inline char *put_hex(char *to, const uint8_t *bytes, int count, char end)
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < count; i++) {
        *to++ = hex[bytes[i] >> 4];
        *to++ = hex[bytes[i] & 15];
    }
    *to++ = end;
    return to;
}

void uuid_text(char out[UUID_TEXT_SIZE], const uint8_t id[UUID_BYTES])
{
    out = put_hex(out, id, 4, '-');
    out = put_hex(out, id + 4, 2, '-');
    out = put_hex(out, id + 6, 2, '-');
    out = put_hex(out, id + 8, 2, '-');
    put_hex(out, id + 10, 6, '\0');
}

bool uuid_parse(uint8_t out[UUID_BYTES], text_t text)
{
    uint8_t id[UUID_BYTES];
    if (text.size != UUID_TEXT_SIZE - 1)
        return false;
    const char *at = text.data;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (dash_before(i) && *at++ != '-')
            return false;
        int high = hex_digit(at[0]), low = hex_digit(at[1]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    memcpy(out, id, UUID_BYTES);
    return true;
}
