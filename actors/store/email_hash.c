/* SPDX-License-Identifier: Apache-2.0 */
#include "actors/store/email_hash.h"

#include <sodium/crypto_shorthash.h>

_Static_assert((int)EMAIL_HASH_KEY_BYTES == (int)crypto_shorthash_KEYBYTES,
               "the key is as long as libsodium's");

int64_t email_hash(const uint8_t key[EMAIL_HASH_KEY_BYTES], text_t email_key)
{
    unsigned char hash[crypto_shorthash_BYTES];
    uint64_t value = 0;
    (void)crypto_shorthash(hash, (const unsigned char *)email_key.data, email_key.size, key);
    for (size_t i = 0; i < sizeof(hash); i++)
        value |= (uint64_t)hash[i] << (8 * i); /* the same on every machine */
    return (int64_t)value;
}

static void hash_in_sql(sqlite3_context *context, int count, sqlite3_value **values)
{
    const void *key = sqlite3_value_blob(values[0]);
    const char *text = (const char *)sqlite3_value_text(values[1]);
    (void)count;
    if (sqlite3_value_bytes(values[0]) != EMAIL_HASH_KEY_BYTES || text == NULL)
        sqlite3_result_null(context);
    else
        sqlite3_result_int64(
            context, email_hash(key, (text_t){text, (size_t)sqlite3_value_bytes(values[1])}));
}

int email_hash_add(sqlite3 *connection)
{
    return sqlite3_create_function(connection, "email_hash", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                   NULL, hash_in_sql, NULL, NULL);
}
