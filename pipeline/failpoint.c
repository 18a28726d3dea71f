/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/failpoint.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DELAY_MAX_MS = 600000, HITS_MAX = 1000000000, ITEM_MAX_BYTES = 80, CONFIGURATION_EXIT = 78 };

static failpoint_t points[FAILPOINTS_MAX];
static atomic_llong hits[FAILPOINTS_MAX];
static int point_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* --- the text --------------------------------------------------------------------------------- */

static const struct {
    const char *word; /* with the colon when a number follows */
    failpoint_action_t action;
    int64_t max; /* 0: takes no number */
} actions[] = {
    {"kill:", FAILPOINT_KILL, HITS_MAX},
    {"delay:", FAILPOINT_DELAY, DELAY_MAX_MS},
    {"on", FAILPOINT_SABOTAGE, 0},
    {"every:", FAILPOINT_EVERY, HITS_MAX},
};

static bool parse_number(int64_t *out, const char *text, int64_t max)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out >= 1 && *out <= max;
}

static bool parse_action(failpoint_t *out, const char *text)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        size_t size = strlen(actions[i].word);
        if (strncmp(text, actions[i].word, size) != 0)
            continue;
        out->action = actions[i].action;
        return actions[i].max > 0 ? parse_number(&out->value, text + size, actions[i].max)
                                  : text[size] == '\0';
    }
    return false;
}

/* NAME=ACTION, of so many bytes. */
static bool parse_item(failpoint_t *out, const char *text, size_t size)
{
    char item[ITEM_MAX_BYTES + 1];
    if (size > ITEM_MAX_BYTES)
        return false;
    memcpy(item, text, size);
    item[size] = '\0';
    char *equals = strchr(item, '=');
    if (equals == NULL || equals == item || equals - item > FAILPOINT_NAME_MAX_BYTES)
        return false;
    *equals = '\0';
    *out = (failpoint_t){0};
    memcpy(out->name, item, strlen(item) + 1);
    return parse_action(out, equals + 1);
}

int failpoints_parse(failpoint_t *out, const char *text)
{
    int count = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        if (count == FAILPOINTS_MAX || !parse_item(&out[count++], text, size))
            return -1;
        text += size;
        if (*text == ',' && *++text == '\0')
            return -1;
    }
    return count;
}

/* --- at work ---------------------------------------------------------------------------------- */

static void load(void)
{
    const char *text = getenv("USERBUS_FAILPOINTS");
    point_count = text != NULL ? failpoints_parse(points, text) : 0;
    if (point_count >= 0)
        return;
    fprintf(stderr, "USERBUS_FAILPOINTS cannot be read: '%s'\n", text);
    _exit(CONFIGURATION_EXIT);
}

static int find(const char *name)
{
    (void)pthread_once(&once, load);
    for (int i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0)
            return i;
    return -1;
}

static void wait_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void failpoint_hit(const char *name)
{
    int i = find(name);
    if (i < 0)
        return;
    long long hit = atomic_fetch_add(&hits[i], 1) + 1;
    if (points[i].action == FAILPOINT_KILL && hit == points[i].value) {
        (void)kill(getpid(), SIGKILL);
        for (;;) /* nothing more may happen on this thread until the signal arrives */
            pause();
    }
    if (points[i].action == FAILPOINT_DELAY)
        wait_ms(points[i].value);
}

bool failpoint_is_on(const char *name)
{
    int i = find(name);
    if (i >= 0 && points[i].action == FAILPOINT_EVERY)
        return (atomic_fetch_add(&hits[i], 1) + 1) % points[i].value == 0;
    return i >= 0 && points[i].action == FAILPOINT_SABOTAGE;
}
