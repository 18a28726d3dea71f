/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * exec_child_test.c - real children, shell scripts; a line to one is "ID RESULT ERROR", which most of them answer by.
 * Time limits are tried with a clock that the test sets, so that nothing waits for one. */
#include "actors/consumer/exec_child.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/clock.h"

enum {
    PATIENCE_MS = 30000, /* of a machine that is busy */
    LIMIT_MS = 3600000,
    RECORDS = 64,
    SAID_MAX = 1 << 16
};

#define ANSWER                                                                                     \
    "printf '{\"message_id\": \"%s\", \"result\": \"%s\", \"error\": \"%s\"}\\n' \"$id\" "         \
    "\"$result\" \"$error\""
#define ANSWER_EACH "while read -r id result error; do " ANSWER "; done"

static struct {
    void *run;
    exec_end_t end;
    char error[128];
} told[RECORDS];
static size_t told_count;

static exec_child_t *child;
static int epoll_fd, log_reader, real_stderr;
static int64_t set_ms; /* the clock, when it is not 0 */
static char folder[64], fifo[80], log_text[SAID_MAX];
static size_t log_size;
static char runs[EXEC_HAND_MAX + 1]; /* the address of each names a run */

/* --- what all tests need ---------------------------------------------------------------------- */

static int64_t now(void)
{
    return set_ms != 0 ? set_ms : clock_mono_ms();
}

static void on_told(void *context, void *run, exec_end_t end, text_t error)
{
    assert_ptr_equal(context, runs);
    assert_true(told_count < RECORDS);
    told[told_count].run = run;
    told[told_count].end = end;
    snprintf(told[told_count].error, sizeof(told[0].error), "%.*s", (int)error.size,
             error.size > 0 ? error.data : "");
    told_count++;
}

static bool has_logged(const char *text)
{
    ssize_t size = read(log_reader, log_text + log_size, sizeof(log_text) - log_size - 1);
    log_size += size > 0 ? (size_t)size : 0;
    log_text[log_size] = '\0';
    return strstr(log_text, text) != NULL;
}

static int set_up(void **state)
{
    int pipes[2];
    (void)state;
    told_count = 0;
    set_ms = 0;
    log_size = 0;
    snprintf(folder, sizeof(folder), "/tmp/exec-child-test-XXXXXX");
    if (mkdtemp(folder) == NULL || pipe2(pipes, O_CLOEXEC) != 0)
        return -1;
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    real_stderr = dup(STDERR_FILENO);
    dup2(pipes[1], STDERR_FILENO);
    close(pipes[1]);
    log_reader = pipes[0];
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return mkfifo(fifo, 0600);
}

/* What went to stderr is shown, also cmocka's word of a failure. */
static int tear_down(void **state)
{
    char command[96];
    (void)state;
    exec_child_free(&child);
    assert_null(child);
    has_logged("");
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    fputs(log_text, stderr);
    close(log_reader);
    close(epoll_fd);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

/* The command runs in the folder of the test. */
static void start(const char *command)
{
    static char text[1024];
    snprintf(text, sizeof(text), "cd %s; %s", folder, command);
    const exec_child_conf_t conf = {.actor = "test",
                                    .command = text,
                                    .timeout_ms = LIMIT_MS,
                                    .epoll_fd = epoll_fd,
                                    .told = on_told,
                                    .context = runs};
    child = exec_child_new(&conf);
}

static void send_line(int run, const char *id, const char *line)
{
    size_t before = told_count;
    exec_child_send(child, &runs[run], text_of(id), text_of(line), now());
    assert_int_equal(told_count, before); /* never in the call */
}

/* The run's id is its letter: a for 0. */
static void send_run(int run, const char *answer)
{
    char id[2] = {(char)('a' + run), '\0'}, line[256];
    snprintf(line, sizeof(line), "%s %s\n", id, answer);
    send_line(run, id, line);
}

static bool is_told(const void *count)
{
    return told_count >= *(const size_t *)count;
}

static bool is_logged(const void *text)
{
    return has_logged(text);
}

static bool is_gone(const void *unused)
{
    (void)unused;
    return exec_child_due_ms(child) == INT64_MAX;
}

static void turn_until(bool (*condition)(const void *), const void *argument, const char *what)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    while (!condition(argument)) {
        struct epoll_event event;
        if (clock_mono_ms() > deadline_ms)
            fail_msg("it does not happen: %s", what);
        (void)epoll_wait(epoll_fd, &event, 1, 10);
        exec_child_turn(child, now());
    }
}

static void until_told(size_t count)
{
    turn_until(is_told, &count, "the next run's end");
}

static void until_logged(const char *text)
{
    turn_until(is_logged, text, text);
}

static void expect(size_t at, int run, exec_end_t end, const char *error)
{
    assert_true(at < told_count);
    assert_ptr_equal(told[at].run, &runs[run]);
    assert_int_equal(told[at].end, end);
    if (strstr(told[at].error, error) == NULL)
        fail_msg("'%s' instead of '%s'", told[at].error, error);
}

/* It was killed or has ended, and is started again after a pause. */
static void expect_pause(void)
{
    assert_int_equal(exec_child_in_hand(child), 0);
    int64_t due_ms = exec_child_due_ms(child);
    assert_true(due_ms <= clock_mono_ms() + EXEC_RESTART_CAP_MS);
    assert_false(exec_child_can_take(child, due_ms - 1));
    assert_true(exec_child_can_take(child, due_ms));
}

/* --- lines ------------------------------------------------------------------------------------ */

static void each_run_gets_its_answer(void **state)
{
    (void)state;
    start(ANSWER_EACH);
    assert_true(exec_child_can_take(child, now()));
    assert_int_equal(exec_child_due_ms(child), INT64_MAX);
    send_run(0, "done");
    send_run(1, "retry no mail server");
    send_run(2, "dead nobody of that name");
    assert_int_equal(exec_child_in_hand(child), 3);
    until_told(3);
    expect(0, 0, EXEC_ENDED_DONE, "");
    expect(1, 1, EXEC_ENDED_RETRY, "no mail server");
    expect(2, 2, EXEC_ENDED_DEAD, "nobody of that name");
    assert_int_equal(exec_child_in_hand(child), 0);
    assert_true(exec_child_can_take(child, now()));
}

static void answers_may_come_in_any_order(void **state)
{
    (void)state;
    start("read a; read b; read c; for id in c a b; do result=done error=; " ANSWER
          "; done; " ANSWER_EACH);
    for (int run = 0; run < 3; run++)
        send_run(run, "");
    until_told(3);
    expect(0, 2, EXEC_ENDED_DONE, "");
    expect(1, 0, EXEC_ENDED_DONE, "");
    expect(2, 1, EXEC_ENDED_DONE, "");
}

static void it_has_so_many_in_hand(void **state)
{
    (void)state;
    start("cat >/dev/null");
    for (int run = 0; run < EXEC_HAND_MAX; run++) {
        assert_true(exec_child_can_take(child, now()));
        send_run(run, "");
    }
    assert_false(exec_child_can_take(child, now()));
}

/* The second half of the first answer comes in one write with the second one. */
static void a_line_may_come_in_parts(void **state)
{
    (void)state;
    start("read a; printf '{\"message_id\": \"a\", '; echo half >&2; read b; "
          "printf '\"result\": \"done\"}\\n{\"message_id\": \"b\", \"result\": \"dead\"}\\n'; cat");
    send_run(0, "");
    until_logged("text=half");
    exec_child_turn(child, now());
    assert_int_equal(told_count, 0);
    send_run(1, "");
    until_told(2);
    expect(0, 0, EXEC_ENDED_DONE, "");
    expect(1, 1, EXEC_ENDED_DEAD, "");
}

/* An answer that has `size` bytes without its end, blanks mostly, and one behind it. */
static void start_long(int size)
{
    char command[256];
    snprintf(command, sizeof(command),
             "read a; printf '{\"message_id\": \"a\",%%%ds\"result\": \"done\"}\\n' ''; %s",
             size - (int)strlen("{\"message_id\": \"a\",\"result\": \"done\"}"), ANSWER_EACH);
    start(command);
    send_run(0, "");
}

static void the_longest_line_is_read(void **state)
{
    (void)state;
    start_long(ANSWER_MAX_BYTES);
    send_run(1, "done");
    until_told(2);
    expect(0, 0, EXEC_ENDED_DONE, "");
    expect(1, 1, EXEC_ENDED_DONE, "");
}

static void a_line_that_does_not_end_is_no_answer(void **state)
{
    (void)state;
    start("read a; head -c 1000000 /dev/zero | tr '\\0' x; cat");
    send_run(0, "");
    until_told(1);
    expect(0, 0, EXEC_ENDED_BAD_ANSWER, "longer than");
    expect_pause();
}

static void what_is_no_answer_ends_the_child(void **state)
{
    static const struct {
        const char *says, *error;
    } rows[] = {
        {"hello", "no JSON object"},
        {"", "no JSON object"},
        {"{\"message_id\": \"a\", \"result\": \"well\"}", "result"},
        {"{\"message_id\": \"b\", \"result\": \"done\"}", "does not have in hand"},
        {"{\"result\": \"done\"}", "does not have in hand"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char command[256];
        snprintf(command, sizeof(command), "read a; echo '%s'; cat", rows[i].says);
        start(command);
        send_run(0, "");
        until_told(i + 1);
        expect(i, 0, EXEC_ENDED_BAD_ANSWER, rows[i].error);
        expect_pause();
        exec_child_free(&child);
    }
}

static void an_answer_counts_that_came_before_nonsense(void **state)
{
    (void)state;
    start("read a; read b; printf '{\"message_id\": \"a\", \"result\": \"done\"}\\nhello\\n"
          "{\"message_id\": \"b\", \"result\": \"done\"}\\n'; cat");
    send_run(0, "");
    send_run(1, "");
    until_told(2);
    expect(0, 0, EXEC_ENDED_DONE, "");
    expect(1, 1, EXEC_ENDED_BAD_ANSWER, "no JSON object"); /* the only one that it had */
}

/* More than a pipe takes: what is left waits, and epoll tells when it goes on. */
static void a_child_that_does_not_read_holds_nobody_up(void **state)
{
    enum { SIZE = 100000 };
    static char line[SIZE + 1];
    (void)state;
    start("cat fifo >/dev/null; while read -r id result error; do error=; " ANSWER "; done");
    memset(line, 'x', SIZE);
    line[SIZE - 1] = '\n';
    for (int run = 0; run < EXEC_HAND_MAX; run++) {
        char id[2] = {(char)('a' + run), '\0'};
        memcpy(line, "a done ", 7);
        line[0] = id[0];
        send_line(run, id, line);
    }
    exec_child_turn(child, now());
    assert_int_equal(told_count, 0);
    int writer = open(fifo, O_WRONLY | O_CLOEXEC); /* returns when the child is there */
    close(writer);
    until_told(EXEC_HAND_MAX);
    for (int run = 0; run < EXEC_HAND_MAX; run++)
        expect((size_t)run, run, EXEC_ENDED_DONE, "");
}

static void what_one_did_not_take_is_not_the_next_one_s(void **state)
{
    enum { SIZE = 200000 };
    static char line[SIZE + 1];
    (void)state;
    start("if mkdir once; then cat fifo; fi; " ANSWER_EACH);
    memset(line, 'x', SIZE);
    line[SIZE - 1] = '\n';
    send_line(0, "a", line);
    int writer = open(fifo, O_WRONLY | O_CLOEXEC);
    exec_child_kill(child);
    close(writer);
    expect(0, 0, EXEC_ENDED_NOT_RUN, "");
    send_run(1, "done");
    until_told(2);
    expect(1, 1, EXEC_ENDED_DONE, "");
}

/* --- what it says ----------------------------------------------------------------------------- */

static void what_it_says_goes_to_the_log_by_lines(void **state)
{
    (void)state;
    start("read a; echo one >&2; printf 'two\\n\\nthree\\nfo' >&2; read b; echo ur >&2; cat");
    send_run(0, "");
    until_logged("text=three\n");
    assert_true(has_logged("event=processor_says"));
    assert_true(has_logged("text=one\n"));
    assert_true(has_logged("text=two\n"));
    assert_true(has_logged("text=\"\"\n"));
    assert_false(has_logged("text=fo"));
    send_run(1, "");
    until_logged("text=four\n");
}

static void a_long_line_of_it_is_cut(void **state)
{
    char path[96], expected[EXEC_SAID_MAX_BYTES + 16];
    (void)state;
    snprintf(path, sizeof(path), "%s/words", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (int i = 0; i < EXEC_SAID_MAX_BYTES; i++)
        fputc('x', file);
    fputs("yyyy\nnext\n", file);
    assert_int_equal(fclose(file), 0);
    start("read a; cat words >&2; cat");
    send_run(0, "");
    until_logged("text=next\n");
    memset(expected, 'x', sizeof(expected));
    memcpy(expected, "text=", 5);
    strcpy(expected + 5 + EXEC_SAID_MAX_BYTES, "\n");
    assert_true(has_logged(expected));
    assert_false(has_logged("y\n"));
}

/* Words without an end are said in parts. */
static void what_does_not_end_is_said_all_the_same(void **state)
{
    (void)state;
    start("read a; head -c 3000 /dev/zero | tr '\\0' x >&2; cat");
    send_run(0, "");
    until_logged("text=xxx");
    assert_int_equal(told_count, 0);
}

static void its_last_words_are_not_lost(void **state)
{
    (void)state;
    start("read a; echo one >&2; printf two >&2; cat fifo");
    send_run(0, "");
    int writer =
        open(fifo, O_WRONLY | O_CLOEXEC); /* by then it has said them, and nobody has read */
    exec_child_kill(child);
    close(writer);
    assert_true(has_logged("text=one\n"));
    assert_true(has_logged("text=two\n"));
}

static void it_may_live_on_without_a_stderr(void **state)
{
    (void)state;
    start("exec 2>&-; " ANSWER_EACH);
    for (int run = 0; run < 3; run++) {
        send_run(run, "done");
        until_told((size_t)run + 1);
        expect((size_t)run, run, EXEC_ENDED_DONE, "");
    }
}

/* --- ends ------------------------------------------------------------------------------------- */

static void the_only_run_that_it_read_has_crashed_it(void **state)
{
    (void)state;
    start("read a; exit 3");
    send_run(0, "");
    until_told(1);
    expect(0, 0, EXEC_ENDED_CRASHED, "has ended");
    assert_true(has_logged("event=processor_ended"));
    assert_true(has_logged("number=3 "));
    expect_pause();
}

static void a_signal_that_killed_it_is_told(void **state)
{
    (void)state;
    start("read a; kill -KILL $$");
    send_run(0, "");
    until_told(1);
    expect(0, 0, EXEC_ENDED_CRASHED, "has ended");
    assert_true(has_logged("number=9 "));
}

static void a_run_that_it_did_not_read_is_innocent(void **state)
{
    (void)state;
    start("exit 4");
    send_run(0, "");
    until_told(1);
    expect(0, 0, EXEC_ENDED_NOT_RUN, "");
    assert_true(has_logged("number=4 "));
    expect_pause();
}

static void a_command_that_there_is_none_of_runs_nothing(void **state)
{
    (void)state;
    const exec_child_conf_t conf = {.actor = "test",
                                    .command = "/nowhere/processor --fast",
                                    .timeout_ms = LIMIT_MS,
                                    .epoll_fd = epoll_fd,
                                    .told = on_told,
                                    .context = runs};
    child = exec_child_new(&conf);
    send_run(0, "");
    until_told(1);
    expect(0, 0, EXEC_ENDED_NOT_RUN, "");
    assert_true(has_logged("number=127 "));
}

static void what_it_answered_before_its_end_counts(void **state)
{
    (void)state;
    start("read id result error; " ANSWER);
    send_run(0, "done");
    until_told(1);
    expect(0, 0, EXEC_ENDED_DONE, "");
    until_logged("event=processor_ended");
    assert_int_equal(told_count, 1);
}

/* Its own child holds the pipes. */
static void an_end_is_seen_though_others_hold_its_pipes(void **state)
{
    (void)state;
    start("sleep 1000 & read a; exit 5");
    send_run(0, "");
    until_told(1);
    expect(0, 0, EXEC_ENDED_CRASHED, "has ended");
    assert_true(has_logged("number=5 "));
}

/* None of several runs is to blame, so the next ones come one by one, until enough went well. */
static void after_an_end_with_several_they_come_one_by_one(void **state)
{
    (void)state;
    start("if mkdir once; then read a; read b; read c; exit 1; fi; " ANSWER_EACH);
    for (int run = 0; run < 3; run++)
        send_run(run, "");
    until_told(3);
    for (int at = 0; at < 3; at++)
        expect((size_t)at, 2 - at, EXEC_ENDED_NOT_RUN, ""); /* each is put before the ones behind */
    expect_pause();
    for (size_t i = 0; i < EXEC_CAREFUL_RUNS; i++) {
        assert_true(exec_child_can_take(child, exec_child_due_ms(child)));
        send_run(0, "done");
        assert_false(exec_child_can_take(child, now()));
        until_told(4 + i);
        expect(3 + i, 0, EXEC_ENDED_DONE, "");
    }
    send_run(0, "done");
    assert_true(exec_child_can_take(child, now()));
}

static void pauses_grow_and_an_answer_ends_that(void **state)
{
    int64_t longest_ms = 0;
    size_t count = 0;
    (void)state;
    start("if [ -e well ]; then read -r id result error; " ANSWER "; fi; read a");
    for (int i = 0; i < 20; i++) {
        int64_t began_ms = clock_mono_ms();
        send_run(0, "");
        until_told(++count);
        int64_t pause_ms = exec_child_due_ms(child) - began_ms;
        longest_ms = pause_ms > longest_ms ? pause_ms : longest_ms;
    }
    assert_true(longest_ms > 10 * EXEC_RESTART_BASE_MS); /* full jitter: a short one says nothing */
    char path[96];
    snprintf(path, sizeof(path), "%s/well", folder);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    send_run(0, "done");
    until_told(++count);
    expect(count - 1, 0, EXEC_ENDED_DONE, "");
    send_run(0, "");
    int64_t began_ms = clock_mono_ms();
    until_told(++count);
    assert_true(exec_child_due_ms(child) <= clock_mono_ms() + EXEC_RESTART_BASE_MS);
    assert_true(exec_child_due_ms(child) > began_ms);
}

/* --- time ------------------------------------------------------------------------------------- */

static void a_run_beyond_its_limit_is_told_and_the_child_killed(void **state)
{
    (void)state;
    start("read a; echo there >&2; cat >/dev/null");
    set_ms = clock_mono_ms();
    int64_t sent_ms = set_ms;
    send_run(0, "");
    send_run(1, "");
    until_logged("text=there");
    set_ms = sent_ms + LIMIT_MS - 1;
    exec_child_turn(child, set_ms);
    assert_int_equal(told_count, 0);
    set_ms++;
    exec_child_turn(child, set_ms);
    assert_int_equal(told_count, 2);
    expect(0, 0, EXEC_ENDED_TIMEOUT, "time limit");
    expect(1, 1, EXEC_ENDED_NOT_RUN, "");
    assert_true(has_logged("event=processor_timeout"));
    assert_true(has_logged("message_id=a "));
    expect_pause();
}

/* One after the other: the limit of the second begins with the answer to the first. */
static void the_limit_counts_from_the_answer_before(void **state)
{
    (void)state;
    start("read -r id result error; read b; " ANSWER "; cat >/dev/null");
    int64_t sent_ms = set_ms = clock_mono_ms();
    send_run(0, "done");
    send_run(1, "");
    set_ms = sent_ms + LIMIT_MS - 1;
    until_told(1);
    set_ms = sent_ms + 2 * LIMIT_MS - 2;
    exec_child_turn(child, set_ms);
    assert_int_equal(told_count, 1);
    set_ms++;
    exec_child_turn(child, set_ms);
    expect(1, 1, EXEC_ENDED_TIMEOUT, "time limit");
}

/* Answers to others do not keep a run alive beyond all of its limits. */
static void no_run_has_more_than_all_limits_together(void **state)
{
    (void)state;
    start("read a; " ANSWER_EACH);
    int64_t sent_ms = set_ms = clock_mono_ms();
    send_run(0, "");
    size_t count = 0;
    while (set_ms < sent_ms + (EXEC_HAND_MAX - 1) * (int64_t)LIMIT_MS) {
        set_ms += LIMIT_MS / 2;
        send_run(1, "done");
        until_told(++count);
        expect(count - 1, 1, EXEC_ENDED_DONE, "");
    }
    send_run(1, "done");
    until_told(++count);
    set_ms = sent_ms + EXEC_HAND_MAX * (int64_t)LIMIT_MS - 1;
    send_run(1, "done");
    until_told(++count);
    expect(count - 1, 1, EXEC_ENDED_DONE, "");
    set_ms++;
    exec_child_turn(child, set_ms);
    expect(count, 0, EXEC_ENDED_TIMEOUT, "time limit");
}

static void the_turn_is_due_for_the_next_limit(void **state)
{
    (void)state;
    const exec_child_conf_t conf = {.actor = "test",
                                    .command = "cat >/dev/null",
                                    .timeout_ms = 100,
                                    .epoll_fd = epoll_fd,
                                    .told = on_told,
                                    .context = runs};
    child = exec_child_new(&conf);
    int64_t sent_ms = set_ms = clock_mono_ms();
    send_run(0, "");
    assert_int_equal(exec_child_due_ms(child), sent_ms + 100);
    set_ms++;
    send_run(1, ""); /* for which there is more time */
    assert_int_equal(exec_child_due_ms(child), sent_ms + 100);
}

/* --- the group, the end of all ---------------------------------------------------------------- */

/* What it started holds a pipe of ours open as long as it lives. */
static void a_kill_takes_along_what_it_started(void **state)
{
    (void)state;
    int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct pollfd end = {.fd = reader, .events = POLLIN};
    assert_true(reader >= 0);
    start("(exec 5>fifo; echo open >&2; exec sleep 1000) & cat >/dev/null");
    send_run(0, "");
    until_logged("text=open");
    assert_int_equal(poll(&end, 1, 0), 0);
    exec_child_kill(child);
    expect(0, 0, EXEC_ENDED_NOT_RUN, "");
    assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    assert_true((end.revents & POLLHUP) != 0);
    close(reader);
    assert_true(exec_child_can_take(child, now())); /* it was for no fault of its own */
    exec_child_kill(child);                         /* none */
    assert_int_equal(told_count, 1);
}

static void it_may_finish_what_it_has(void **state)
{
    (void)state;
    start(ANSWER_EACH "; echo bye >&2");
    send_run(0, "done");
    send_run(1, "done");
    exec_child_finish(child);
    assert_false(exec_child_can_take(child, now()));
    until_told(2);
    until_logged("text=bye");
    turn_until(is_gone, NULL, "its end"); /* for which there is no pause */
    assert_int_equal(told_count, 2);
    assert_false(has_logged("processor_ended"));
    exec_child_finish(child);
}

static void one_that_dies_while_it_finishes_has_crashed(void **state)
{
    (void)state;
    start("read a; read b; exit 6");
    send_run(0, "");
    exec_child_finish(child);
    until_told(1);
    expect(0, 0, EXEC_ENDED_CRASHED, "has ended");
    assert_true(has_logged("number=6 "));
    expect_pause();
}

/* Its stdin is closed only when all is written. */
static void it_finishes_what_the_pipe_has_not_taken(void **state)
{
    enum { SIZE = 200000 };
    static char line[SIZE + 1];
    (void)state;
    start("cat fifo >/dev/null; while read -r id result error; do error=; " ANSWER
          "; done; echo bye >&2");
    memset(line, 'x', SIZE);
    memcpy(line, "a done ", 7);
    line[SIZE - 1] = '\n';
    send_line(0, "a", line);
    exec_child_finish(child);
    int writer = open(fifo, O_WRONLY | O_CLOEXEC);
    close(writer);
    until_told(1);
    expect(0, 0, EXEC_ENDED_DONE, "");
    until_logged("text=bye");
}

static void freeing_it_tells_nothing(void **state)
{
    (void)state;
    start("cat >/dev/null");
    send_run(0, "");
    exec_child_free(&child);
    assert_null(child);
    assert_int_equal(told_count, 0);
    exec_child_free(&child);
}

/* --- the system ------------------------------------------------------------------------------- */

static int count_open(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void it_gets_no_descriptor_but_its_three(void **state)
{
    enum { OTHER = 77 };
    (void)state;
    start("[ -e /proc/$$/fd/77 ] && echo leaked >&2; echo looked >&2; cat >/dev/null");
    assert_int_equal(dup2(log_reader, OTHER), OTHER); /* which would go along */
    send_run(0, "");
    close(OTHER);
    until_logged("text=looked");
    assert_false(has_logged("text=leaked"));
}

/* Any of its descriptors may be the one too many: its run is not lost, and nothing stays open. */
static void without_descriptors_nothing_runs_and_nothing_leaks(void **state)
{
    struct rlimit before, limit;
    size_t failed = 0;
    int open_before = count_open();
    (void)state;
    start(ANSWER_EACH);
    int first_free = dup(STDIN_FILENO);
    close(first_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t more = 0;; more++) {
        limit = (struct rlimit){(rlim_t)first_free + more, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        send_run(0, "done");
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        until_told(failed + 1);
        if (told[failed].end == EXEC_ENDED_DONE)
            break;
        expect(failed++, 0, EXEC_ENDED_NOT_RUN, "");
        expect_pause();
        assert_int_equal(count_open(), open_before);
    }
    assert_true(failed >= 6); /* each pipe of the three failed at each of its ends */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_run_gets_its_answer),
        TEST(answers_may_come_in_any_order),
        TEST(it_has_so_many_in_hand),
        TEST(a_line_may_come_in_parts),
        TEST(the_longest_line_is_read),
        TEST(a_line_that_does_not_end_is_no_answer),
        TEST(what_is_no_answer_ends_the_child),
        TEST(an_answer_counts_that_came_before_nonsense),
        TEST(a_child_that_does_not_read_holds_nobody_up),
        TEST(what_one_did_not_take_is_not_the_next_one_s),
        TEST(what_it_says_goes_to_the_log_by_lines),
        TEST(a_long_line_of_it_is_cut),
        TEST(what_does_not_end_is_said_all_the_same),
        TEST(its_last_words_are_not_lost),
        TEST(it_may_live_on_without_a_stderr),
        TEST(the_only_run_that_it_read_has_crashed_it),
        TEST(a_signal_that_killed_it_is_told),
        TEST(a_run_that_it_did_not_read_is_innocent),
        TEST(a_command_that_there_is_none_of_runs_nothing),
        TEST(what_it_answered_before_its_end_counts),
        TEST(an_end_is_seen_though_others_hold_its_pipes),
        TEST(after_an_end_with_several_they_come_one_by_one),
        TEST(pauses_grow_and_an_answer_ends_that),
        TEST(a_run_beyond_its_limit_is_told_and_the_child_killed),
        TEST(the_limit_counts_from_the_answer_before),
        TEST(no_run_has_more_than_all_limits_together),
        TEST(the_turn_is_due_for_the_next_limit),
        TEST(a_kill_takes_along_what_it_started),
        TEST(it_may_finish_what_it_has),
        TEST(one_that_dies_while_it_finishes_has_crashed),
        TEST(it_finishes_what_the_pipe_has_not_taken),
        TEST(freeing_it_tells_nothing),
        TEST(it_gets_no_descriptor_but_its_three),
        TEST(without_descriptors_nothing_runs_and_nothing_leaks),
    };
    signal(SIGPIPE, SIG_IGN); /* as the service does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
