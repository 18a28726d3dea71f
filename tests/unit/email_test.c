/* rooms: http pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * email_test.c - what may be one, and when two are the same; the rules as clients meet them are in user_input_test.c. */
#include "actors/http/email.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unicase.h>
#include <unistr.h>

#include <cmocka.h>

static char key[EMAIL_KEY_MAX_BYTES];

static void bytes_that_are_no_text_are_no_email(void **state)
{
    static const char *const emails[] = {"\xff@b", "a@b\xc3", "\xc0\x80@b", "\xed\xa0\x80@b"};
    (void)state;
    for (size_t i = 0; i < sizeof(emails) / sizeof(emails[0]); i++)
        assert_non_null(email_fault(text_of(emails[i])));
}

static void plain_letters_are_folded(void **state)
{
    (void)state;
    assert_int_equal(email_fold(key, TEXT("[AZaz@-`{.1]@B")), 14);
    assert_memory_equal(key, "[azaz@-`{.1]@b", 14);
}

/* Of a character that becomes three times as long when it is folded, U+1D160. */
static void what_does_not_fit_is_no_key(void **state)
{
    char text[EMAIL_KEY_MAX_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(text); i += 4)
        memcpy(text + i, "\xf0\x9d\x85\xa0", 4);
    assert_int_equal(email_fold(key, (text_t){text, sizeof(text)}), 0);
    assert_int_equal(email_fold(key, (text_t){text, 252}), 252 * 3);
}

/* So no email is too long for its key. A decomposed form has the sum of its characters' bytes, and a composed one
 * has no more. */
static void no_character_becomes_four_times_as_long(void **state)
{
    (void)state;
    for (ucs4_t character = 0x80; character <= 0x10ffff; character++) {
        uint8_t bytes[6];
        int size = u8_uctomb(bytes, character, sizeof(bytes));
        if (size < 0)
            continue; /* a surrogate */
        uint8_t folded[64];
        size_t folded_size = sizeof(folded);
        assert_ptr_equal(u8_casefold(bytes, (size_t)size, NULL, UNINORM_NFD, folded, &folded_size),
                         folded);
        assert_in_range(folded_size, 0, (size_t)size * 3);
    }
    assert_true(EMAIL_MAX_BYTES * 3 < EMAIL_KEY_MAX_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_text_are_no_email),
        cmocka_unit_test(plain_letters_are_folded),
        cmocka_unit_test(what_does_not_fit_is_no_key),
        cmocka_unit_test(no_character_becomes_four_times_as_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
