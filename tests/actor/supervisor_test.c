/* rooms: pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * supervisor_test.c - the life of actors, with actors made for it: they note what happens to them in
 * an atomic journal, fail when told to, and end by `stop`.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "pipeline/clock.h"
#include "pipeline/supervisor.h"
#include "proto/errors.h"

typedef struct puppet_conf {
    char letter;      /* its mark in the journal: lower case at its end */
    int run_error;    /* 0: ERR_BROKER_DOWN */
    int init_error;   /* of init */
    int run_failures; /* how many of its runs fail at once */
    bool deaf;        /* never ends */
    bool last;        /* when it runs healthily, the process gets SIGTERM */
} puppet_conf_t;

typedef struct puppet {
    const puppet_conf_t *conf;
    actor_self_t self;
} puppet_t;

static char journal[64];
static atomic_int journal_size, runs;

static void note(char letter)
{
    journal[atomic_fetch_add(&journal_size, 1)] = letter;
}

static int puppet_init(void **state, const actor_self_t *self, const void *conf, detail_t *detail)
{
    const puppet_conf_t *puppet_conf = conf;
    if (puppet_conf->init_error != 0)
        return detail_set(detail, puppet_conf->init_error, "%c cannot", puppet_conf->letter);
    puppet_t *puppet = calloc(1, sizeof(*puppet));
    puppet->conf = puppet_conf;
    puppet->self = *self;
    note(puppet_conf->letter);
    *state = puppet;
    return 0;
}

static int puppet_run(void *state, detail_t *detail)
{
    puppet_t *puppet = state;
    if (atomic_fetch_add(&runs, 1) < puppet->conf->run_failures)
        return detail_set(detail,
                          puppet->conf->run_error != 0 ? puppet->conf->run_error : ERR_BROKER_DOWN,
                          "%c fell", puppet->conf->letter);
    if (puppet->conf->last)
        kill(getpid(), SIGTERM);
    frame_reader_t reader = {0};
    message_t message = {.type = MSG_count};
    while (message.type != MSG_stop || puppet->conf->deaf) {
        mailbox_wait(puppet->self.mailbox, -1, 0, -1);
        while (mailbox_receive(puppet->self.mailbox, &reader))
            assert_int_equal(frame_reader_next(&reader, &message), 1);
    }
    frame_reader_fini(&reader);
    return 0;
}

static void puppet_fini(void *state)
{
    puppet_t *puppet = state;
    note((char)(puppet->conf->letter + ('a' - 'A')));
    free(puppet);
}

static const actor_class_t puppet_class = {puppet_init, puppet_run, puppet_fini};

static int reset(void **unused)
{
    (void)unused;
    memset(journal, 0, sizeof(journal));
    atomic_store(&journal_size, 0);
    atomic_store(&runs, 0);
    return 0;
}

static void an_actor_starts_with_a_status_and_stops(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    actor_t *actor = NULL;
    detail_t detail = {{0}};
    puppet_conf_t conf = {.letter = 'A'};
    assert_int_equal(actor_start(&actor, room, "a", &puppet_class, &conf, 5000, &detail), 0);
    assert_non_null(actor);
    assert_int_equal(actor_stop(&actor, 5000), 0);
    assert_null(actor);
    assert_int_equal(actor_stop(&actor, 5000), 0);
    assert_string_equal(journal, "Aa");
    mailroom_close(&room);
}

static void a_failed_init_leaves_nothing_and_says_why(void **unused)
{
    (void)unused;
    mailroom_t *room = mailroom_open();
    actor_t *actor = NULL;
    detail_t detail = {{0}};
    puppet_conf_t bad = {.letter = 'B', .init_error = ERR_DATABASE_OPEN}, good = {.letter = 'G'};
    assert_int_equal(actor_start(&actor, room, "a", &puppet_class, &bad, 5000, &detail),
                     ERR_DATABASE_OPEN);
    assert_null(actor);
    assert_string_equal(detail.text, "B cannot");
    /* The name is free at once. */
    assert_int_equal(actor_start(&actor, room, "a", &puppet_class, &good, 5000, &detail), 0);
    actor_t *twin = NULL;
    assert_int_equal(actor_start(&twin, room, "a", &puppet_class, &good, 5000, &detail),
                     ERR_INTERNAL);
    assert_int_equal(actor_stop(&actor, 5000), 0);
    assert_string_equal(journal, "Gg");
    mailroom_close(&room);
}

static void actors_start_in_order_and_stop_in_reverse(void **unused)
{
    (void)unused;
    static const puppet_conf_t a = {.letter = 'A'}, b = {.letter = 'B'},
                               c = {.letter = 'C', .last = true};
    const supervised_t actors[] = {{"a", &puppet_class, &a, 0, FAILURE_ENDS_ALL},
                                   {"b", &puppet_class, &b, 1, FAILURE_RESTARTS},
                                   {"c", &puppet_class, &c, 2, FAILURE_RESTARTS}};
    supervisor_t *supervisor = NULL;
    detail_t detail = {{0}};
    assert_int_equal(supervisor_start(&supervisor, actors, 3, &detail), 0);
    assert_int_equal(supervisor_run(supervisor, 5000, &detail), 0);
    supervisor_close(&supervisor);
    assert_string_equal(journal, "ABCcba");
}

static void a_failing_start_stops_those_before(void **unused)
{
    (void)unused;
    static const puppet_conf_t a = {.letter = 'A'}, b = {.letter = 'B', .init_error = ERR_LISTEN};
    const supervised_t actors[] = {{"a", &puppet_class, &a, 0, FAILURE_ENDS_ALL},
                                   {"b", &puppet_class, &b, 1, FAILURE_RESTARTS}};
    supervisor_t *supervisor = NULL;
    detail_t detail = {{0}};
    assert_int_equal(supervisor_start(&supervisor, actors, 2, &detail), ERR_LISTEN);
    assert_null(supervisor);
    assert_string_equal(detail.text, "B cannot");
    assert_string_equal(journal, "Aa");
}

static void a_failed_actor_is_started_again(void **unused)
{
    (void)unused;
    static const puppet_conf_t a = {.letter = 'A', .run_failures = 3, .last = true};
    const supervised_t actors[] = {{"a", &puppet_class, &a, 0, FAILURE_RESTARTS}};
    supervisor_t *supervisor = NULL;
    detail_t detail = {{0}};
    assert_int_equal(supervisor_start(&supervisor, actors, 1, &detail), 0);
    assert_int_equal(supervisor_run(supervisor, 5000, &detail), 0);
    supervisor_close(&supervisor);
    assert_string_equal(journal, "AaAaAaAa");
}

static int run_with_failed_disk(on_failure_t on_failure)
{
    static const puppet_conf_t a = {
        .letter = 'A', .run_failures = 2, .run_error = ERR_DATABASE_FATAL, .last = true};
    const supervised_t actors[] = {{"a", &puppet_class, &a, 0, on_failure}};
    supervisor_t *supervisor = NULL;
    detail_t detail = {{0}};
    assert_int_equal(supervisor_start(&supervisor, actors, 1, &detail), 0);
    int error = supervisor_run(supervisor, 5000, &detail);
    supervisor_close(&supervisor);
    return error;
}

static void a_failed_disk_ends_the_process_but_for_one_whose_own_it_is(void **unused)
{
    (void)unused;
    assert_int_equal(run_with_failed_disk(FAILURE_RESTARTS), ERR_DATABASE_FATAL);
    assert_string_equal(journal, "Aa");
    assert_int_equal(reset(NULL), 0);
    assert_int_equal(run_with_failed_disk(FAILURE_IS_ITS_OWN), 0);
    assert_string_equal(journal, "AaAaAa");
}

static void an_actor_that_may_not_fail_ends_the_process(void **unused)
{
    (void)unused;
    static const puppet_conf_t a = {.letter = 'A', .run_failures = 1};
    const supervised_t actors[] = {{"a", &puppet_class, &a, 0, FAILURE_ENDS_ALL}};
    supervisor_t *supervisor = NULL;
    detail_t detail = {{0}};
    assert_int_equal(supervisor_start(&supervisor, actors, 1, &detail), 0);
    assert_int_equal(supervisor_run(supervisor, 5000, &detail), ERR_BROKER_DOWN);
    assert_string_equal(detail.text, "A fell");
    supervisor_close(&supervisor);
    assert_string_equal(journal, "Aa");
}

/* The process ends by itself, so this runs in a child; a forked child of a threaded process must not
 * go on with its parent's state, so it makes its own from the start. */
static void a_missed_stop_deadline_ends_the_process(void **unused)
{
    (void)unused;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const puppet_conf_t a = {.letter = 'A', .deaf = true, .last = true};
        const supervised_t actors[] = {{"a", &puppet_class, &a, 0, FAILURE_RESTARTS}};
        supervisor_t *supervisor = NULL;
        detail_t detail = {{0}};
        if (supervisor_start(&supervisor, actors, 1, &detail) == 0)
            supervisor_run(supervisor, 200, &detail);
        _exit(1); /* not reached when all is well */
    }
    int64_t before = clock_mono_ms();
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 70);
    assert_true(clock_mono_ms() - before < 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_actor_starts_with_a_status_and_stops, reset),
        cmocka_unit_test_setup(a_failed_init_leaves_nothing_and_says_why, reset),
        cmocka_unit_test_setup(actors_start_in_order_and_stop_in_reverse, reset),
        cmocka_unit_test_setup(a_failing_start_stops_those_before, reset),
        cmocka_unit_test_setup(a_failed_actor_is_started_again, reset),
        cmocka_unit_test_setup(a_failed_disk_ends_the_process_but_for_one_whose_own_it_is, reset),
        cmocka_unit_test_setup(an_actor_that_may_not_fail_ends_the_process, reset),
        cmocka_unit_test_setup(a_missed_stop_deadline_ends_the_process, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
