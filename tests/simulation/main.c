/* SPDX-License-Identifier: Apache-2.0
 * main.c - runs seeds; a breach is printed with its seed, its promise and the shortest trace.
 *
 *   userbus_sim [--seeds N] [--from S] [--seed S] [--trace] [--bug NAME] [--list-bugs]
 *
 *   --seeds N     as many seeds, from --from (1) on; 1000
 *   --seed S      this one only
 *   --trace       prints all that happens in it
 *   --bug NAME    puts a bug in that must be found
 *
 * Exit code: 0: every promise held; 1: one was breached; 64: usage.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/bugs.h"
#include "tests/simulation/shrink.h"

enum { EXIT_USAGE = 64, REPORT_SECONDS = 10 };

typedef struct options {
    uint64_t from, count;
    bool trace;
} options_t;

static int usage(void)
{
    fprintf(stderr, "usage: userbus_sim [--seeds N] [--from S] [--seed S] [--trace] [--bug NAME] "
                    "[--list-bugs]\n");
    return EXIT_USAGE;
}

static int list_bugs(void)
{
    for (int bug = BUG_NONE + 1; bug < BUG_COUNT; bug++)
        puts(bug_name((bug_t)bug));
    return 0;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    if (text == NULL || *text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return *end == '\0';
}

static bool parse_option(options_t *out, const char *name, const char *value)
{
    if (strcmp(name, "--seeds") == 0)
        return parse_number(value, &out->count);
    if (strcmp(name, "--from") == 0)
        return parse_number(value, &out->from);
    if (strcmp(name, "--seed") == 0) {
        out->count = 1;
        return parse_number(value, &out->from);
    }
    if (strcmp(name, "--bug") != 0 || value == NULL || bug_find(value) == BUG_COUNT)
        return false;
    bug_set(bug_find(value));
    return true;
}

static void report_breach(plan_t *plan, const outcome_t *found)
{
    printf("seed %" PRIu64 " breaches \"%s\": %s\n", plan->seed, found->promise, found->text);
    outcome_t smallest = shrink(plan, found);
    printf("the shortest run that breaches it: %s\n", smallest.text);
    plan_print(plan, stdout);
    (void)simulation_run(plan, stdout);
    printf("seed %" PRIu64 " breaches \"%s\"\n", plan->seed, found->promise);
}

/* What all runs came to. */
typedef struct totals {
    uint64_t steps, hash;
    int64_t events, simulated_us, reached[REACHED_COUNT];
} totals_t;

static void add_run(totals_t *self, const outcome_t *outcome)
{
    self->steps += outcome->steps;
    self->events += outcome->events;
    self->simulated_us += outcome->ended_us;
    self->hash = (self->hash ^ outcome->hash) * UINT64_C(0x100000001b3);
    for (int i = 0; i < REACHED_COUNT; i++)
        self->reached[i] += outcome->reached[i];
}

static void print_totals(const totals_t *self, const options_t *options)
{
    printf("reached:");
    for (int i = 0; i < REACHED_COUNT; i++)
        printf("%s %s %" PRId64, i > 0 ? "," : "", reached_name((reached_t)i), self->reached[i]);
    printf("\n%" PRIu64 " seeds from %" PRIu64 ": every promise held; %" PRId64 " events, %" PRIu64
           " steps, %.1f simulated hours, hash %016" PRIx64 "\n",
           options->count, options->from, self->events, self->steps,
           (double)self->simulated_us / 3.6e9, self->hash);
}

static int run_seeds(const options_t *options)
{
    static plan_t plan;
    totals_t totals = {0};
    for (uint64_t i = 0; i < options->count; i++) {
        plan_make(&plan, options->from + i);
        if (options->trace)
            plan_print(&plan, stdout);
        outcome_t outcome = simulation_run(&plan, options->trace ? stdout : NULL);
        if (outcome.breached && options->trace)
            return 1;
        if (outcome.breached) {
            report_breach(&plan, &outcome);
            return 1;
        }
        add_run(&totals, &outcome);
    }
    print_totals(&totals, options);
    return 0;
}

int main(int argc, char **argv)
{
    options_t options = {.from = 1, .count = 1000};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list-bugs") == 0)
            return list_bugs();
        if (strcmp(argv[i], "--trace") == 0)
            options.trace = true;
        else if (!parse_option(&options, argv[i], i + 1 < argc ? argv[i + 1] : NULL))
            return usage();
        else
            i++;
    }
    return run_seeds(&options);
}
