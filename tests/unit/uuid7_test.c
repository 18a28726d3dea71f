/* rooms: proto */
/* SPDX-License-Identifier: Apache-2.0
 * uuid7_test.c - RFC 9562, and a source of randomness that comes in parts. */
#include "proto/uuid7.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#define SOME_ID "0190a5d2-7c1e-7abc-8def-0123456789ab"

/* It gives what it is asked for in parts, after a signal each. */
static unsigned seed = 1;
static int calls;

ssize_t getrandom(void *to, size_t size, unsigned flags)
{
    enum { PART = 100 };
    size_t part = size < PART ? size : PART;
    (void)flags;
    if (calls++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    for (size_t i = 0; i < part; i++)
        ((unsigned char *)to)[i] = (unsigned char)rand_r(&seed);
    return (ssize_t)part;
}

static void it_has_its_time_version_and_variant(void **state)
{
    uint8_t id[UUID_BYTES];
    (void)state;
    uuid7_make(id, INT64_C(0x0123456789ab));
    assert_memory_equal(id, "\x01\x23\x45\x67\x89\xab", 6);
    assert_int_equal(id[6] >> 4, 7);
    assert_int_equal(id[8] >> 6, 2);
}

static void no_random_byte_is_given_twice(void **state)
{
    enum { COUNT = 300 }; /* more than one page of them */
    uint8_t ids[COUNT][UUID_BYTES];
    (void)state;
    calls = 0;
    for (int i = 0; i < COUNT; i++) {
        uuid7_make(ids[i], 0);
        for (int before = 0; before < i; before++)
            assert_memory_not_equal(ids[i] + 6, ids[before] + 6, UUID_BYTES - 6);
    }
    assert_true(calls > 20); /* parts and signals */
}

static void it_is_written_as_it_is_read(void **state)
{
    uint8_t id[UUID_BYTES], again[UUID_BYTES];
    char text[UUID_TEXT_SIZE];
    (void)state;
    assert_true(uuid_parse(id, TEXT(SOME_ID)));
    uuid_text(text, id);
    assert_string_equal(text, SOME_ID);
    assert_true(uuid_parse(again, TEXT("0190A5D2-7C1E-7ABC-8DEF-0123456789AB")));
    assert_memory_equal(again, id, UUID_BYTES);
}

/* Each character in turn is one that may not stand there; also those beside the digits in ASCII. */
static void what_is_none_is_refused(void **state)
{
    static const char wrong[] = {'/', ':', '@', 'G', '`', 'g', ' ', '\0', '\x7f', '\xff'};
    uint8_t id[UUID_BYTES];
    (void)state;
    for (size_t at = 0; at < UUID_TEXT_SIZE - 1; at++)
        for (size_t i = 0; i < sizeof(wrong); i++) {
            char text[] = SOME_ID;
            text[at] = wrong[i];
            assert_false(uuid_parse(id, (text_t){text, UUID_TEXT_SIZE - 1}));
        }
    assert_false(uuid_parse(id, (text_t){SOME_ID, UUID_TEXT_SIZE - 2}));
    assert_false(uuid_parse(id, TEXT(SOME_ID "0")));
    assert_false(uuid_parse(id, TEXT("0190a5d27c1e7abc8def0123456789ab")));
    assert_false(uuid_parse(id, TEXT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_its_time_version_and_variant),
        cmocka_unit_test(no_random_byte_is_given_twice),
        cmocka_unit_test(it_is_written_as_it_is_read),
        cmocka_unit_test(what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
