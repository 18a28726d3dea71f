/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/database_audits.h"

#include "actors/consumer/inbox_database.h"
#include "actors/store/email_hash.h"
#include "actors/store/sqlite_schema.h"
#include "proto/event.h"
#include "proto/uuid7.h"

static void partition_of_id(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    if (sqlite3_value_bytes(values[0]) != ID_BYTES)
        sqlite3_result_int(context, -1);
    else
        sqlite3_result_int(context, (int)partition_of(sqlite3_value_blob(values[0])));
}

static void add_functions(sqlite3 *connection)
{
    (void)sqlite3_create_function(connection, "partition_of", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                  NULL, partition_of_id, NULL, NULL);
    (void)email_hash_add(connection);
}

/* The row 64 of `position` tells up to where every event is confirmed; only those up to there are
 * ever deleted. */
#define LOW  "(SELECT coalesce(max(confirmed), 0) FROM position WHERE partition = 64)"
#define LAST "(SELECT coalesce(max(position), 0) FROM event)"
/* Up to these the index of emails and the counts of views are written; the rest is told by accounts and events. */
#define KEPT(name) "(SELECT value FROM kept WHERE name = '" name "')"

static const char *const users_rules[] = {
    "SELECT 'user in row ' || row || ' has an id of ' || length(id) || ' bytes' FROM account"
    " WHERE length(id) <> 16",
    "SELECT 'user ' || lower(hex(id)) || ' is not found by the email ' || email FROM account a"
    " WHERE row <= " KEPT("emails") " AND NOT EXISTS (SELECT 1 FROM email e WHERE e.row = a.row"
                                    " AND e.hash = email_hash(" KEPT("hash key") ", a.email_key))",
    "SELECT 'the email ' || email_key || ' is that of ' || count(*) || ' users' FROM account"
    " GROUP BY email_key HAVING count(*) > 1",
    "SELECT 'row ' || row || ' was viewed ' || count || ' times, and no user is there' FROM viewed"
    " WHERE row NOT IN (SELECT row FROM account) OR count < 1",
    "SELECT 'position of partition ' || partition || ' is ' || confirmed || ', beyond the last"
    " event, ' || max(" LAST ", " LOW ") FROM position"
    " WHERE confirmed < 0 OR confirmed > max(" LAST ", " LOW ")",
    "SELECT 'there is a position of partition ' || partition FROM position"
    " WHERE partition < 0 OR partition > 64",
    "SELECT 'every event up to ' || " LOW " || ' is called confirmed, and the log ends at '"
    " || max(position) FROM event HAVING max(position) < " LOW,
    "SELECT 'the event log lacks ' || (max(position) - min(position) + 1 - count(*)) ||"
    " ' positions between ' || min(position) || ' and ' || max(position) FROM event"
    " HAVING max(position) - min(position) + 1 <> count(*)",
    "SELECT 'the events behind position ' || " LOW
    " || ' are not confirmed, and the log begins at '"
    " || min(position) FROM event HAVING min(position) > " LOW " + 1",
    "SELECT 'event ' || position || ' is malformed' FROM event WHERE kind NOT BETWEEN 0 AND 3"
    " OR sequence < 1 OR length(id) <> 16 OR length(request_id) NOT BETWEEN 1 AND 64"
    " OR partition <> partition_of(user_id) OR NOT json_valid(CAST(body AS TEXT))",
    "SELECT 'event ' || e.position || ' has sequence ' || e.sequence || ' of a user who '"
    " || iif(a.row IS NULL, 'is not there', 'is at ' || (a.version + coalesce(v.count, 0)))"
    " FROM event e LEFT JOIN account a ON a.id = e.user_id LEFT JOIN viewed v ON v.row = a.row"
    " WHERE a.row IS NULL OR (e.position <= " KEPT(
        "views") " AND e.sequence > a.version + coalesce(v.count, 0))",
    "SELECT 'parked event in row ' || row || ' is malformed' FROM parked WHERE kind NOT BETWEEN 0 "
    "AND 3"
    " OR sequence < 1 OR length(id) <> 16 OR length(request_id) NOT BETWEEN 1 AND 64"
    " OR partition <> partition_of(user_id) OR NOT json_valid(CAST(body AS TEXT))",
    "SELECT count(*) || ' events of user ' || lower(hex(user_id)) || ' are parked in no lane'"
    " FROM parked WHERE user_id NOT IN (SELECT user_id FROM parked_lane) GROUP BY user_id",
    "SELECT 'the lane of user ' || lower(hex(user_id)) || ' is in no known state' FROM parked_lane"
    " WHERE state NOT BETWEEN 0 AND 2 OR user_id NOT IN (SELECT id FROM account)",
};

static const char *const worker_rules[] = {
    "SELECT 'row ' || row || ' of the inbox has no message id' FROM inbox WHERE message_id = ''",
    "SELECT 'tally ' || tally || ' is ' || count FROM tally WHERE count < 0",
    "SELECT 'user ' || key || ' has ' || views || ' views and ' || updates || ' updates' FROM user"
    " WHERE views < 0 OR updates < 0 OR sequence < 0",
};

const sqlite_audit_t users_audit = {.schema = &users_schema,
                                    .rules = users_rules,
                                    .rule_count = sizeof(users_rules) / sizeof(users_rules[0]),
                                    .add_functions = add_functions};

const sqlite_audit_t worker_audit = {.schema = &inbox_schema,
                                     .rules = worker_rules,
                                     .rule_count = sizeof(worker_rules) / sizeof(worker_rules[0])};
