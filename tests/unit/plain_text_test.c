/* rooms: proto */
/* SPDX-License-Identifier: Apache-2.0
 * plain_text_test.c - the borders of what UTF-8 is, and what is not shown. */
#include "proto/plain_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* after the others, as it asks */
#include <cmocka.h>

static void expect(const char *text, const char *expected)
{
    char buffer[128];
    snprintf(buffer, sizeof(buffer), "%s", text);
    plain_text(buffer);
    assert_string_equal(buffer, expected);
}

static void text_stays_as_it_is(void **state)
{
    static const char *const texts[] = {"",
                                        "plain ~",
                                        "Zo\xc3\xab \xe2\x82\xac",
                                        "\xc2\xa0\xdf\xbf",
                                        "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
                                        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect(texts[i], texts[i]);
}

static void control_characters_are_not_shown(void **state)
{
    (void)state;
    expect("a\nb\r\tc\x1b[2J\x7f", "a?b??c?[2J?");
    expect("\xc2\x80\xc2\x9f", "????");
}

static void what_is_not_utf8_is_not_shown(void **state)
{
    (void)state;
    expect("\xff\xfe\x80", "???");
    expect("\xc0\xaf\xc1\xbf", "????");      /* longer than need be */
    expect("\xe0\x9f\xbf", "???");           /* the same */
    expect("\xed\xa0\x80", "???");           /* a surrogate */
    expect("\xf4\x90\x80\x80\xf5", "?????"); /* beyond U+10FFFF */
    expect("cut \xc3", "cut ?");
    expect("cut \xe2\x82", "cut ??");
    expect("cut \xf0\x9f\x98", "cut ???");
    expect("\xe2\x82x\xc3\xab", "??x\xc3\xab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays_as_it_is),
        cmocka_unit_test(control_characters_are_not_shown),
        cmocka_unit_test(what_is_not_utf8_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
