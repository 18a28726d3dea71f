/* SPDX-License-Identifier: Apache-2.0
 * replay_test.c - runs one fuzz target over its corpus and its regressions, without a fuzzer: so every build, also
 * one without clang, proves that what was once found stays right.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the others, as it asks */
#include <cmocka.h>

#include "tests/fuzz/fuzz_input.h"

enum { INPUT_MAX = 1 << 20, PATH_SIZE = 512 };

static void replay(const char *path)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    uint8_t *data = malloc(INPUT_MAX);
    assert_non_null(data);
    size_t size = fread(data, 1, INPUT_MAX, file);
    assert_true(size < INPUT_MAX && !ferror(file));
    (void)fclose(file);
    uint8_t *exact = malloc(size > 0 ? size : 1); /* reading beyond it is an error to see */
    assert_non_null(exact);
    memcpy(exact, data, size);
    free(data);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

/* 0: there is no such folder. */
static size_t replay_folder(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[PATH_SIZE];
        if (entry->d_name[0] == '.')
            continue;
        assert_true(snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) < PATH_SIZE);
        fprintf(stderr, "%s\n", path); /* the last one named is the one that failed */
        replay(path);
        count++;
    }
    closedir(entries);
    return count;
}

static void what_was_found_stays_right(void **state)
{
    (void)state;
    assert_true(replay_folder("tests/fuzz/corpus/" FUZZ_TARGET) > 0);
    replay_folder("tests/fuzz/regressions/" FUZZ_TARGET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_found_stays_right)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
