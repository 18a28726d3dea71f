/* SPDX-License-Identifier: Apache-2.0
 * sqlite_backup.h - a consistent copy of a database while others use it.
 *
 * The copy is one snapshot, read in steps; writers go on, and meanwhile the database's log can only grow. It
 * is made beside its name, checked, synced and only then named, so what has the name is whole; it is a
 * plain file that needs no log.
 */
#ifndef USERBUS_STORAGE_SQLITE_BACKUP_H
#define USERBUS_STORAGE_SQLITE_BACKUP_H

#include <sqlite3.h>

#include "pipeline/actor.h" /* detail_t */

/* Pages that are copied, and all. */
typedef void (*backup_progress_t)(int done, int all);

/* Copies what the connection sees to a file that must not be there yet. ERR_USAGE: it is there, or its
 * name plus ".partial". ERR_STORE_UNAVAILABLE: it could not be made. *detail says what to do, and
 * nothing is left behind. */
int sqlite_backup(sqlite3 *from, const char *to, backup_progress_t progress, detail_t *detail)
    __attribute__((warn_unused_result));

#endif
