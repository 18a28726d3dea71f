/* rooms: manager */
/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/time_input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/event.h" /* time_text */

static void test_points_in_time(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"1970-01-01", 0},
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-24T10:00:00Z", INT64_C(1795514400000000)},
        {"2026-11-24T10:00:00z", INT64_C(1795514400000000)},
        {"2026-11-24T10:00", INT64_C(1795514400000000)},
        {"2026-11-24 10:00", INT64_C(1795514400000000)},
        {"2026-11-24T10:00Z", INT64_C(1795514400000000)},
        {"2026-11-24T11:30:00+01:30", INT64_C(1795514400000000)},
        {"2026-11-24T05:00:00-05:00", INT64_C(1795514400000000)},
        {"2026-11-24t10:00", INT64_C(1795514400000000)},
        {"2026-11-24T10:00:00.1Z", INT64_C(1795514400100000)},
        {"2026-11-24T10:00:00.123456Z", INT64_C(1795514400123456)},
        {"2026-11-24T10:00:00.1234569", INT64_C(1795514400123456)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2000-02-29", INT64_C(951782400000000)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = -1;
        if (!time_input_parse(&us, text_of(rows[i].text)) || us != rows[i].us)
            fail_msg("'%s': %lld", rows[i].text, (long long)us);
    }
}

static void test_what_is_no_time(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "now",
        "2026",
        "2026-11",
        "2026-13-01",
        "2026-00-01",
        "2026-02-29",
        "2100-02-29",
        "2026-11-31",
        "26-11-24",
        "2026-11-24T",
        "2026-11-24T10",
        "2026-11-24T24:00",
        "2026-11-24T10:60",
        "2026-11-24T10:00:",
        "2026-11-24T10:00:00.",
        "2026-11-24T10:00:00.Z",
        "2026-11-24T10:00:00+1",
        "2026-11-24T10:00:00+01",
        "2026-11-24T10:00:00ZZ",
        "2026-11-24T10:00:00x",
        "2026-11-24T10:00:00+24:00",
        "2026-11-24T10:00:00+01:60",
        "2026-11-24T10:00:00+01-00",
        "2026-11-24Z",
        "1969-12-31",
        "2026-11-24T10:00:61Z",
        "1970-01-01T00:00:00+01:00",
        " 2026-11-24",
        "2026-11-24 ",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = -1;
        if (time_input_parse(&us, text_of(rows[i])))
            fail_msg("'%s' was taken for %lld", rows[i], (long long)us);
        assert_int_equal(us, -1);
    }
}

static void test_it_reads_what_we_write(void **state)
{
    (void)state;
    for (int64_t us = 0; us < INT64_C(8000000000000000); us += INT64_C(9876543210987)) {
        char text[TIME_TEXT_SIZE];
        int64_t back = -1;
        time_text(text, us);
        assert_true(time_input_parse(&back, text_of(text)));
        assert_int_equal(back, us);
    }
}

static void test_ages(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* -1: it is none */
    } rows[] = {
        {"0", 0},
        {"90", 90},
        {"90s", 90},
        {"15m", 900},
        {"2h", 7200},
        {"7d", 604800},
        {"36600d", 3162240000},
        {"36601d", -1},
        {"", -1},
        {"d", -1},
        {"-1d", -1},
        {"1w", -1},
        {"1d2h", -1},
        {"1.5h", -1},
        {"99999999999", -1},
        {" 1d", -1},
        {"1 d", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = -1;
        bool good = age_input_parse(&us, text_of(rows[i].text));
        if (good != (rows[i].seconds >= 0) || (good && us != rows[i].seconds * 1000000))
            fail_msg("'%s': %lld", rows[i].text, (long long)us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_in_time),
        cmocka_unit_test(test_what_is_no_time),
        cmocka_unit_test(test_it_reads_what_we_write),
        cmocka_unit_test(test_ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
