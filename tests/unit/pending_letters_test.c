/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/pending_letters.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DELIVERIES = 12, PREFETCH = 12 };

static pending_letters_t letters;
static char journal[256]; /* "3* " acks all up to 3, "5 " acks 5 */

static int set_up(void **state)
{
    (void)state;
    pending_letters_init(&letters, PREFETCH);
    journal[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pending_letters_fini(&letters);
    return 0;
}

static void note(void *context, uint64_t delivery_tag, bool multiple)
{
    size_t size = strlen(journal);
    (void)context;
    snprintf(journal + size, sizeof(journal) - size, "%" PRIu64 "%s ", delivery_tag,
             multiple ? "*" : "");
}

static void expect_acks(uint64_t first, uint64_t last, const char *expected)
{
    journal[0] = '\0';
    pending_letters_ack_batch(&letters, first, last, note, NULL);
    assert_string_equal(journal, expected);
}

static void without_letters_one_ack_covers_the_batch(void **state)
{
    (void)state;
    expect_acks(1, 256, "256* ");
    expect_acks(257, 257, "257* ");
}

static void letters_are_left_out(void **state)
{
    (void)state;
    assert_true(pending_letters_add(&letters, 4, 1));
    expect_acks(1, 6, "3* 5 6 ");
    expect_acks(1, 4, "3* ");
    expect_acks(4, 6, "5 6 ");
    expect_acks(4, 4, "");
    expect_acks(7, 9, "7 8 9 "); /* a cover would take 4 with it */
    expect_acks(1, 3, "3* ");
    assert_true(pending_letters_add(&letters, 5, 2));
    expect_acks(1, 6, "3* 6 ");
}

static void a_confirm_acks_only_what_it_is_about(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        assert_true(pending_letters_add(&letters, 10 + i, i));
    pending_letters_confirm(&letters, 2, false, note, NULL);
    assert_string_equal(journal, "12 ");
    pending_letters_confirm(&letters, 3, true, note, NULL);
    assert_string_equal(journal, "12 11 13 ");
    assert_int_equal(letters.count, 1);
    pending_letters_confirm(&letters, 3, true, note, NULL); /* again: nothing */
    assert_string_equal(journal, "12 11 13 ");
    pending_letters_clear(&letters);
    pending_letters_confirm(&letters, 9, true, note, NULL);
    assert_string_equal(journal, "12 11 13 ");
}

static void more_than_the_prefetch_is_refused(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= PREFETCH; i++)
        assert_true(pending_letters_add(&letters, i, i));
    assert_false(pending_letters_add(&letters, PREFETCH + 1, PREFETCH + 1));
    assert_int_equal(letters.count, PREFETCH);
}

static int acked[DELIVERIES + 1];

static void count_ack(void *context, uint64_t delivery_tag, bool multiple)
{
    (void)context;
    assert_in_range(delivery_tag, 1, DELIVERIES);
    if (!multiple)
        acked[delivery_tag]++;
    for (uint64_t tag = 1; multiple && tag <= delivery_tag; tag++)
        acked[tag] += acked[tag] == 0; /* a broker leaves out what was acked before */
}

/* All sets of letters among twelve deliveries in three batches: what has no letter is acked exactly once, what
 * has one is not, until its confirm. */
static void every_pattern_of_letters_is_acked_right(void **state)
{
    (void)state;
    for (unsigned pattern = 0; pattern < 1u << DELIVERIES; pattern++) {
        uint64_t published = 0;
        memset(acked, 0, sizeof(acked));
        for (uint64_t first = 1; first <= DELIVERIES; first += 4) {
            for (uint64_t tag = first; tag < first + 4; tag++)
                if ((pattern >> (tag - 1) & 1) != 0)
                    assert_true(pending_letters_add(&letters, tag, ++published));
            pending_letters_ack_batch(&letters, first, first + 3, count_ack, NULL);
        }
        for (unsigned tag = 1; tag <= DELIVERIES; tag++)
            assert_int_equal(acked[tag], (pattern >> (tag - 1) & 1) == 0);
        pending_letters_confirm(&letters, published, true, count_ack, NULL);
        for (unsigned tag = 1; tag <= DELIVERIES; tag++)
            assert_int_equal(acked[tag], 1);
        assert_int_equal(letters.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_letters_one_ack_covers_the_batch, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(letters_are_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_confirm_acks_only_what_it_is_about, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_the_prefetch_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_pattern_of_letters_is_acked_right, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
