/* SPDX-License-Identifier: Apache-2.0 */
/* rooms: pipeline proto */
#include "pipeline/failpoint.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void reads_each_action(void **state)
{
    failpoint_t points[FAILPOINTS_MAX];
    (void)state;
    assert_int_equal(failpoints_parse(points, "a.b=kill:37,c=delay:500,d=on,e=every:9"), 4);
    assert_string_equal(points[0].name, "a.b");
    assert_int_equal(points[0].action, FAILPOINT_KILL);
    assert_int_equal(points[0].value, 37);
    assert_int_equal(points[1].action, FAILPOINT_DELAY);
    assert_int_equal(points[1].value, 500);
    assert_int_equal(points[2].action, FAILPOINT_SABOTAGE);
    assert_int_equal(points[3].action, FAILPOINT_EVERY);
    assert_int_equal(points[3].value, 9);
    assert_int_equal(failpoints_parse(points, ""), 0);
}

static void refuses_what_it_does_not_know(void **state)
{
    static const char *const bad[] = {
        "a",         "=on",      "a=",        "a=off",     "a=kill",         "a=kill:",
        "a=kill:0",  "a=kill:x", "a=kill:1x", "a=kill:-1", "a=delay:600001", "a=onn",
        "a=every:0", "a=on,",    ",a=on",     "a=on,,b=on"};
    failpoint_t points[FAILPOINTS_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(failpoints_parse(points, bad[i]), -1);
}

static void has_bounds(void **state)
{
    failpoint_t points[FAILPOINTS_MAX];
    char text[FAILPOINTS_MAX * 5 + 8] = "a=on";
    (void)state;
    for (int i = 1; i < FAILPOINTS_MAX; i++)
        strcat(text, ",a=on");
    assert_int_equal(failpoints_parse(points, text), FAILPOINTS_MAX);
    strcat(text, ",a=on");
    assert_int_equal(failpoints_parse(points, text), -1);

    char name[FAILPOINT_NAME_MAX_BYTES + 5] = {0};
    memset(name, 'n', FAILPOINT_NAME_MAX_BYTES);
    strcat(name, "=on");
    assert_int_equal(failpoints_parse(points, name), 1);
    memset(name, 'n', FAILPOINT_NAME_MAX_BYTES + 1);
    memcpy(name + FAILPOINT_NAME_MAX_BYTES + 1, "=on", 4);
    assert_int_equal(failpoints_parse(points, name), -1);
}

/* The text is read once in a process, so each case has a child of its own. */
static int status_of_child(const char *text, void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        setenv("USERBUS_FAILPOINTS", text, 1);
        body();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void hit_twice(void)
{
    failpoint_hit("x");
    failpoint_hit("y");
    failpoint_hit("x");
}

static void tell_what_is_on(void)
{
    _exit(failpoint_is_on("s") && !failpoint_is_on("x") && !failpoint_is_on("z") ? 7 : 8);
}

static void wait_long_enough(void)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    failpoint_hit("x");
    clock_gettime(CLOCK_MONOTONIC, &after);
    long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    _exit(ms >= 29 ? 7 : 8);
}

static void kills_at_the_named_hit_only(void **state)
{
    (void)state;
    int status = status_of_child("x=kill:2", hit_twice);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = status_of_child("x=kill:3", hit_twice);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = status_of_child("z=kill:1", hit_twice);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void is_on_by_name(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(status_of_child("s=on,x=kill:9", tell_what_is_on)), 7);
}

static void delays(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(status_of_child("x=delay:30", wait_long_enough)), 7);
}

static void a_text_that_cannot_be_read_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(status_of_child("x=kil:2", hit_twice)), 78);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_action),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(has_bounds),
        cmocka_unit_test(kills_at_the_named_hit_only),
        cmocka_unit_test(is_on_by_name),
        cmocka_unit_test(delays),
        cmocka_unit_test(a_text_that_cannot_be_read_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
