/* SPDX-License-Identifier: Apache-2.0
 * email_hash.h - by what the index of emails is ordered: SipHash of the case-folded email, with a key of the
 * database's own, so that nobody outside can choose emails that meet.
 */
#ifndef USERBUS_ACTORS_STORE_EMAIL_HASH_H
#define USERBUS_ACTORS_STORE_EMAIL_HASH_H

#include <sqlite3.h>
#include <stdint.h>

#include "proto/message.h" /* text_t */

enum { EMAIL_HASH_KEY_BYTES = 16 };

int64_t email_hash(const uint8_t key[EMAIL_HASH_KEY_BYTES], text_t email_key);

/* Gives SQL the function email_hash(key, email_key); NULL when the key has another size. An SQLite result
 * code. */
int email_hash_add(sqlite3 *connection);

#endif
