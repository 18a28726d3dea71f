/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/simulation/promises.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/consumer/inbox_database.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

enum { RECORDS_MAX = 8192, GARBAGE_MAX = 64 };

/* One id that was given out: an event's, a user's, or nobody's after a rollback. */
typedef struct record {
    bool committed, seen, failed;
    int64_t parked; /* the number of the last commit of what is parked that had it */
    unsigned user;
    event_kind_t kind;
    int64_t sequence, position, partition;
    uint64_t body_hash;
    int outcome; /* in the inbox, when it was seen */
    int enqueued, destroyed, effects, dead_letters;
} record_t;

typedef struct ledger {
    record_t records[RECORDS_MAX];
    int64_t record_count;
    int64_t by_position[RECORDS_MAX]; /* record; 0: none, since ids count from 1 */
    int64_t head;
    int64_t committed_of_user[PLAN_USERS_MAX][RECORDS_MAX / 4]; /* record by sequence */
    int64_t sequences[PLAN_USERS_MAX];
    int64_t
        all_up_to[PLAN_USERS_MAX]; /* every event of the user up to this sequence was enqueued */
    int64_t writes_up_to[PLAN_USERS_MAX]; /* every write was */
    int64_t done_up_to[PLAN_USERS_MAX];   /* every event is processed, dead, or was destroyed */
    int64_t passed[PARTITION_COUNT];      /* position that was checked */
    int64_t low_passed, events, parkings;
    int8_t events_of_request[PLAN_REQUESTS_MAX + 1];
    bool garbage_dead[GARBAGE_MAX], garbage_destroyed[GARBAGE_MAX];
    int garbage;
    int64_t unsent; /* committed and never enqueued */
} ledger_t;

static ledger_t ledger;

void promises_begin(void)
{
    memset(&ledger, 0, sizeof(ledger));
}

/* --- ids ------------------------------------------------------------------------------------------ */

void __wrap_uuid7_make(uint8_t out[UUID_BYTES], int64_t unix_ms);
void __wrap_uuid7_make(uint8_t out[UUID_BYTES], int64_t unix_ms)
{
    (void)unix_ms;
    int64_t number = ++ledger.record_count;
    must(number < RECORDS_MAX);
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(number >> (24 - 8 * i));
    do {
        uint64_t bits = random_next(&world.random);
        memcpy(out + 8, &bits, 8);
        out[4] = out[5] = 0;
        out[6] = 0x70;
        out[7] = 0;
        out[8] = (uint8_t)(0x80 | (out[8] & 0x3f));
    } while (partition_of(out) >= world.plan->partitions);
}

static int64_t number_of(const uint8_t id[UUID_BYTES])
{
    return (int64_t)id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3];
}

int64_t promise_record_of(text_t message_id)
{
    uint8_t id[UUID_BYTES];
    if (!uuid_parse(id, message_id))
        return -1;
    int64_t number = number_of(id);
    return number >= 1 && number <= ledger.record_count ? number : -1;
}

static record_t *record_at(int64_t record)
{
    must(record >= 1 && record < RECORDS_MAX);
    return &ledger.records[record];
}

unsigned promise_user_of(int64_t record)
{
    return record < 1 || !record_at(record)->committed ? PLAN_USERS_MAX : record_at(record)->user;
}

static uint64_t hash_of(text_t text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool is_read(const record_t *record)
{
    return record->kind == EVENT_USER_READ;
}

/* --- the store ------------------------------------------------------------------------------------ */

void promise_user_committed(const user_t *user)
{
    record_t *record = record_at(number_of(user->id));
    record->user = (unsigned)atoi(user->email_key + 1);
    must(record->user < PLAN_USERS_MAX);
}

static void count_request(text_t request_id)
{
    int64_t request = strtoll(request_id.data + 1, NULL, 10);
    must(request >= 0 && request <= PLAN_REQUESTS_MAX);
    if (++ledger.events_of_request[request] > 1)
        breach("nothing is invented", "request %" PRId64 " has two events", request);
}

int promise_events_of_request(int64_t request)
{
    return ledger.events_of_request[request];
}

static void check_bound(void)
{
    if (ledger.unsent > world.plan->outbox_max_events)
        breach("the outbox is bounded", "%" PRId64 " events wait", ledger.unsent);
}

/* An event is new, in the log or beside it. */
static void add_event(int64_t number, const msg_event_t *event)
{
    record_t *record = record_at(number);
    unsigned user = record_at(number_of((const uint8_t *)event->user_id.data))->user;
    *record = (record_t){.committed = true,
                         .user = user,
                         .kind = (event_kind_t)event->kind,
                         .sequence = event->sequence,
                         .partition = event->partition,
                         .body_hash = hash_of(event->body)};
    if (event->sequence != ledger.sequences[user] + 1)
        breach("sequences have no gaps", "user %u: %" PRId64 " follows %" PRId64, user,
               event->sequence, ledger.sequences[user]);
    if (world.over)
        return;
    must(event->sequence < RECORDS_MAX / 4);
    ledger.sequences[user] = event->sequence;
    ledger.committed_of_user[user][event->sequence] = number;
    ledger.unsent++;
    ledger.events++;
    check_bound();
    count_request(event->request_id);
}

/* One that stands in the log, or beside it, already. */
static void check_same(int64_t number, const msg_event_t *event)
{
    const record_t *record = record_at(number);
    if (record->sequence != event->sequence || record->body_hash != hash_of(event->body) ||
        (int64_t)record->kind != event->kind)
        breach("a duplicate is the same", "event %" PRId64 " of user %u", number, record->user);
}

void promise_event_committed(const msg_event_t *event)
{
    int64_t number = number_of((const uint8_t *)event->id.data);
    record_t *record = record_at(number);
    if (record->committed)
        check_same(number, event);
    else
        add_event(number, event);
    trace("committed", "database", number, event->position);
    if (TRACING)
        trace_text("           event %" PRId64 " is user %u's %" PRId64 ". %s, position %" PRId64
                   ", partition %" PRId64,
                   number, record->user, event->sequence, event_kind_name(record->kind),
                   event->position, event->partition);
    if (event->position != ledger.head + 1)
        breach("positions have no gaps", "%" PRId64 " follows %" PRId64, event->position,
               ledger.head);
    if (world.over)
        return;
    must(event->position < RECORDS_MAX);
    ledger.head = record->position = event->position;
    ledger.by_position[event->position] = number;
}

void promise_parked_committed(const msg_event_t *events, size_t count)
{
    ledger.parkings++;
    for (size_t i = 0; i < count && !world.over; i++) {
        int64_t number = number_of((const uint8_t *)events[i].id.data);
        record_t *record = record_at(number);
        if (record->committed)
            check_same(number, &events[i]);
        else
            add_event(number, &events[i]);
        if (record->parked != ledger.parkings - 1 || ledger.parkings == 1)
            trace("parked", "database", number, events[i].sequence);
        record->parked = ledger.parkings;
    }
}

static void check_left(int64_t position, int64_t partition, const char *what)
{
    int64_t number = position <= ledger.head ? ledger.by_position[position] : 0;
    const record_t *record = number > 0 ? record_at(number) : NULL;
    if (record == NULL || (partition >= 0 && record->partition != partition))
        return;
    bool is_parked = record->parked > 0 && record->parked == ledger.parkings;
    /* One that was parked may stand in the log again, further on. */
    if (record->enqueued == 0 && !is_parked && record->position == position)
        breach("a position is not saved before its events are sent",
               "%s passes position %" PRId64 ", event %" PRId64 " of user %u", what, position,
               number, record->user);
}

void promise_positions_committed(const saved_positions_t *positions)
{
    for (int i = 0; i < PARTITION_COUNT; i++)
        for (; ledger.passed[i] < positions->confirmed[i]; ledger.passed[i]++)
            check_left(ledger.passed[i] + 1, i, "a partition's");
    for (; ledger.low_passed < positions->low; ledger.low_passed++)
        check_left(ledger.low_passed + 1, -1, "the low");
}

void promise_trimmed(int64_t position)
{
    check_left(position, -1, "the trim");
}

/* --- the broker ------------------------------------------------------------------------------------ */

/* First deliveries: an event may pass none of its user's, but a read may pass reads. */
static void check_order(int64_t number)
{
    const record_t *record = record_at(number);
    unsigned user = record->user;
    int64_t *all = &ledger.all_up_to[user], *writes = &ledger.writes_up_to[user];
    const int64_t *of_user = ledger.committed_of_user[user];
    while (*all < ledger.sequences[user] && record_at(of_user[*all + 1])->enqueued > 0)
        ++*all;
    while (*writes < ledger.sequences[user] && (record_at(of_user[*writes + 1])->enqueued > 0 ||
                                                is_read(record_at(of_user[*writes + 1]))))
        ++*writes;
    /* `all` counts this one already. */
    int64_t passed = is_read(record) ? *writes + 1 : *all + 1;
    if (passed < record->sequence)
        breach("in order per user", "user %u: %" PRId64 ". %s is sent before %" PRId64 ". %s", user,
               record->sequence, event_kind_name(record->kind), passed,
               event_kind_name(record_at(of_user[passed])->kind));
}

static int64_t header_number(const broker_message_t *message, const char *key)
{
    for (size_t i = 0; i < message->header_count; i++)
        if (text_equal(message->headers[i].key, text_of(key)))
            return strtoll(message->headers[i].value.data, NULL, 10);
    return 0;
}

void promise_enqueued(int64_t number, const broker_message_t *message)
{
    record_t *record = number > 0 ? record_at(number) : NULL;
    if (record == NULL || !record->committed) {
        breach("nothing is invented", "a message of no committed event, number %" PRId64, number);
        return;
    }
    char sequence[24];
    int size = snprintf(sequence, sizeof(sequence), "%" PRId64, record->sequence);
    (void)size;
    if (header_number(message, "cloudEvents_sequence") != record->sequence ||
        hash_of(message->body) != record->body_hash ||
        !text_equal(message->type, text_of(event_kind_name(record->kind))))
        breach("a duplicate is the same", "event %" PRId64 " of user %u", number, record->user);
    if (record->enqueued++ == 0) {
        ledger.unsent--;
        check_order(number);
    }
}

static int garbage_of(text_t message_id)
{
    int number = -1;
    if (message_id.size > 8 && message_id.size < 20 && memcmp(message_id.data, "garbage-", 8) == 0)
        number = atoi(message_id.data + 8);
    return number;
}

void promise_garbage(int number)
{
    must(number < GARBAGE_MAX);
    ledger.garbage = number + 1;
}

void promise_dead_letter(int64_t number, text_t message_id)
{
    int garbage = garbage_of(message_id);
    if (garbage >= 0)
        ledger.garbage_dead[garbage] = true;
    else if (number > 0 && !record_at(number)->failed)
        breach("only what cannot be processed is a dead letter", "event %" PRId64, number);
    else if (number > 0)
        record_at(number)->dead_letters++;
}

void promise_acked(int64_t number, bool garbage, text_t message_id)
{
    if (garbage && !ledger.garbage_dead[garbage_of(message_id)])
        breach("an ack comes after its dead letter's confirm", "%.*s", (int)message_id.size,
               message_id.data);
    if (!garbage && number > 0 && promise_outcome_seen(number) == INBOX_DEAD &&
        record_at(number)->dead_letters == 0)
        breach("an ack comes after its dead letter's confirm", "event %" PRId64, number);
    if (!garbage && number > 0 && !record_at(number)->seen)
        breach("an ack comes after the commit", "event %" PRId64 " of user %u", number,
               record_at(number)->user);
}

void promise_destroyed(int64_t number, bool garbage, text_t message_id)
{
    if (garbage)
        ledger.garbage_destroyed[garbage_of(message_id)] = true;
    else if (number > 0)
        record_at(number)->destroyed++;
}

/* --- the worker ------------------------------------------------------------------------------------- */

int promise_outcome_seen(int64_t number)
{
    return record_at(number)->seen ? record_at(number)->outcome : -1;
}

void promise_seen_committed(int64_t number, int outcome)
{
    record_at(number)->seen = true;
    record_at(number)->outcome = outcome;
}

void promise_failed(int64_t number)
{
    record_at(number)->failed = true;
}

/* A dead one that comes again before its letter is confirmed is run again, as one that is replayed. */
static bool is_over(const record_t *record)
{
    bool dead = record->seen && record->outcome == INBOX_DEAD;
    return dead || record->effects > 0 || record->destroyed > 0 || record->dead_letters > 0;
}

/* Everything of the user that was sent before is done or dead, but reads may pass reads. */
static void check_effect_order(const record_t *record)
{
    const int64_t *of_user = ledger.committed_of_user[record->user];
    int64_t *done = &ledger.done_up_to[record->user];
    for (int64_t i = *done + 1; i < record->sequence; i++) {
        const record_t *earlier = record_at(of_user[i]);
        bool over = is_over(earlier);
        if (over && i == *done + 1)
            ++*done;
        if (!over && !(is_read(record) && is_read(earlier)))
            breach("effects are in order per user",
                   "user %u: %" PRId64 ". %s before %" PRId64 ". %s", record->user,
                   record->sequence, event_kind_name(record->kind), i,
                   event_kind_name(earlier->kind));
    }
}

void promise_effect_committed(int64_t number)
{
    record_t *record = record_at(number);
    trace("effect", "inbox", number, record->effects);
    if (++record->effects > 1)
        breach("the worker's effect is there once", "event %" PRId64 " of user %u has it %d times",
               number, record->user, record->effects);
    if (record->enqueued == 0)
        breach("nothing is invented", "an effect of event %" PRId64 ", which was not sent", number);
    check_effect_order(record);
}

/* --- the end ---------------------------------------------------------------------------------------- */

static const char *open_record(int64_t number)
{
    static char text[160];
    const record_t *record = record_at(number);
    const char *what = NULL;
    if (record->enqueued == 0)
        what = "is not in the queue";
    else if (record->effects == 0 && record->dead_letters == 0 &&
             record->destroyed < record->enqueued)
        what = "was not processed";
    if (what == NULL)
        return NULL;
    snprintf(text, sizeof(text),
             "event %" PRId64 " (user %u's %" PRId64 ". %s, position %" PRId64 ") %s", number,
             record->user, record->sequence, event_kind_name(record->kind), record->position, what);
    return text;
}

const char *promises_open(uint64_t but_users)
{
    const char *open = NULL;
    for (int64_t number = 1; number <= ledger.record_count && open == NULL; number++)
        if (record_at(number)->committed && (but_users >> record_at(number)->user & 1) == 0)
            open = open_record(number);
    for (int i = 0; i < ledger.garbage && open == NULL; i++)
        if (!ledger.garbage_dead[i] && !ledger.garbage_destroyed[i])
            open = "a message that is no event is not among the dead letters";
    return open;
}

int64_t promises_events(void)
{
    return ledger.events;
}
