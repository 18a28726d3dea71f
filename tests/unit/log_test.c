/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * log_test.c - what a line looks like, that no value can forge one, and that a full pipe costs lines
 * but never time; and the delays of backoff.h.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "pipeline/backoff.h"
#include "pipeline/log.h"

static int reader, saved_stderr;

/* What was logged since the last call. */
static const char *logged(void)
{
    static char text[1 << 17];
    ssize_t size = read(reader, text, sizeof(text) - 1);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static int capture(void **unused)
{
    (void)unused;
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return -1;
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipes[1], STDERR_FILENO);
    close(pipes[1]);
    reader = pipes[0];
    return 0;
}

static int release(void **unused)
{
    (void)unused;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reader);
    return 0;
}

static void a_line_is_logfmt(void **unused)
{
    (void)unused;
    log_event(LOG_INFO, "store", "started", LOG_STR("path", "a.db"), LOG_INT("rows", -3));
    const char *line = logged();
    assert_memory_equal(line, "ts=20", 5);
    assert_non_null(strstr(line, "Z level=info actor=store event=started path=a.db rows=-3\n"));
}

static void no_value_can_forge_a_line(void **unused)
{
    (void)unused;
    log_event(LOG_WARN, "http.0", "odd", LOG_STR("a", "x\ny=\"1\"\\"), LOG_STR("b", ""),
              LOG_STR("c", "\x01\x7f tab\t"));
    const char *line = logged();
    assert_non_null(strstr(line, " a=\"x\\ny=\\\"1\\\"\\\\\" b=\"\" c=\"\\x01\\x7f tab\\x09\"\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_long_value_is_cut_to_the_line(void **unused)
{
    (void)unused;
    char *value = malloc(100000);
    memset(value, 'v', 99999);
    value[99999] = '\0';
    log_event(LOG_ERROR, "store", "long", LOG_STR("v", value));
    const char *line = logged();
    assert_int_equal(strlen(line), LOG_LINE_MAX - 1); /* less the space before its first field */
    assert_int_equal(line[LOG_LINE_MAX - 2], '\n');
    free(value);
}

static void levels_below_the_threshold_are_silent(void **unused)
{
    (void)unused;
    log_event(LOG_DEBUG, "store", "quiet", LOG_INT("n", 1));
    assert_string_equal(logged(), "");
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "store", "loud", LOG_INT("n", 1));
    log_set_level(LOG_INFO);
    assert_non_null(strstr(logged(), "event=loud"));
}

static void a_full_pipe_drops_lines_and_says_how_many(void **unused)
{
    (void)unused;
    enum { LINES = 20000 };
    for (int i = 0; i < LINES; i++) /* a pipe holds 64 KiB */
        log_event(LOG_INFO, "store", "flood", LOG_INT("n", i));
    int passed = 0;
    for (const char *at = logged(); (at = strchr(at, '\n')) != NULL; at++)
        passed++;
    assert_in_range(passed, 100, LINES - 1);
    log_event(LOG_INFO, "store", "after", LOG_INT("n", 1));
    char expected[64];
    snprintf(expected, sizeof(expected), "lines_dropped=%d\n", LINES - passed);
    assert_non_null(strstr(logged(), expected));
}

static void delays_grow_to_the_cap_and_jitter(void **unused)
{
    (void)unused;
    static const int limits[] = {100, 200, 400, 800, 1000, 1000, 1000};
    backoff_t backoff = {.base_ms = 100, .cap_ms = 1000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        backoff_t least = backoff;
        assert_int_equal(backoff_next_ms(&least, 0), 1);
        assert_int_equal(backoff_next_ms(&backoff, (uint64_t)limits[i] - 1), limits[i]);
    }
    for (int i = 0; i < 1000; i++)
        assert_in_range(backoff_next_ms(&backoff, random_bits()), 1, 1000);
    backoff_reset(&backoff);
    assert_int_equal(backoff_next_ms(&backoff, 99), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_logfmt, capture, release),
        cmocka_unit_test_setup_teardown(no_value_can_forge_a_line, capture, release),
        cmocka_unit_test_setup_teardown(a_long_value_is_cut_to_the_line, capture, release),
        cmocka_unit_test_setup_teardown(levels_below_the_threshold_are_silent, capture, release),
        cmocka_unit_test_setup_teardown(a_full_pipe_drops_lines_and_says_how_many, capture,
                                        release),
        cmocka_unit_test(delays_grow_to_the_cap_and_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
