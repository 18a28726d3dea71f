/* rooms: store storage pipeline proto */
/* SPDX-License-Identifier: Apache-2.0
 * What the SQLite database writes later must never show: the same answers before, after and between, also after a
 * crash, which is played by a copy of the files of a database that is still open.
 */
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/store/sqlite_store.h"
#include "pipeline/log.h"
#include "proto/errors.h"
#include "proto/uuid7.h"

enum { FEW = 4, NAMES = 40, PEOPLE_MAX = 64, MANY = 140000 };

static char folder[64], path[128], url[160];
static int crashes;
static database_t *database;
static detail_t detail;

/* --- its life --------------------------------------------------------------------------------- */

static void well(int error)
{
    if (error != 0)
        fail_msg("error %d (%s): %s", error, error_info(error)->name, detail.text);
}

/* At the start all that was taken up is young. */
static void shrink(late_table_t *table, size_t generation)
{
    late_table_t small;
    late_table_init(&small, table->young_count > generation ? table->young_count : generation);
    for (size_t i = 0; i < table->young_count; i++)
        assert_true(late_table_add(&small, table->young[i].key, table->young[i].value));
    late_table_commit(&small);
    late_table_fini(table);
    *table = small;
}

/* Generations of few entries are full at every turn. The files are copied, so nothing need be synced. */
static void open_with(size_t generation)
{
    well(database_open(&database, url, &detail));
    shrink(&store_of(database)->late.emails, generation);
    shrink(&store_of(database)->late.views, generation);
    well(sqlite_file_exec(&store_of(database)->file, "PRAGMA synchronous = OFF"));
}

static void shell(const char *format, const char *a, const char *b, const char *c)
{
    char command[512];
    snprintf(command, sizeof(command), format, a, b, c);
    assert_int_equal(system(command), 0);
}

static void name_file(int number)
{
    snprintf(path, sizeof(path), "%s/users%d.db", folder, number);
    snprintf(url, sizeof(url), "sqlite:%s", path);
}

static int set_up(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    snprintf(folder, sizeof(folder), "/tmp/userbus-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    crashes = 0;
    name_file(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    database_close(&database);
    shell("rm -rf '%s'%s%s", folder, "", "");
    return 0;
}

static void crash(size_t generation)
{
    char before[128];
    memcpy(before, path, sizeof(path));
    name_file(++crashes);
    shell("cp '%s' '%s'%s", before, path, "");
    shell("cp '%s-wal' '%s-wal'%s", before, path, "");
    database_close(&database);
    open_with(generation);
}

static int64_t number(const char *sql)
{
    sqlite3 *connection;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
    int64_t value = 0;
    while (sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return value;
}

/* --- what the store does ---------------------------------------------------------------------- */

static void begin(void)
{
    well(database->class->begin(database));
}

static void commit(void)
{
    well(database->class->commit(database));
}

static user_t user_named(const char *email)
{
    user_t user = {.is_valid = true, .version = 1, .sequence = 1, .created_us = 1, .updated_us = 1};
    uuid7_make(user.id, 1);
    snprintf(user.email, sizeof(user.email), "%s", email);
    snprintf(user.email_key, sizeof(user.email_key), "%s", email);
    snprintf(user.first_name, sizeof(user.first_name), "Ada");
    snprintf(user.last_name, sizeof(user.last_name), "Lovelace");
    return user;
}

static msg_event_t event_of(const user_t *user, event_kind_t kind, int64_t position)
{
    static uint8_t id[UUID_BYTES];
    uuid7_make(id, 1);
    return (msg_event_t){.position = position,
                         .partition = partition_of(user->id),
                         .kind = kind,
                         .sequence = user->sequence,
                         .created_us = 1,
                         .id = {(const char *)id, UUID_BYTES},
                         .user_id = {(const char *)user->id, ID_BYTES},
                         .request_id = TEXT("r"),
                         .body = TEXT("{}")};
}

static int find(const char *email, user_t *out)
{
    return database->class->user_by_email(database, text_of(email), out);
}

static int insert(const char *email, user_t *out)
{
    *out = user_named(email);
    return database->class->user_insert(database, out);
}

/* --- emails ----------------------------------------------------------------------------------- */

static int64_t hash_of(const char *email)
{
    return email_hash(store_of(database)->late.hash_key, text_of(email));
}

static void lead_astray(bool in_memory, const char *email, int64_t row)
{
    if (in_memory) {
        assert_true(late_table_add(&store_of(database)->late.emails, hash_of(email), row));
        return;
    }
    sqlite3_stmt *statement = store_of(database)->statements[EMAIL_ADD];
    sqlite3_bind_int64(statement, 1, hash_of(email));
    sqlite3_bind_int64(statement, 2, row);
    well(sqlite_store_run(statement));
}

/* Their hashes meet, as far as the index can tell. */
static void emails_that_meet_stay_apart(bool in_memory)
{
    user_t ada, grace, again;
    open_with(100);
    begin();
    well(insert("ada@example.org", &ada));
    lead_astray(in_memory, "grace@example.org", ada.row);
    assert_int_equal(find("grace@example.org", &again), ERR_USER_NOT_FOUND);
    well(insert("grace@example.org", &grace));
    well(find("grace@example.org", &again));
    assert_int_equal(again.row, grace.row);
    well(find("ada@example.org", &again));
    assert_int_equal(again.row, ada.row);
    assert_int_equal(insert("grace@example.org", &again), ERR_EMAIL_TAKEN);
    assert_int_equal(insert("ada@example.org", &again), ERR_EMAIL_TAKEN);
    snprintf(ada.email_key, sizeof(ada.email_key), "grace@example.org");
    assert_int_equal(database->class->user_update(database, &ada), ERR_EMAIL_TAKEN);
    commit();
}

static void hashes_that_meet_in_memory_tell_emails_apart(void **state)
{
    (void)state;
    emails_that_meet_stay_apart(true);
}

static void hashes_that_meet_in_the_index_tell_emails_apart(void **state)
{
    (void)state;
    emails_that_meet_stay_apart(false);
}

static void an_email_left_behind_is_free_and_the_new_one_is_taken(void **state)
{
    (void)state;
    user_t ada, other;
    open_with(100);
    begin();
    well(insert("ada@example.org", &ada));
    snprintf(ada.email_key, sizeof(ada.email_key), "countess@example.org");
    ada.version++;
    well(database->class->user_update(database, &ada));
    commit();
    assert_int_equal(find("ada@example.org", &other), ERR_USER_NOT_FOUND);
    crash(100);
    well(find("countess@example.org", &other));
    assert_int_equal(other.version, 2);
    begin();
    assert_int_equal(insert("countess@example.org", &other), ERR_EMAIL_TAKEN);
    well(insert("ada@example.org", &other));
    commit();
}

static void each_database_has_a_hash_of_its_own(void **state)
{
    (void)state;
    open_with(100);
    int64_t first = hash_of("ada@example.org");
    database_close(&database);
    open_with(100);
    assert_int_equal(hash_of("ada@example.org"), first);
    database_close(&database);
    name_file(1);
    open_with(100);
    assert_int_not_equal(hash_of("ada@example.org"), first);
}

/* --- a filled database of before ---------------------------------------------------------------- */

static const char version_3[] =
    "PRAGMA journal_mode = WAL; PRAGMA application_id = 0x75627573; PRAGMA user_version = 3;"
    "CREATE TABLE user (row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, email TEXT NOT NULL,"
    " email_key TEXT NOT NULL UNIQUE, first_name TEXT NOT NULL, last_name TEXT NOT NULL,"
    " view_count INTEGER NOT NULL, is_valid INTEGER NOT NULL, version INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL) STRICT;"
    "CREATE TABLE event (position INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, sequence INTEGER NOT NULL, user_id BLOB NOT NULL, id BLOB NOT NULL,"
    " created_us INTEGER NOT NULL, request_id TEXT NOT NULL, traceparent TEXT NOT NULL,"
    " tracestate TEXT NOT NULL, body BLOB NOT NULL) STRICT;"
    "CREATE TABLE position (partition INTEGER PRIMARY KEY, confirmed INTEGER NOT NULL) STRICT;"
    "CREATE TABLE parked_lane (user_id BLOB PRIMARY KEY, state INTEGER NOT NULL,"
    " tries INTEGER NOT NULL, failures INTEGER NOT NULL, reason INTEGER NOT NULL,"
    " since_us INTEGER NOT NULL, next_try_us INTEGER NOT NULL, closed_at INTEGER NOT NULL) STRICT,"
    " WITHOUT ROWID;"
    "CREATE TABLE parked (row INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, sequence INTEGER NOT NULL, user_id BLOB NOT NULL, id BLOB NOT NULL,"
    " created_us INTEGER NOT NULL, request_id TEXT NOT NULL, traceparent TEXT NOT NULL,"
    " tracestate TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (user_id, sequence)) STRICT;"
    "CREATE TABLE unparked (id BLOB PRIMARY KEY, kind INTEGER NOT NULL, partition INTEGER NOT NULL,"
    " created_us INTEGER NOT NULL, fate INTEGER NOT NULL, position INTEGER NOT NULL) STRICT,"
    " WITHOUT ROWID; CREATE INDEX unparked_age ON unparked (created_us);";

/* Of each user: the creation, and three views of every seventh. */
static const char fill[] =
    "PRAGMA synchronous = OFF; BEGIN;"
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
    " INSERT INTO user SELECT i, CAST(printf('%%016d', i) AS BLOB), 'U' || i || '@example.org',"
    " 'u' || i || '@example.org', 'Ada', 'Lovelace', iif(i %% 7 = 0, 3, 0), 1, 1,"
    " iif(i %% 7 = 0, 4, 1), i, i FROM n;"
    "INSERT INTO event SELECT row, 0, 0, 1, id, randomblob(16), row, 'r', '', '',"
    " CAST('{}' AS BLOB) FROM user;"
    "INSERT INTO position VALUES (64, 10); COMMIT;";

static void make_version_3(int users)
{
    sqlite3 *connection;
    char sql[1024], *message = NULL;
    snprintf(sql, sizeof(sql), fill, users);
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    if (sqlite3_exec(connection, version_3, NULL, NULL, &message) != SQLITE_OK ||
        sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(connection);
}

static bool count_event(void *context, const msg_event_t *event)
{
    ++*(int64_t *)context;
    assert_int_equal(event->position, *(int64_t *)context);
    return true;
}

static void check_user(int i)
{
    char email[64], id[32];
    user_t user;
    snprintf(email, sizeof(email), "u%d@example.org", i);
    snprintf(id, sizeof(id), "%016d", i);
    well(find(email, &user));
    assert_memory_equal(user.id, id, ID_BYTES);
    assert_int_equal(user.row, i);
    assert_int_equal(user.view_count, i % 7 == 0 ? 3 : 0);
    assert_int_equal(user.sequence, i % 7 == 0 ? 4 : 1);
    assert_int_equal(user.created_us, i);
    assert_int_equal(user.email[0], 'U');
    well(database->class->user_by_id(database, (text_t){id, ID_BYTES}, &user));
    assert_int_equal(user.row, i);
}

/* One that fits into memory, and one whose index is built by the start. */
static void a_database_of_before_is_migrated(int users)
{
    saved_positions_t positions;
    int64_t events = 0;
    user_t user;
    make_version_3(users);
    open_with(MANY);
    for (int i = 1; i <= users; i += users / 100)
        check_user(i);
    check_user(users);
    well(database->class->event_walk(database, 0, count_event, &events));
    assert_int_equal(events, users);
    well(database->class->positions_load(database, &positions));
    assert_int_equal(positions.low, 10);
    begin();
    assert_int_equal(insert("u1@example.org", &user), ERR_EMAIL_TAKEN);
    well(insert("new@example.org", &user));
    assert_int_equal(user.row, users + 1);
    commit();
    database_close(&database);
    assert_int_equal(number("SELECT count(*) FROM user"), users + 1);
    assert_int_equal(number("SELECT count(*) FROM email"), users + 1);
    assert_int_equal(number("SELECT sum(view_count) FROM user"), users / 7 * 3);
    assert_int_equal(number("SELECT sum(sequence - version - view_count) FROM user"), 0);
    assert_int_equal(number("PRAGMA user_version"), 4);
}

static void a_small_database_of_before_is_migrated(void **state)
{
    (void)state;
    a_database_of_before_is_migrated(1000);
}

static void a_large_database_of_before_is_migrated(void **state)
{
    (void)state;
    a_database_of_before_is_migrated(MANY);
}

/* --- against a model ---------------------------------------------------------------------------- */

typedef struct person {
    uint8_t id[ID_BYTES];
    int name;
    int64_t version, views;
} person_t;

typedef struct model {
    person_t people[PEOPLE_MAX];
    int count;
    int64_t head;
} model_t;

static model_t now, committed;
static unsigned seed;

static int chance(int most)
{
    return rand_r(&seed) % most;
}

static void name_of(char out[32], int name)
{
    snprintf(out, 32, "name%d@example.org", name);
}

static int owner_of(int name)
{
    for (int i = 0; i < now.count; i++)
        if (now.people[i].name == name)
            return i;
    return -1;
}

static void tell(const user_t *user, event_kind_t kind)
{
    bool is_new = false;
    if (chance(4) > 0) {
        const msg_event_t event = event_of(user, kind, ++now.head);
        well(database->class->event_append(database, &event));
        return;
    }
    const msg_event_t event = event_of(user, kind, 1);
    well(database->class->parked_append(database, &event, &is_new));
    assert_true(is_new);
    if (chance(2) == 0) /* an operator discards it */
        well(database->class->parked_trim(database, user->id, INT64_MAX));
}

static void do_create(void)
{
    char email[32];
    int name = chance(NAMES);
    user_t user;
    name_of(email, name);
    if (owner_of(name) >= 0) {
        assert_int_equal(insert(email, &user), ERR_EMAIL_TAKEN);
        return;
    }
    if (now.count == PEOPLE_MAX)
        return;
    well(insert(email, &user));
    person_t *person = &now.people[now.count++];
    *person = (person_t){.name = name, .version = 1};
    memcpy(person->id, user.id, ID_BYTES);
    assert_int_equal(user.row, now.count);
    tell(&user, EVENT_USER_CREATE);
}

static void do_view(void)
{
    char email[32];
    user_t user;
    if (now.count == 0)
        return;
    person_t *person = &now.people[chance(now.count)];
    name_of(email, person->name);
    well(find(email, &user));
    user.view_count++;
    user.sequence++;
    person->views++;
    well(database->class->user_view(database, &user));
    tell(&user, EVENT_USER_READ);
}

static void do_rename(void)
{
    char email[32];
    int name = chance(NAMES);
    user_t user;
    if (now.count == 0)
        return;
    person_t *person = &now.people[chance(now.count)];
    well(
        database->class->user_by_id(database, (text_t){(const char *)person->id, ID_BYTES}, &user));
    name_of(email, name);
    snprintf(user.email_key, sizeof(user.email_key), "%s", email);
    user.version++;
    user.sequence++;
    if (owner_of(name) >= 0 && &now.people[owner_of(name)] != person) {
        assert_int_equal(database->class->user_update(database, &user), ERR_EMAIL_TAKEN);
        return;
    }
    well(database->class->user_update(database, &user));
    person->name = name;
    person->version++;
    tell(&user, EVENT_USER_UPDATE);
}

static void check_everybody(void)
{
    char email[32];
    user_t user;
    for (int name = 0; name < NAMES; name++) {
        int owner = owner_of(name);
        name_of(email, name);
        if (owner < 0) {
            assert_int_equal(find(email, &user), ERR_USER_NOT_FOUND);
            continue;
        }
        const person_t *person = &now.people[owner];
        well(find(email, &user));
        assert_memory_equal(user.id, person->id, ID_BYTES);
        assert_int_equal(user.version, person->version);
        assert_int_equal(user.view_count, person->views);
        assert_int_equal(user.sequence, person->version + person->views);
    }
}

static int64_t sum_of_sequences(void)
{
    int64_t sum = 0;
    for (int i = 0; i < now.count; i++)
        sum += now.people[i].version + now.people[i].views;
    return sum;
}

static void trim_log(void)
{
    int deleted;
    begin();
    well(database->class->event_trim(database, now.head - chance(20), 2, 10, &deleted));
    commit();
}

static void run_transaction(void)
{
    static void (*const steps[])(void) = {do_create, do_view, do_view, do_view, do_rename};
    begin();
    for (int i = chance(12); i >= 0; i--)
        steps[chance(5)]();
    if (chance(4) == 0) {
        database->class->rollback(database);
        now = committed;
    } else {
        commit();
        committed = now;
    }
}

static void between_transactions(void)
{
    bool more = false, asks = false;
    switch (chance(20)) {
    case 0:
        crash(FEW);
        break;
    case 1:
        database_close(&database);
        open_with(FEW);
        break;
    case 2:
        well(sqlite_late_tidy(store_of(database), chance(2) == 0, &more));
        break;
    case 3:
        well(database->class->tidy(database, true, &more, &asks, NULL));
        break;
    case 4:
    case 5:
        trim_log();
        break;
    default:
        break;
    }
}

/* Creates, views, renames, roll-backs, parked events, trims and crashes, in any order. */
static void nothing_shows_of_what_is_written_later(void **state)
{
    (void)state;
    for (seed = 1; seed <= 8; seed++) {
        unsigned began = seed;
        now = committed = (model_t){0};
        name_file(++crashes);
        open_with(FEW);
        for (int i = 0; i < 150; i++) {
            run_transaction();
            between_transactions();
            check_everybody();
        }
        assert_int_equal(number("SELECT sum(sequence) FROM user"), sum_of_sequences());
        database_close(&database);
        assert_int_equal(number("SELECT sum(sequence) FROM user"), sum_of_sequences());
        assert_int_equal(
            number("SELECT count(*) FROM account WHERE row NOT IN (SELECT row FROM email)"), 0);
        seed = began;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hashes_that_meet_in_memory_tell_emails_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(hashes_that_meet_in_the_index_tell_emails_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_email_left_behind_is_free_and_the_new_one_is_taken,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_database_has_a_hash_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_small_database_of_before_is_migrated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_large_database_of_before_is_migrated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_shows_of_what_is_written_later, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
