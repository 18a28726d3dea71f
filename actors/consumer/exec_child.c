/* SPDX-License-Identifier: Apache-2.0
 * exec_child.c - see exec_child.h. The child is a group of its own, so that what the shell starts goes with it, and it
 * gets no descriptor but its three.
 */
#include "actors/consumer/exec_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"

enum {
    READ_BYTES = 16 * 1024,
    LAST_READS = 5, /* which empty a pipe, though others may hold and fill it */
    LOOK_MS = 500, /* whether it has ended, should its pipes not tell, since others may hold them */
    EXIT_NOT_STARTED = 127,
};

/* A command without them is one program, which takes the shell's place: then nothing stands between it and the
 * kernel's news that the worker was killed. */
#define SHELL_SIGNS "|&;<>()$`\\\"'*?[]#~=%!{}\n"

typedef struct run {
    void *run; /* the caller's */
    char message_id[EXEC_ID_MAX_BYTES];
    size_t message_id_size;
    int64_t sent_ms;
} run_t;

typedef enum child_state { CHILD_NONE, CHILD_RUNS, CHILD_FINISHES } child_state_t;

struct exec_child {
    exec_child_conf_t conf;
    char *script; /* for the shell */
    child_state_t state;
    pid_t pid;
    int in, out, said;         /* ends of its stdin, stdout, stderr; -1: closed */
    run_t hand[EXEC_HAND_MAX]; /* in the order of sending */
    size_t in_hand;
    text_buffer_t to_write, answers, words; /* not yet written; lines that are not whole */
    size_t written;                         /* of to_write */
    int64_t sent_bytes;                     /* to this process */
    bool wants_out;                         /* epoll tells when it takes more */
    int careful;                            /* runs to be answered one by one */
    backoff_t backoff;
    int64_t start_at_ms, heard_ms; /* not before; last answer */
};

/* --- starting --------------------------------------------------------------------------------- */

/* In the new process: only calls that are safe after a fork of a process with threads. */
static _Noreturn void become(const char *script, const int pipes[3])
{
    char *const arguments[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                               (char *)(uintptr_t)script, NULL};
    sigset_t none;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a killed worker takes it along */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++)
        if (dup2(pipes[i], i) != i)
            _exit(EXIT_NOT_STARTED);
    (void)close_range(3, ~0U, 0);
    execv("/bin/sh", arguments);
    _exit(EXIT_NOT_STARTED);
}

/* ends[0] is ours, ends[1] the child's, which stays above 2, since dup2 must not meet it. */
static bool make_pipe(int ends[2], bool child_reads)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC) != 0)
        return false;
    int ours = both[child_reads ? 1 : 0], theirs = both[child_reads ? 0 : 1];
    ends[0] = ours;
    ends[1] = fcntl(theirs, F_DUPFD_CLOEXEC, 3);
    close(theirs);
    must(fcntl(ours, F_SETFL, O_NONBLOCK) == 0);
    return ends[1] >= 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void watch(const exec_child_t *self, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    must(epoll_ctl(self->conf.epoll_fd, operation, fd, &event) == 0);
}

static void start_later(exec_child_t *self, const char *why, int number)
{
    int pause_ms = backoff_next_ms(&self->backoff, random_bits());
    self->start_at_ms = clock_mono_ms() + pause_ms;
    log_event(LOG_WARN, self->conf.actor, "processor_ended", LOG_STR("command", self->conf.command),
              LOG_STR("why", why), LOG_INT("number", number), LOG_INT("retry_ms", pause_ms));
}

static void begin(exec_child_t *self, pid_t pid, const int ours[3])
{
    self->pid = pid;
    self->in = ours[0];
    self->out = ours[1];
    self->said = ours[2];
    self->state = CHILD_RUNS;
    self->written = 0;
    self->sent_bytes = 0;
    self->wants_out = false;
    watch(self, EPOLL_CTL_ADD, self->out, EPOLLIN);
    watch(self, EPOLL_CTL_ADD, self->said, EPOLLIN);
    log_event(LOG_INFO, self->conf.actor, "processor_started",
              LOG_STR("command", self->conf.command), LOG_INT("pid", pid));
}

/* False: the system has no room for it now. */
static bool start(exec_child_t *self)
{
    int ends[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    bool well = make_pipe(ends[0], true) && make_pipe(ends[1], false) && make_pipe(ends[2], false);
    const int theirs[3] = {ends[0][1], ends[1][1], ends[2][1]};
    const int ours[3] = {ends[0][0], ends[1][0], ends[2][0]};
    pid_t pid = well ? fork() : -1;
    int why = errno;
    if (pid == 0)
        become(self->script, theirs);
    for (int i = 0; i < 3; i++)
        close_fd(&ends[i][1]);
    if (pid > 0) {
        (void)setpgid(pid, pid); /* here as well: a kill may come before the child got to it */
        begin(self, pid, ours);
        return true;
    }
    for (int i = 0; i < 3; i++)
        close_fd(&ends[i][0]);
    start_later(self, strerror(why), why);
    return false;
}

/* --- what it says ----------------------------------------------------------------------------- */

static void say(const exec_child_t *self, text_t words)
{
    log_event(LOG_INFO, self->conf.actor, "processor_says", LOG_STR("command", self->conf.command),
              LOG_TEXT("text", words.size > 0 ? words : TEXT("")));
}

/* Appends what is there, at most READ_BYTES. False: it is at its end. */
static bool read_some(int fd, text_buffer_t *to, size_t *got)
{
    ssize_t size = read(fd, text_reserve(to, READ_BYTES), READ_BYTES);
    *got = size > 0 ? (size_t)size : 0;
    to->size += *got;
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

static void drop_front(text_buffer_t *buffer, size_t size)
{
    buffer->size -= size;
    if (buffer->size > 0)
        memmove(buffer->data, buffer->data + size, buffer->size);
}

/* A round's worth at most, so that a child that never stops talking stops nobody else. */
static void read_words(exec_child_t *self)
{
    size_t got;
    if (!read_some(self->said, &self->words, &got)) {
        close_fd(&self->said); /* it may live on without */
        return;
    }
    for (;;) {
        text_t all = text_buffer_view(&self->words);
        const char *end = all.size > 0 ? memchr(all.data, '\n', all.size) : NULL;
        size_t size = end != NULL ? (size_t)(end - all.data) : all.size;
        if (end == NULL && size <= EXEC_SAID_MAX_BYTES)
            return;
        say(self, (text_t){all.data, size < EXEC_SAID_MAX_BYTES ? size : EXEC_SAID_MAX_BYTES});
        drop_front(&self->words, size + (end != NULL));
    }
}

/* What it said when it died mostly says why, also without the end of a line. */
static void read_last_words(exec_child_t *self)
{
    for (int i = 0; i < LAST_READS && self->said >= 0; i++)
        read_words(self);
    if (self->words.size > 0)
        say(self, text_buffer_view(&self->words));
}

/* --- ending ----------------------------------------------------------------------------------- */

static void tell(exec_child_t *self, size_t at, exec_end_t end, text_t error)
{
    void *run = self->hand[at].run;
    self->in_hand--;
    memmove(&self->hand[at], &self->hand[at + 1], (self->in_hand - at) * sizeof(run_t));
    self->conf.told(self->conf.context, run, end, error);
}

/* Nothing of what was sent has left the pipe: it ended for reasons of its own. */
static bool has_read_nothing(const exec_child_t *self)
{
    int unread = 0;
    return self->in >= 0 && ioctl(self->in, FIONREAD, &unread) == 0 && unread == self->sent_bytes;
}

/* Kills the group and waits for the process, which is a moment after SIGKILL. Its exit status. */
static int reap(exec_child_t *self)
{
    int status = 0;
    (void)kill(-self->pid, SIGKILL);
    while (waitpid(self->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    read_last_words(self);
    close_fd(&self->in);
    close_fd(&self->out);
    close_fd(&self->said);
    text_buffer_clear(&self->to_write);
    text_buffer_clear(&self->answers);
    text_buffer_clear(&self->words);
    self->state = CHILD_NONE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
}

static void put_all_back(exec_child_t *self)
{
    while (self->in_hand > 0)
        tell(self, self->in_hand - 1, EXEC_ENDED_NOT_RUN, TEXT(""));
}

/* The child has failed with `end`, which is of the run at `at` when that is known (else EXEC_HAND_MAX). With one
 * run in hand it is known; with several they come one by one from now on. */
static void fail(exec_child_t *self, exec_end_t end, size_t at, const char *why)
{
    bool innocent = end != EXEC_ENDED_TIMEOUT && has_read_nothing(self);
    bool was_asked_to = self->state == CHILD_FINISHES && self->in_hand == 0;
    int number = reap(self);
    if (at == EXEC_HAND_MAX && self->in_hand == 1 && !innocent)
        at = 0;
    if (at < self->in_hand)
        tell(self, at, end, text_of(why));
    else if (self->in_hand > 0 && !innocent)
        self->careful = EXEC_CAREFUL_RUNS;
    put_all_back(self);
    if (!was_asked_to)
        start_later(self, why, number);
}

/* --- writing and reading ---------------------------------------------------------------------- */

static void write_lines(exec_child_t *self)
{
    while (self->written < self->to_write.size) {
        ssize_t size = write(self->in, self->to_write.data + self->written,
                             self->to_write.size - self->written);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno != EAGAIN) /* nobody reads there: its end or the time limit tells */
            self->written = self->to_write.size;
        if (size < 0)
            break;
        self->written += (size_t)size;
        self->sent_bytes += size;
    }
    bool is_left = self->written < self->to_write.size;
    if (!is_left) {
        text_buffer_clear(&self->to_write);
        self->written = 0;
    }
    if (is_left !=
        self->wants_out) /* in the set only then, since one that nobody reads always tells */
        watch(self, is_left ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, self->in, EPOLLOUT);
    self->wants_out = is_left;
    if (!is_left && self->state == CHILD_FINISHES)
        close_fd(&self->in);
}

static size_t find_run(const exec_child_t *self, text_t message_id)
{
    size_t at = 0;
    while (at < self->in_hand &&
           !text_equal((text_t){self->hand[at].message_id, self->hand[at].message_id_size},
                       message_id))
        at++;
    return at;
}

static bool take_answer(exec_child_t *self, text_t line, int64_t now_ms, detail_t *why)
{
    static const exec_end_t ends[] = {[EXEC_DONE] = EXEC_ENDED_DONE,
                                      [EXEC_RETRY] = EXEC_ENDED_RETRY,
                                      [EXEC_DEAD] = EXEC_ENDED_DEAD};
    exec_answer_t answer;
    bool well = exec_answer_parse(&answer, line, why);
    size_t at = well ? find_run(self, answer.message_id) : self->in_hand;
    if (well && at == self->in_hand)
        detail_set(why, 0, "it answers for a message that it does not have in hand");
    if (at < self->in_hand) {
        self->heard_ms = now_ms;
        self->careful -= self->careful > 0;
        backoff_reset(&self->backoff);
        tell(self, at, ends[answer.result], answer.error);
    } else {
        well = false;
    }
    exec_answer_fini(&answer);
    return well;
}

/* Takes the whole lines. False: one of them is no answer. */
static bool take_lines(exec_child_t *self, int64_t now_ms, detail_t *why)
{
    size_t done = 0;
    bool well = true;
    while (well && done < self->answers.size) {
        const char *line = self->answers.data + done;
        const char *end = memchr(line, '\n', self->answers.size - done);
        if (end == NULL)
            break;
        well = take_answer(self, (text_t){line, (size_t)(end - line)}, now_ms, why);
        done += (size_t)(end - line) + 1;
    }
    drop_front(&self->answers, done);
    if (well && self->answers.size > ANSWER_MAX_BYTES) {
        detail_set(why, 0, "a line is longer than %d bytes", ANSWER_MAX_BYTES);
        well = false;
    }
    return well;
}

/* What it said before it ended counts. */
static void read_answers(exec_child_t *self, int64_t now_ms)
{
    detail_t why = {{0}};
    size_t got = 1;
    bool open = true, well = true;
    while (well && open && got > 0) {
        open = read_some(self->out, &self->answers, &got);
        well = take_lines(self, now_ms, &why);
    }
    if (!well)
        fail(self, EXEC_ENDED_BAD_ANSWER, EXEC_HAND_MAX, why.text);
    else if (!open)
        fail(self, EXEC_ENDED_CRASHED, EXEC_HAND_MAX, "the processor has ended");
}

/* --- time ------------------------------------------------------------------------------------- */

static int64_t deadline_of(const exec_child_t *self, size_t at)
{
    const run_t *run = &self->hand[at];
    int64_t from_ms = run->sent_ms > self->heard_ms ? run->sent_ms : self->heard_ms;
    int64_t last_ms = run->sent_ms + EXEC_HAND_MAX * self->conf.timeout_ms;
    int64_t own_ms = at == 0 ? from_ms + self->conf.timeout_ms : last_ms;
    return own_ms < last_ms ? own_ms : last_ms;
}

static void look_at_time(exec_child_t *self, int64_t now_ms)
{
    for (size_t at = 0; at < self->in_hand; at++) {
        if (now_ms < deadline_of(self, at))
            continue;
        const run_t *run = &self->hand[at];
        log_event(LOG_WARN, self->conf.actor, "processor_timeout",
                  LOG_STR("command", self->conf.command),
                  LOG_TEXT("message_id", ((text_t){run->message_id, run->message_id_size})),
                  LOG_INT("limit_ms", self->conf.timeout_ms));
        fail(self, EXEC_ENDED_TIMEOUT, at, "the processor did not answer within its time limit");
        return;
    }
}

/* A process that is gone while others hold its pipes. */
static void look_for_end(exec_child_t *self)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)self->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == self->pid)
        fail(self, EXEC_ENDED_CRASHED, EXEC_HAND_MAX, "the processor has ended");
}

void exec_child_turn(exec_child_t *self, int64_t now_ms)
{
    if (self->state == CHILD_NONE)
        put_all_back(self); /* those that it could not be started for */
    if (self->state != CHILD_NONE && self->in >= 0)
        write_lines(self);
    if (self->state != CHILD_NONE && self->said >= 0)
        read_words(self);
    if (self->state != CHILD_NONE)
        read_answers(self, now_ms);
    if (self->state != CHILD_NONE)
        look_at_time(self, now_ms);
    if (self->state != CHILD_NONE)
        look_for_end(self);
}

int64_t exec_child_due_ms(const exec_child_t *self)
{
    if (self->state == CHILD_NONE)
        return self->start_at_ms > 0 ? self->start_at_ms : INT64_MAX;
    int64_t due_ms = clock_mono_ms() + LOOK_MS;
    for (size_t at = 0; at < self->in_hand; at++)
        if (deadline_of(self, at) < due_ms)
            due_ms = deadline_of(self, at);
    return due_ms;
}

/* --- runs ------------------------------------------------------------------------------------- */

bool exec_child_can_take(const exec_child_t *self, int64_t now_ms)
{
    if (self->state == CHILD_FINISHES || (self->state == CHILD_NONE && now_ms < self->start_at_ms))
        return false;
    return self->in_hand < (self->careful > 0 ? 1 : EXEC_HAND_MAX);
}

void exec_child_send(exec_child_t *self, void *run, text_t message_id, text_t line, int64_t now_ms)
{
    must(self->in_hand < EXEC_HAND_MAX && message_id.size <= EXEC_ID_MAX_BYTES);
    run_t *slot = &self->hand[self->in_hand++];
    *slot = (run_t){.run = run, .message_id_size = message_id.size, .sent_ms = now_ms};
    memcpy(slot->message_id, message_id.data, message_id.size);
    self->start_at_ms = 0;
    if (self->state == CHILD_NONE && !start(self))
        return; /* the next turn tells, since nothing comes back in this call */
    text_add(&self->to_write, line);
    write_lines(self);
}

void exec_child_finish(exec_child_t *self)
{
    if (self->state != CHILD_RUNS)
        return;
    self->state = CHILD_FINISHES;
    if (self->to_write.size == 0)
        close_fd(&self->in);
}

void exec_child_kill(exec_child_t *self)
{
    if (self->state != CHILD_NONE)
        (void)reap(self);
    put_all_back(self);
}

size_t exec_child_in_hand(const exec_child_t *self)
{
    return self->in_hand;
}

/* --- life ------------------------------------------------------------------------------------- */

exec_child_t *exec_child_new(const exec_child_conf_t *conf)
{
    exec_child_t *self = calloc(1, sizeof(*self));
    must(self != NULL);
    self->conf = *conf;
    bool is_simple = strpbrk(conf->command, SHELL_SIGNS) == NULL;
    must(asprintf(&self->script, "%s%s", is_simple ? "exec " : "", conf->command) > 0);
    self->in = self->out = self->said = -1;
    self->backoff = (backoff_t){.base_ms = EXEC_RESTART_BASE_MS, .cap_ms = EXEC_RESTART_CAP_MS};
    return self;
}

void exec_child_free(exec_child_t **self)
{
    exec_child_t *child = *self;
    if (child == NULL)
        return;
    *self = NULL;
    if (child->state != CHILD_NONE)
        (void)reap(child);
    text_buffer_fini(&child->to_write);
    text_buffer_fini(&child->answers);
    text_buffer_fini(&child->words);
    free(child->script);
    free(child);
}
