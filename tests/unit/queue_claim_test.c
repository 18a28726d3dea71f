/* rooms: consumer storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/consumer/queue_claim.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/errors.h"

static char folder[64], url[128];
static detail_t detail;

static int claim(const char *queue)
{
    int fd = -1, error = queue_claim_take(&fd, url, queue, &detail);
    if (error != 0)
        fail_msg("error %d: %s", error, detail.text);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/claim-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof(url), "sqlite:%s/worker.db", folder);
    return 0;
}

static int tear_down(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s/worker.db-claim", folder);
    unlink(path);
    return rmdir(folder);
}

static void one_has_a_queue_until_it_lets_go(void **state)
{
    (void)state;
    int first = claim("user");
    assert_true(first >= 0);
    assert_int_equal(claim("user"), -1);
    int other = claim("other"); /* another queue of the same file */
    assert_true(other >= 0);
    close(first);
    first = claim("user");
    assert_true(first >= 0);
    close(first);
    close(other);
}

/* However it ended: here by SIGKILL. */
static void a_process_that_ends_lets_go(void **state)
{
    int ready[2], status = 0;
    char byte;
    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = -1;
        byte = queue_claim_take(&fd, url, "user", NULL) == 0 && fd >= 0 ? 'y' : 'n';
        (void)!write(ready[1], &byte, 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(claim("user"), -1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    int fd = claim("user");
    assert_true(fd >= 0);
    close(fd);
    close(ready[0]);
    close(ready[1]);
}

static void a_folder_that_is_missing_is_told(void **state)
{
    int fd = 7;
    (void)state;
    assert_int_equal(queue_claim_take(&fd, "sqlite:/no/such/folder/worker.db", "user", &detail),
                     ERR_DATABASE_OPEN);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(detail.text, "/no/such/folder/worker.db-claim"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_has_a_queue_until_it_lets_go),
        TEST(a_process_that_ends_lets_go),
        TEST(a_folder_that_is_missing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
