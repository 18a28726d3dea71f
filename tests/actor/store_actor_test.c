/* rooms: store pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * The store through its mailbox: this test stands where http.0 and the bridges would. */
#include "actors/store/store_actor.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "proto/event.h"

enum { PATIENCE_MS = 10000, CREDIT = 1000, MOST_BRIDGES = 2 };

static char folder[64], path[128], url[160];
static store_conf_t conf;
static mailroom_t *room;
static mailbox_t *http, *bridges[MOST_BRIDGES];
static sender_t *to_store;
static actor_t *store;
static frame_t frame;
static detail_t detail;

/* The messages of one mailbox, one by one, as copies of their texts. */
typedef struct inbox {
    mailbox_t **mailbox;
    frame_reader_t reader;
    bool in_frame;
    int64_t life; /* of a bridge's: which the frame is for */
} inbox_t;

static inbox_t replies = {.mailbox = &http};
static inbox_t events[MOST_BRIDGES] = {{.mailbox = &bridges[0]}, {.mailbox = &bridges[1]}};

/* --- the store's life ------------------------------------------------------------------------- */

static void open_store(void)
{
    if (actor_start(&store, room, "store", &store_actor, &conf, PATIENCE_MS, &detail) != 0)
        fail_msg("%s", detail.text);
    sender_close(&to_store); /* which led to the mailbox of a store before */
    to_store = sender_open(room, "store");
}

static void stop_store(void)
{
    assert_int_equal(actor_stop(&store, PATIENCE_MS), 0);
}

/* The level is read by all threads, so it is set before there are any. */
static int set_up_logging(int least)
{
    log_set_level(least);
    snprintf(folder, sizeof(folder), "/tmp/userbus-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/users.db", folder);
    snprintf(url, sizeof(url), "sqlite:%s", path);
    conf = (store_conf_t){.database_url = url,
                          .queue = "user",
                          .http_count = 1,
                          .bridge_count = 1,
                          .read_events = true,
                          .outbox_max_events = 100000,
                          .outbox_max_bytes = INT64_C(1) << 40,
                          .lane_max_events = 1000,
                          .lane_retry_ms = 10,
                          .lane_retry_max_ms = 20,
                          .event_retention_s = 3600};
    replies.in_frame = events[0].in_frame = events[1].in_frame = false;
    room = mailroom_open();
    assert_int_equal(mailbox_open(&http, room, "http.0"), 0);
    assert_int_equal(mailbox_open(&bridges[0], room, "bridge.0"), 0);
    assert_int_equal(mailbox_open(&bridges[1], room, "bridge.1"), 0);
    open_store();
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_logging(LOG_ERROR);
}

/* For a test in which an error is to be expected. */
static int set_up_silent(void **state)
{
    (void)state;
    return set_up_logging(LOG_ERROR + 1);
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    actor_stop(&store, PATIENCE_MS);
    sender_close(&to_store);
    mailbox_close(&http);
    mailbox_close(&bridges[0]);
    mailbox_close(&bridges[1]);
    mailroom_close(&room);
    frame_clear(&frame);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

/* --- talking to it ---------------------------------------------------------------------------- */

/* Every frame to a bridge begins with its life. */
static void read_life(inbox_t *self)
{
    message_t message;
    assert_int_equal(frame_reader_next(&self->reader, &message), 1);
    assert_int_equal(message.type, MSG_bridge_attached);
    self->life = message.bridge_attached.attach_id;
}

/* False: nothing came within the time. */
static bool receive(inbox_t *self, message_t *out, int timeout_ms)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    for (;;) {
        if (self->in_frame) {
            int got = frame_reader_next(&self->reader, out);
            assert_true(got >= 0);
            if (got == 1)
                return true;
        }
        self->in_frame = mailbox_receive(*self->mailbox, &self->reader);
        if (self->in_frame && self != &replies)
            read_life(self);
        if (self->in_frame)
            continue;
        int64_t left_ms = deadline_ms - clock_mono_ms();
        if (left_ms <= 0)
            return false;
        mailbox_wait(*self->mailbox, -1, 0, (int)left_ms);
    }
}

static void post(void)
{
    sender_send(to_store, &frame);
}

static message_t last_reply;

static const msg_user_reply_t *next_reply(uint64_t corr)
{
    if (!receive(&replies, &last_reply, PATIENCE_MS))
        fail_msg("no reply came");
    assert_int_equal(last_reply.type, MSG_user_reply);
    assert_int_equal(last_reply.corr, corr);
    return &last_reply.user_reply;
}

static const msg_event_t *next_event(unsigned bridge)
{
    static message_t message;
    if (!receive(&events[bridge], &message, PATIENCE_MS))
        fail_msg("no event came");
    assert_int_equal(message.type, MSG_event);
    return &message.event;
}

static void no_event(unsigned bridge)
{
    message_t message;
    assert_false(receive(&events[bridge], &message, 100));
}

static void attach(unsigned bridge, int64_t attach_id, int64_t credit)
{
    const msg_bridge_attach_t message = {bridge, attach_id, credit};
    frame_add(&frame, MSG_bridge_attach, 0, &message);
    post();
}

static void confirm(const msg_event_t *event, int64_t attach_id)
{
    const int64_t bridge = event->partition % conf.bridge_count;
    const msg_confirmed_position_t position = {event->partition, event->position, bridge,
                                               attach_id};
    const msg_bridge_credit_t credit = {bridge, attach_id, 1, event_bytes(event)};
    frame_add(&frame, MSG_confirmed_position, 0, &position);
    frame_add(&frame, MSG_bridge_credit, 0, &credit);
    post();
}

static void add_create(uint64_t corr, const char *email)
{
    const msg_user_create_t message = {.request_id = TEXT("r-1"),
                                       .traceparent = TEXT("trace"),
                                       .email = text_of(email),
                                       .email_key = text_of(email),
                                       .first_name = TEXT("Ada"),
                                       .last_name = TEXT("Lovelace"),
                                       .is_valid = 1};
    frame_add(&frame, MSG_user_create, corr, &message);
}

static const msg_user_reply_t *create(const char *email)
{
    add_create(1, email);
    post();
    return next_reply(1);
}

static const msg_user_reply_t *read_user(const char *email)
{
    const msg_user_read_t message = {.request_id = TEXT("r-2"), .email_key = text_of(email)};
    frame_add(&frame, MSG_user_read, 2, &message);
    post();
    return next_reply(2);
}

static const msg_user_reply_t *delete_user(const char *email)
{
    const msg_user_delete_t message = {.request_id = TEXT("r-3"), .email_key = text_of(email)};
    frame_add(&frame, MSG_user_delete, 3, &message);
    post();
    return next_reply(3);
}

static const msg_user_reply_t *update_user(msg_user_update_t message)
{
    message.request_id = TEXT("r-4");
    frame_add(&frame, MSG_user_update, 4, &message);
    post();
    return next_reply(4);
}

static void expect_in(text_t body, const char *part)
{
    if (memmem(body.data, body.size, part, strlen(part)) == NULL)
        fail_msg("%.*s has no %s", (int)body.size, body.data, part);
}

static void execute(const char *sql)
{
    sqlite3 *connection;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    sqlite3_busy_timeout(connection, PATIENCE_MS);
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(connection);
}

static int64_t number(const char *sql)
{
    sqlite3 *connection;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    sqlite3_busy_timeout(connection, PATIENCE_MS);
    assert_int_equal(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return value;
}

static void wait_for(const char *sql, int64_t expected)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    while (number(sql) != expected)
        if (clock_mono_ms() > deadline_ms)
            fail_msg("%s never became %lld", sql, (long long)expected);
}

/* --- users ------------------------------------------------------------------------------------ */

static void a_user_is_created_with_its_event(void **state)
{
    (void)state;
    attach(0, 5, CREDIT);
    const msg_user_reply_t *reply = create("ada@example.org");
    assert_int_equal(reply->error, 0);
    assert_int_equal(reply->version, 1);
    assert_int_equal(reply->id.size, ID_BYTES);
    expect_in(reply->body, "\"email\": \"ada@example.org\", \"first_name\": \"Ada\"");
    expect_in(reply->body, "\"view_count\": 0, \"is_valid\": true, \"version\": 1");
    const msg_event_t *event = next_event(0);
    assert_int_equal(event->position, 1);
    assert_int_equal(event->kind, EVENT_USER_CREATE);
    assert_int_equal(event->sequence, 1);
    assert_true(text_equal(event->user_id, reply->id));
    assert_int_equal(event->partition, partition_of((const uint8_t *)reply->id.data));
    assert_true(text_equal(event->request_id, TEXT("r-1")));
    assert_true(text_equal(event->traceparent, TEXT("trace")));
    expect_in(event->body, "{\"created_at\": \"20");
    expect_in(event->body, "\", \"queue\": \"user\", \"context\": {\"id\": \"");
    assert_non_null(memmem(event->body.data, event->body.size, reply->body.data, reply->body.size));
}

static void every_change_is_one_version_and_one_event(void **state)
{
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    expect_in(read_user("a@b")->body, "\"view_count\": 1");
    assert_int_equal(last_reply.user_reply.version, 1); /* a view is no write */
    const msg_user_update_t update = {
        .email_key = TEXT("a@b"), .new_first_name = TEXT("Grace"), .new_is_valid = -1};
    expect_in(update_user(update)->body, "\"first_name\": \"Grace\", \"last_name\": \"Lovelace\"");
    assert_int_equal(last_reply.user_reply.version, 2);
    expect_in(delete_user("a@b")->body, "\"is_valid\": false, \"version\": 3");
    for (int i = 0; i < 4; i++) {
        static const event_kind_t kinds[] = {EVENT_USER_CREATE, EVENT_USER_READ, EVENT_USER_UPDATE,
                                             EVENT_USER_DELETE};
        const msg_event_t *event = next_event(0);
        assert_int_equal(event->kind, kinds[i]);
        assert_int_equal(event->sequence, i + 1);
        assert_int_equal(event->position, i + 1);
    }
}

static void a_write_that_changes_nothing_is_no_event(void **state)
{
    const msg_user_update_t same = {
        .email_key = TEXT("a@b"), .new_first_name = TEXT("Ada"), .new_is_valid = 1};
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    next_event(0);
    assert_int_equal(update_user(same)->version, 1);
    delete_user("a@b");
    assert_int_equal(next_event(0)->kind, EVENT_USER_DELETE);
    assert_int_equal(delete_user("a@b")->version, 2);
    no_event(0);
}

static void a_taken_email_fails_alone(void **state)
{
    (void)state;
    attach(0, 5, CREDIT);
    add_create(1, "a@b");
    add_create(2, "a@b");
    add_create(3, "c@d");
    post();
    assert_int_equal(next_reply(1)->error, 0);
    assert_int_equal(next_reply(2)->error, ERR_EMAIL_TAKEN);
    assert_int_equal(next_reply(3)->error, 0);
    assert_int_equal(next_event(0)->position, 1);
    assert_int_equal(next_event(0)->position, 2);
    no_event(0);
    const msg_user_update_t take = {.email_key = TEXT("c@d"),
                                    .new_email = TEXT("a@b"),
                                    .new_email_key = TEXT("a@b"),
                                    .new_is_valid = -1};
    assert_int_equal(update_user(take)->error, ERR_EMAIL_TAKEN);
    expect_in(read_user("c@d")->body, "\"view_count\": 1, \"is_valid\": true, \"version\": 1");
}

static void nobody_is_not_found(void **state)
{
    const msg_user_read_t by_id = {.request_id = TEXT("r"), .id = TEXT("0123456789abcdef")};
    (void)state;
    assert_int_equal(read_user("nobody@example.org")->error, ERR_USER_NOT_FOUND);
    assert_int_equal(delete_user("nobody@example.org")->error, ERR_USER_NOT_FOUND);
    frame_add(&frame, MSG_user_read, 9, &by_id);
    post();
    assert_int_equal(next_reply(9)->error, ERR_USER_NOT_FOUND);
    assert_int_equal(number("SELECT count(*) FROM event"), 0);
}

static void reads_may_be_silent(void **state)
{
    (void)state;
    stop_store();
    conf.read_events = false;
    open_store();
    attach(0, 5, CREDIT);
    create("a@b");
    next_event(0);
    expect_in(read_user("a@b")->body, "\"view_count\": 0");
    assert_int_equal(last_reply.user_reply.uncounted, 1);
    assert_int_equal(last_reply.user_reply.version, 1);
    assert_int_equal(read_user("nobody@b")->error, ERR_USER_NOT_FOUND);
    no_event(0);
}

/* Somebody else's transaction is in the way of writes only. */
static void silent_reads_need_no_lock(void **state)
{
    const msg_user_read_t read = {.request_id = TEXT("r"), .email_key = TEXT("a@b")};
    const msg_user_list_t list = {.request_id = TEXT("r"), .limit = 2};
    const msg_health_t health = {.request_id = TEXT("r")};
    sqlite3 *connection;
    (void)state;
    stop_store();
    conf.read_events = false;
    open_store();
    create("a@b");
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    sqlite3_busy_timeout(connection, PATIENCE_MS); /* the store may just be writing */
    assert_int_equal(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    frame_add(&frame, MSG_user_read, 3, &read);
    frame_add(&frame, MSG_user_list, 4, &list);
    frame_add(&frame, MSG_health, 5, &health);
    post();
    expect_in(next_reply(3)->body, "\"email\": \"a@b\"");
    expect_in(next_reply(4)->body, "a@b");
    assert_int_equal(next_reply(5)->uncounted, 0); /* nothing was refused */
    frame_add(&frame, MSG_user_read, 6, &read);
    add_create(7, "c@d");
    post();
    expect_in(next_reply(6)->body, "\"email\": \"a@b\"");
    assert_int_equal(next_reply(7)->error, ERR_STORE_UNAVAILABLE);
    frame_add(&frame, MSG_health, 8, &health);
    post();
    assert_int_equal(next_reply(8)->uncounted, 1);
    sqlite3_close(connection);
}

static void a_silent_read_sees_what_was_written_before(void **state)
{
    const msg_user_read_t read = {.request_id = TEXT("r"), .email_key = TEXT("c@d")};
    (void)state;
    stop_store();
    conf.read_events = false;
    open_store();
    attach(0, 5, CREDIT);
    for (int round = 0; round < 2; round++) {
        frame_add(&frame, MSG_user_read, 1, &read);
        if (round == 0)
            add_create(2, "c@d");
        frame_add(&frame, MSG_user_read, 3, &read);
        post();
        assert_int_equal(next_reply(1)->error, round == 0 ? ERR_USER_NOT_FOUND : 0);
        if (round == 0)
            assert_int_equal(next_reply(2)->error, 0);
        expect_in(next_reply(3)->body, "\"email\": \"c@d\"");
    }
    assert_int_equal(next_event(0)->position, 1);
    no_event(0);
}

static void pages_follow_each_other(void **state)
{
    msg_user_list_t list = {.request_id = TEXT("r"), .limit = 2};
    char cursor[ID_BYTES];
    (void)state;
    for (int i = 0; i < 5; i++) {
        char email[16];
        snprintf(email, sizeof(email), "u%d@b", i);
        create(email);
    }
    for (int page = 0; page < 3; page++) {
        frame_add(&frame, MSG_user_list, 7, &list);
        post();
        const msg_user_reply_t *reply = next_reply(7);
        char first[16];
        snprintf(first, sizeof(first), "u%d@b", 2 * page);
        expect_in(reply->body, "{\"users\": [{\"id\": ");
        expect_in(reply->body, first);
        expect_in(reply->body, page < 2 ? "], \"next\": \"" : "], \"next\": null}");
        assert_int_equal(reply->next.size, page < 2 ? ID_BYTES : 0);
        if (page < 2)
            memcpy(cursor, reply->next.data, ID_BYTES);
        list.after = (text_t){cursor, ID_BYTES};
    }
    list.after = TEXT("0123456789abcdef");
    frame_add(&frame, MSG_user_list, 8, &list);
    post();
    assert_int_equal(next_reply(8)->error, ERR_BAD_QUERY);
}

static void it_says_that_it_is_well(void **state)
{
    const msg_health_t health = {.request_id = TEXT("r")};
    (void)state;
    frame_add(&frame, MSG_health, 6, &health);
    post();
    assert_int_equal(next_reply(6)->error, 0);
}

/* --- the outbox ------------------------------------------------------------------------------- */

static void what_was_not_confirmed_comes_again_in_the_next_life(void **state)
{
    int64_t second;
    char id[ID_BYTES];
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    create("c@d");
    confirm(next_event(0), 5);
    const msg_event_t *event = next_event(0);
    second = event->position;
    memcpy(id, event->id.data, ID_BYTES);
    stop_store();
    open_store();
    attach(0, 6, CREDIT);
    event = next_event(0);
    assert_int_equal(event->position, second);
    assert_memory_equal(event->id.data, id, ID_BYTES); /* the same message_id */
    expect_in(event->body, "c@d");
    no_event(0);
    confirm(event, 6);
    stop_store();
    open_store();
    attach(0, 7, CREDIT);
    no_event(0);
    create("e@f");
    assert_int_equal(next_event(0)->position, second + 1);
}

static void what_a_bridge_is_sent_names_the_life_it_is_for(void **state)
{
    (void)state;
    attach(0, 5, CREDIT);
    no_event(0);
    assert_int_equal(events[0].life, 5); /* it was answered at once */
    create("a@b");
    assert_int_equal(next_event(0)->position, 1);
    assert_int_equal(events[0].life, 5);
    attach(0, 6, CREDIT); /* its mailbox is the same here, so both lives' frames are in it */
    assert_int_equal(next_event(0)->position, 1);
    assert_int_equal(events[0].life, 6);
}

/* Its sender is another one than the next life's, so their messages may change places. */
static void an_attach_that_comes_after_that_of_the_next_life_is_ignored(void **state)
{
    (void)state;
    attach(0, 6, CREDIT);
    attach(0, 5, CREDIT);
    create("a@b");
    const msg_event_t *event = next_event(0);
    assert_int_equal(event->position, 1);
    assert_int_equal(events[0].life, 6);
    confirm(event, 6);
    no_event(0);
    assert_int_equal(events[0].life, 6);
    wait_for("SELECT count(*) FROM position WHERE partition < 64 AND confirmed = 1", 1);
}

static void a_bridge_that_starts_again_gets_all_it_did_not_confirm(void **state)
{
    (void)state;
    attach(0, 5, CREDIT);
    for (int i = 0; i < 10; i++) {
        char email[16];
        snprintf(email, sizeof(email), "u%d@b", i);
        create(email);
    }
    for (int i = 0; i < 10; i++)
        next_event(0);
    mailbox_close(&bridges[0]);
    events[0].in_frame = false;
    assert_int_equal(mailbox_open(&bridges[0], room, "bridge.0"), 0);
    attach(0, 6, CREDIT);
    for (int i = 0; i < 10; i++)
        assert_int_equal(next_event(0)->position, i + 1);
    no_event(0);
}

static void nobody_is_sent_more_than_it_asked_for(void **state)
{
    enum { COUNT = 600 };
    (void)state;
    attach(0, 5, 2);
    for (int i = 0; i < COUNT; i++) {
        char email[16];
        snprintf(email, sizeof(email), "u%d@b", i);
        add_create((uint64_t)i + 1, email);
    }
    post();
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(next_reply((uint64_t)i + 1)->error, 0);
    assert_int_equal(next_event(0)->position, 1);
    assert_int_equal(next_event(0)->position, 2);
    no_event(0);
    const msg_bridge_credit_t more = {0, 5, COUNT, 0};
    frame_add(&frame, MSG_bridge_credit, 0, &more);
    post();
    for (int i = 2; i < COUNT; i++)
        assert_int_equal(next_event(0)->position, i + 1);
    no_event(0);
}

static void users_are_divided_among_bridges(void **state)
{
    int got[2] = {0, 0};
    (void)state;
    stop_store();
    conf.bridge_count = 2;
    open_store();
    attach(0, 5, CREDIT);
    attach(1, 6, CREDIT);
    for (int i = 0; i < 40; i++) {
        char email[16];
        snprintf(email, sizeof(email), "u%d@b", i);
        const msg_user_reply_t *reply = create(email);
        unsigned bridge = partition_of((const uint8_t *)reply->id.data) % 2;
        assert_int_equal(next_event(bridge)->position, i + 1);
        got[bridge]++;
    }
    assert_true(got[0] > 0 && got[1] > 0);
    no_event(0);
    no_event(1);
}

static void a_full_outbox_refuses_what_makes_an_event(void **state)
{
    (void)state;
    stop_store();
    conf.outbox_max_events = 1000;
    open_store();
    for (int i = 0; i < 1000; i++) {
        char email[16];
        snprintf(email, sizeof(email), "u%d@b", i);
        add_create((uint64_t)i + 1, email);
    }
    add_create(1001, "late@b");
    post();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(next_reply((uint64_t)i + 1)->error, 0);
    assert_int_equal(next_reply(1001)->error, ERR_OUTBOX_FULL);
    /* a read is answered all the same, but the view is not counted */
    assert_int_equal(read_user("u1@b")->uncounted, 1);
    expect_in(last_reply.user_reply.body, "\"view_count\": 0");
    assert_int_equal(read_user("nobody@b")->error, ERR_USER_NOT_FOUND);
    assert_int_equal(number("SELECT max(sequence) FROM user"), 1);
    assert_int_equal(delete_user("u1@b")->error, ERR_OUTBOX_FULL);
    assert_int_equal(number("SELECT count(*) FROM user"), 1000);
    stop_store();
    open_store(); /* which counts them anew */
    assert_int_equal(create("late@b")->error, ERR_OUTBOX_FULL);
    attach(0, 5, CREDIT);
    for (int i = 0; i < 101; i++)
        confirm(next_event(0), 5);
    wait_for("SELECT count(*) > 1 FROM position", 1); /* so it has read what was confirmed */
    assert_int_equal(create("late@b")->error, 0);
    assert_int_equal(read_user("u1@b")->uncounted, 0);
    expect_in(last_reply.user_reply.body, "\"view_count\": 1");
}

static void a_full_outbox_may_be_one_of_bytes(void **state)
{
    int accepted = 0, error;
    (void)state;
    stop_store();
    conf.outbox_max_bytes = 2000;
    open_store();
    attach(0, 5, CREDIT);
    do {
        char email[16];
        snprintf(email, sizeof(email), "u%d@b", accepted++);
        error = (int)create(email)->error;
    } while (error == 0 && accepted < 20);
    assert_int_equal(error, ERR_OUTBOX_FULL);
    assert_in_range(accepted, 4, 10); /* an event has 300 bytes or so */
    for (int i = 1; i < accepted; i++)
        confirm(next_event(0), 5);
    wait_for("SELECT count(*) FROM position WHERE partition = 64"
             " AND confirmed = (SELECT max(position) FROM event)",
             1);
    assert_int_equal(create("late@b")->error, 0);
}

static void late_news_of_another_life_is_ignored(void **state)
{
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    create("c@d");
    confirm(next_event(0), 4);
    confirm(next_event(0), 5);
    wait_for("SELECT count(*) > 1 FROM position", 1);
    attach(0, 6, CREDIT);
    assert_int_equal(next_event(0)->position, 1);
    no_event(0);
}

/* --- what it tells ---------------------------------------------------------------------------- */

static const msg_user_reply_t *ask_status(void)
{
    const msg_status_t status = {.request_id = TEXT("r")};
    frame_add(&frame, MSG_status, 11, &status);
    post();
    return next_reply(11);
}

static void it_tells_how_it_is(void **state)
{
    const msg_bridge_state_t said = {.state = TEXT("blocked"), .blocked = 1, .held = 7};
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    create("c@d");
    confirm(next_event(0), 5);
    frame_add(&frame, MSG_bridge_state, 0, &said);
    const text_t body = ask_status()->body;
    expect_in(body, "{\"outbox\": {\"events\": 1, \"bytes\": ");
    expect_in(
        body,
        "\"full\": false, \"oldest_age_s\": 0, \"head\": 2, \"low\": 1, \"retention_s\": 3600}");
    expect_in(body, "\"bridges\": [{\"bridge\": 0, \"state\": \"blocked\"");
    expect_in(body,
              "\"lanes\": {\"retrying\": 0, \"quarantined\": 0, \"events\": 0, \"bytes\": 0}}");
    confirm(next_event(0), 5);
    expect_in(ask_status()->body, "{\"outbox\": {\"events\": 0, \"bytes\": 0, ");
    expect_in(last_reply.user_reply.body, "\"oldest_age_s\": null, \"head\": 2, \"low\": 2");
}

/* --- parked lanes ----------------------------------------------------------------------------- */

static void give_back(const msg_event_t *event, int64_t attach_id, bool counted)
{
    const int64_t bridge = event->partition % conf.bridge_count;
    const msg_event_parked_t parked = {bridge, attach_id, event->position, counted, 312};
    frame_add(&frame, MSG_event_parked, 0, &parked);
    confirm(event, attach_id);
}

static void expect_lane_message(message_type_t type, const char *user_id)
{
    message_t message;
    if (!receive(&events[0], &message, PATIENCE_MS))
        fail_msg("no message came");
    assert_int_equal(message.type, type);
    assert_memory_equal(message.lane_open.user_id.data, user_id, ID_BYTES);
}

/* Creates a user whose first event comes back. */
static void park_user(const char *email, char user_id[ID_BYTES])
{
    create(email);
    const msg_event_t *event = next_event(0);
    memcpy(user_id, event->user_id.data, ID_BYTES);
    give_back(event, 5, true);
    wait_for("SELECT count(*) FROM parked_lane", 1);
}

static void an_event_that_comes_back_is_tried_again_with_those_behind_it(void **state)
{
    char user_id[ID_BYTES];
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    const msg_event_t *event = next_event(0);
    memcpy(user_id, event->user_id.data, ID_BYTES);
    read_user("a@b"); /* on its way too */
    give_back(event, 5, true);
    create("other@b");
    event = next_event(0);
    assert_int_equal(event->sequence, 2);
    give_back(event, 5, true);
    confirm(next_event(0), 5);
    expect_lane_message(MSG_lane_open, user_id);
    for (int i = 1; i <= 2; i++) { /* the second follows when the first went through */
        event = next_event(0);
        assert_memory_equal(event->user_id.data, user_id, ID_BYTES);
        assert_int_equal(event->sequence, i);
        assert_int_equal(event->position, 3 + i);
        no_event(0);
        confirm(event, 5);
    }
    wait_for("SELECT count(*) FROM parked_lane", 0);
    assert_int_equal(number("SELECT count(*) FROM parked"), 0);
    read_user("a@b");
    assert_int_equal(next_event(0)->sequence, 3);
}

static void a_parked_lane_takes_what_follows_and_a_full_one_refuses_its_user_alone(void **state)
{
    char user_id[ID_BYTES];
    (void)state;
    stop_store();
    conf.lane_max_events = 3;
    conf.lane_retry_ms = conf.lane_retry_max_ms = 3600000;
    open_store();
    attach(0, 5, CREDIT);
    park_user("a@b", user_id);
    assert_int_equal(read_user("a@b")->error, 0);
    assert_int_equal(read_user("a@b")->error, 0);
    assert_int_equal(read_user("a@b")->error, ERR_LANE_FULL);
    assert_int_equal(delete_user("a@b")->error, ERR_LANE_FULL);
    no_event(0);
    assert_int_equal(number("SELECT count(*) FROM parked"), 3);
    assert_int_equal(create("other@b")->error, 0);
    confirm(next_event(0), 5);
    expect_in(ask_status()->body,
              "\"lanes\": {\"retrying\": 1, \"quarantined\": 0, \"events\": 3,");
    expect_in(last_reply.user_reply.body, "{\"outbox\": {\"events\": 3,");
    stop_store();
    open_store();
    attach(0, 6, CREDIT);
    expect_lane_message(MSG_lane_closed, user_id);
    assert_int_equal(read_user("a@b")->error, ERR_LANE_FULL);
    expect_in(ask_status()->body,
              "\"lanes\": {\"retrying\": 1, \"quarantined\": 0, \"events\": 3,");
}

static const msg_user_reply_t *release(const char *user_id)
{
    const msg_lane_release_t message = {.request_id = TEXT("r"),
                                        .user_id = {user_id, user_id != NULL ? ID_BYTES : 0}};
    frame_add(&frame, MSG_lane_release, 12, &message);
    post();
    return next_reply(12);
}

static const msg_user_reply_t *discard(const char *user_id)
{
    const msg_lane_discard_t message = {.request_id = TEXT("r"), .user_id = {user_id, ID_BYTES}};
    frame_add(&frame, MSG_lane_discard, 13, &message);
    post();
    return next_reply(13);
}

static void expect_listed(const char *part)
{
    const msg_lane_list_t message = {.request_id = TEXT("r"), .limit = 10};
    frame_add(&frame, MSG_lane_list, 14, &message);
    post();
    expect_in(next_reply(14)->body, part);
}

static void a_lane_that_keeps_failing_is_kept_for_an_operator(void **state)
{
    enum { QUARANTINE_AFTER = 8 };
    char user_id[ID_BYTES];
    (void)state;
    attach(0, 5, CREDIT);
    park_user("a@b", user_id);
    for (int i = 0; i < QUARANTINE_AFTER; i++) {
        expect_lane_message(MSG_lane_open, user_id);
        give_back(next_event(0), 5, true);
    }
    wait_for("SELECT state FROM parked_lane", 1);
    no_event(0);
    read_user("a@b");
    expect_listed("\"state\": \"quarantined\", \"events\": 2,");
    expect_listed("\"tries\": 8, \"reason\": 312,");
    expect_listed("\"next_try\": null}], \"total\": 1}");
    expect_in(release(NULL)->body, "{\"released\": 1}");
    expect_lane_message(MSG_lane_open, user_id);
    for (int i = 1; i <= 2; i++) {
        const msg_event_t *event = next_event(0);
        assert_int_equal(event->sequence, i);
        confirm(event, 5);
    }
    wait_for("SELECT count(*) FROM parked_lane", 0);
    assert_int_equal(release(user_id)->error, ERR_LANE_NOT_FOUND);
    expect_listed("{\"lanes\": [], \"total\": 0}");
}

static void a_failure_that_is_nobody_s_fault_leads_to_no_quarantine(void **state)
{
    char user_id[ID_BYTES];
    (void)state;
    attach(0, 5, CREDIT);
    park_user("a@b", user_id);
    for (int i = 0; i < 12; i++) {
        expect_lane_message(MSG_lane_open, user_id);
        give_back(next_event(0), 5, false);
    }
    expect_lane_message(MSG_lane_open, user_id);
    assert_int_equal(next_event(0)->sequence, 1);
}

static void a_discarded_lane_begins_anew(void **state)
{
    char user_id[ID_BYTES];
    (void)state;
    stop_store();
    conf.lane_retry_ms = conf.lane_retry_max_ms = 3600000;
    open_store();
    attach(0, 5, CREDIT);
    assert_int_equal(discard("0123456789abcdef")->error, ERR_LANE_NOT_FOUND);
    park_user("a@b", user_id);
    read_user("a@b");
    expect_in(discard(user_id)->body, "{\"discarded\": 2}");
    expect_lane_message(MSG_lane_open, user_id);
    wait_for("SELECT count(*) FROM parked_lane", 0);
    assert_int_equal(number("SELECT count(*) FROM parked"), 0);
    read_user("a@b");
    assert_int_equal(next_event(0)->sequence, 3);
    expect_in(ask_status()->body, "{\"outbox\": {\"events\": 1,");
}

/* The rest of what was on its way must come back before the lane may open. */
static void a_lane_waits_for_all_of_its_events(void **state)
{
    char user_id[ID_BYTES];
    (void)state;
    attach(0, 5, 2);
    create("a@b");
    read_user("a@b");
    read_user("a@b");
    const msg_event_t *event = next_event(0);
    memcpy(user_id, event->user_id.data, ID_BYTES);
    const msg_event_parked_t parked = {0, 5, event->position, 1, 312};
    const msg_confirmed_position_t position = {event->partition, event->position, 0, 5};
    frame_add(&frame, MSG_event_parked, 0, &parked);
    frame_add(&frame, MSG_confirmed_position, 0, &position);
    post();
    wait_for("SELECT count(*) FROM parked_lane", 1);
    assert_int_equal(discard(user_id)->error, ERR_LANE_BUSY);
    assert_int_equal(next_event(0)->sequence, 2);
    no_event(0); /* the third has no credit yet */
    const msg_bridge_credit_t credit = {0, 5, 1, 0};
    frame_add(&frame, MSG_bridge_credit, 0, &credit);
    post();
    event = next_event(0);
    assert_int_equal(event->sequence, 3);
    const msg_event_parked_t second = {0, 5, 2, 1, 312};
    frame_add(&frame, MSG_event_parked, 0, &second);
    give_back(event, 5, true);
    expect_lane_message(MSG_lane_open, user_id);
    assert_int_equal(next_event(0)->sequence, 1);
}

/* What is parked is a copy: the log behind it goes as ever. */
static void the_log_is_trimmed_past_parked_events(void **state)
{
    char user_id[ID_BYTES];
    (void)state;
    stop_store();
    conf.event_retention_s = 0;
    conf.lane_retry_ms = conf.lane_retry_max_ms = 3600000;
    open_store();
    attach(0, 5, CREDIT);
    park_user("a@b", user_id);
    wait_for("SELECT count(*) FROM event", 0);
    assert_int_equal(number("SELECT count(*) FROM parked"), 1);
    create("other@b"); /* which is needed still */
    create("third@b");
    next_event(0);
    confirm(next_event(0), 5);
    wait_for("SELECT count(*) > 1 FROM position", 1);
    stop_store();
    open_store();
    assert_int_equal(number("SELECT count(*) FROM event WHERE position = 2"), 1);
    attach(0, 6, CREDIT);
    expect_lane_message(MSG_lane_closed, user_id);
    assert_int_equal(next_event(0)->position, 2);
    expect_in(release(user_id)->body, "{\"released\": 1}");
    expect_lane_message(MSG_lane_open, user_id);
    assert_int_equal(next_event(0)->sequence, 1);
}

static void old_confirmed_events_go(void **state)
{
    (void)state;
    stop_store();
    conf.event_retention_s = 0;
    open_store();
    attach(0, 5, CREDIT);
    create("a@b");
    create("c@d");
    wait_for("SELECT count(*) FROM event", 2);
    confirm(next_event(0), 5);
    const msg_event_t *event = next_event(0);
    wait_for("SELECT count(*) FROM event", 1);
    assert_int_equal(number("SELECT position FROM event"), 2);
    confirm(event, 5);
    wait_for("SELECT count(*) FROM event", 0);
    stop_store();
    open_store(); /* an empty log must not make the numbers begin again */
    attach(0, 6, CREDIT);
    create("e@f");
    assert_int_equal(next_event(0)->position, 3);
}

/* --- faults ----------------------------------------------------------------------------------- */

/* Memory ends in the middle of a batch: as with a full disk, all of it is undone and refused, and
 * later the work goes on as if it had not been. */
static void a_batch_that_cannot_be_written_is_undone_whole(void **state)
{
    enum { COUNT = 500 };
    (void)state;
    attach(0, 5, COUNT);
    assert_int_equal(create("first@b")->error, 0);
    assert_int_equal(next_event(0)->position, 1);
    for (int i = 0; i < COUNT; i++) {
        char email[16];
        snprintf(email, sizeof(email), "u%d@b", i);
        add_create((uint64_t)i + 1, email);
    }
    sqlite3_hard_heap_limit64(sqlite3_memory_used() + 50000);
    post();
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(next_reply((uint64_t)i + 1)->error, ERR_STORE_UNAVAILABLE);
    sqlite3_hard_heap_limit64(0);
    no_event(0);
    assert_int_equal(number("SELECT count(*) FROM user"), 1);
    assert_int_equal(create("second@b")->error, 0);
    assert_int_equal(next_event(0)->position, 2);
}

/* As of a person's shell that sits in a transaction: writes are refused, reads answered uncounted. */
static void a_locked_database_refuses_and_recovers(void **state)
{
    const msg_user_read_t read = {.request_id = TEXT("r"), .email_key = TEXT("a@b")};
    const msg_user_read_t stranger = {.request_id = TEXT("r"), .id = TEXT("0123456789abcdef")};
    const msg_user_list_t list = {.request_id = TEXT("r"), .limit = 2};
    const msg_health_t health = {.request_id = TEXT("r")};
    sqlite3 *connection;
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    next_event(0);
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    sqlite3_busy_timeout(connection, PATIENCE_MS); /* the store may just be writing */
    assert_int_equal(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    frame_add(&frame, MSG_user_read, 3, &read);
    add_create(4, "c@d");
    frame_add(&frame, MSG_user_read, 5, &stranger);
    frame_add(&frame, MSG_user_list, 6, &list);
    frame_add(&frame, MSG_health, 7, &health);
    post();
    assert_int_equal(next_reply(3)->error, 0);
    assert_int_equal(last_reply.user_reply.uncounted, 1);
    assert_int_equal(last_reply.user_reply.version, 1);
    expect_in(last_reply.user_reply.body, "\"email\": \"a@b\"");
    expect_in(last_reply.user_reply.body, "\"view_count\": 0");
    assert_int_equal(next_reply(4)->error, ERR_STORE_UNAVAILABLE);
    assert_int_equal(next_reply(5)->error, ERR_USER_NOT_FOUND);
    expect_in(next_reply(6)->body, "a@b");
    assert_int_equal(next_reply(7)->error, 0);
    assert_int_equal(last_reply.user_reply.uncounted, 1);
    sqlite3_close(connection);
    no_event(0);
    assert_int_equal(create("c@d")->error, 0);
    expect_in(read_user("a@b")->body, "\"view_count\": 1");
    assert_int_equal(last_reply.user_reply.uncounted, 0);
    frame_add(&frame, MSG_health, 8, &health);
    post();
    assert_int_equal(next_reply(8)->uncounted, 0);
}

/* What came back and cannot be written yet waits in memory alone, and counts as what waits. */
static void what_came_back_counts_while_it_cannot_be_written(void **state)
{
    sqlite3 *connection;
    (void)state;
    attach(0, 5, CREDIT);
    create("a@b");
    const msg_event_t *event = next_event(0);
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    sqlite3_busy_timeout(connection, PATIENCE_MS); /* the store may just be writing */
    assert_int_equal(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    give_back(event, 5, true);
    expect_in(ask_status()->body, "{\"outbox\": {\"events\": 1, ");
    sqlite3_close(connection);
    wait_for("SELECT count(*) FROM parked_lane", 1);
    expect_in(ask_status()->body, "{\"outbox\": {\"events\": 1, ");
}

static void a_damaged_log_stops_the_start(void **state)
{
    (void)state;
    create("a@b");
    stop_store();
    execute("UPDATE event SET id = x'00'");
    assert_int_equal(actor_start(&store, room, "store", &store_actor, &conf, PATIENCE_MS, &detail),
                     ERR_DATABASE_OPEN);
    assert_null(store);
    assert_non_null(strstr(detail.text, "event log"));
}

static void a_stop_refuses_what_is_left(void **state)
{
    (void)state;
    actor_send_stop(store, PATIENCE_MS);
    add_create(1, "late@b");
    post();
    assert_int_equal(actor_join(&store, PATIENCE_MS), 0);
    message_t message;
    /* The two came from two senders, so either may have been first. */
    if (receive(&replies, &message, 0) && message.user_reply.error != 0)
        assert_int_equal(message.user_reply.error, ERR_STOPPING);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_user_is_created_with_its_event),
        WITH_STORE(every_change_is_one_version_and_one_event),
        WITH_STORE(a_write_that_changes_nothing_is_no_event),
        WITH_STORE(a_taken_email_fails_alone),
        WITH_STORE(nobody_is_not_found),
        WITH_STORE(reads_may_be_silent),
        WITH_STORE(silent_reads_need_no_lock),
        WITH_STORE(a_silent_read_sees_what_was_written_before),
        WITH_STORE(pages_follow_each_other),
        WITH_STORE(it_says_that_it_is_well),
        WITH_STORE(what_was_not_confirmed_comes_again_in_the_next_life),
        WITH_STORE(what_a_bridge_is_sent_names_the_life_it_is_for),
        WITH_STORE(an_attach_that_comes_after_that_of_the_next_life_is_ignored),
        WITH_STORE(a_bridge_that_starts_again_gets_all_it_did_not_confirm),
        WITH_STORE(nobody_is_sent_more_than_it_asked_for),
        WITH_STORE(users_are_divided_among_bridges),
        WITH_STORE(a_full_outbox_refuses_what_makes_an_event),
        WITH_STORE(a_full_outbox_may_be_one_of_bytes),
        WITH_STORE(late_news_of_another_life_is_ignored),
        WITH_STORE(it_tells_how_it_is),
        WITH_STORE(an_event_that_comes_back_is_tried_again_with_those_behind_it),
        WITH_STORE(a_parked_lane_takes_what_follows_and_a_full_one_refuses_its_user_alone),
        WITH_STORE(a_lane_that_keeps_failing_is_kept_for_an_operator),
        WITH_STORE(a_failure_that_is_nobody_s_fault_leads_to_no_quarantine),
        WITH_STORE(a_discarded_lane_begins_anew),
        WITH_STORE(a_lane_waits_for_all_of_its_events),
        WITH_STORE(the_log_is_trimmed_past_parked_events),
        WITH_STORE(old_confirmed_events_go),
        WITH_STORE(a_batch_that_cannot_be_written_is_undone_whole),
        WITH_STORE(a_locked_database_refuses_and_recovers),
        cmocka_unit_test_setup_teardown(what_came_back_counts_while_it_cannot_be_written,
                                        set_up_silent, tear_down),
        WITH_STORE(a_damaged_log_stops_the_start),
        WITH_STORE(a_stop_refuses_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
