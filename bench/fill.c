/* SPDX-License-Identifier: Apache-2.0
 * fill.c - a users' database as a service leaves it that has run for long: so many users whose emails fall all over
 * the alphabet, and the last of their events, all confirmed. Through the store's own database, so that it is of
 * whatever form that has.
 *
 *   bench_fill FILE USERS EVENTS
 *
 * Nobody waits for a commit here, so they are large, though each within what the database's log takes. Users are told
 * apart by a number from 1 on, of which bench/users.lua makes the same emails.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/store/database.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

enum { PER_COMMIT = 20000, EMAIL_STEP = 83886043 };

static const int64_t email_prime = 4294967291; /* the largest below 2^32: no two users meet */

typedef struct filling {
    database_t *database;
    int64_t users, events; /* of the last users */
    int64_t begin_us;
    text_buffer_t json, body;
} filling_t;

static void need(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "bench_fill: %s: %s\n", what, error_info(error)->name);
        exit(70);
    }
}

static void make_user(user_t *user, const filling_t *self, int64_t number)
{
    *user = (user_t){.is_valid = true, .version = 1, .sequence = 1};
    user->created_us = user->updated_us = self->begin_us + number * 1000;
    uuid7_make(user->id, user->created_us / 1000);
    snprintf(user->email, sizeof(user->email), "%08" PRIx64 "-%" PRId64 "@example.org",
             (uint64_t)(number * EMAIL_STEP % email_prime), number);
    strcpy(user->email_key, user->email);
    strcpy(user->first_name, "Ada");
    strcpy(user->last_name, "Lovelace");
}

static void append_event(filling_t *self, const user_t *user, int64_t position)
{
    uint8_t id[ID_BYTES];
    uuid7_make(id, user->created_us / 1000);
    text_buffer_clear(&self->json);
    text_buffer_clear(&self->body);
    user_json(&self->json, user);
    event_body_json(&self->body, user->created_us, "user", text_buffer_view(&self->json));
    msg_event_t event = {.position = position,
                         .partition = partition_of(user->id),
                         .kind = EVENT_USER_CREATE,
                         .sequence = 1,
                         .created_us = user->created_us,
                         .id = {(const char *)id, ID_BYTES},
                         .user_id = {(const char *)user->id, ID_BYTES},
                         .request_id = TEXT("00000000-0000-7000-8000-000000000000"),
                         .traceparent = TEXT(""),
                         .tracestate = TEXT(""),
                         .body = text_buffer_view(&self->body)};
    need(self->database->class->event_append(self->database, &event), "an event");
}

static void tidy(filling_t *self)
{
    bool more, asks;
    self->database->class->tidy(self->database, true, &more, &asks, NULL);
}

static void fill(filling_t *self)
{
    const database_class_t *class = self->database->class;
    for (int64_t number = 1; number <= self->users; number++) {
        user_t user;
        if (number % PER_COMMIT == 1)
            need(class->begin(self->database), "begin");
        make_user(&user, self, number);
        need(class->user_insert(self->database, &user), "a user");
        if (number > self->users - self->events)
            append_event(self, &user, number - (self->users - self->events));
        if (number % PER_COMMIT == 0 || number == self->users) {
            need(class->commit(self->database), "commit");
            tidy(self);
        }
        if (number % 1000000 == 0)
            fprintf(stderr, "%" PRId64 " users\n", number);
    }
}

/* All that was announced is confirmed. */
static void confirm(filling_t *self)
{
    const database_class_t *class = self->database->class;
    saved_positions_t positions = {.head = self->events, .low = self->events};
    for (int i = 0; i < PARTITION_COUNT; i++)
        positions.confirmed[i] = self->events;
    need(class->begin(self->database), "begin");
    need(class->positions_save(self->database, &positions, UINT64_MAX), "positions");
    need(class->commit(self->database), "commit");
    tidy(self);
}

int main(int argc, char **argv)
{
    filling_t self = {.users = argc == 4 ? atoll(argv[2]) : 0,
                      .events = argc == 4 ? atoll(argv[3]) : 0,
                      .begin_us = 1767225600000000};
    if (self.users < 1 || self.events < 1 || self.events > self.users) {
        fprintf(stderr, "usage: bench_fill FILE USERS EVENTS (1..USERS)\n");
        return 64;
    }
    char url[4200];
    detail_t detail;
    snprintf(url, sizeof(url), "sqlite:%s", argv[1]);
    if (database_open(&self.database, url, &detail) != 0) {
        fprintf(stderr, "bench_fill: %s\n", detail.text);
        return 70;
    }
    fill(&self);
    confirm(&self);
    database_close(&self.database);
    text_buffer_fini(&self.json);
    text_buffer_fini(&self.body);
    return 0;
}
