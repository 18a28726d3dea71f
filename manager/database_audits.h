/* SPDX-License-Identifier: Apache-2.0
 * database_audits.h - what the rows of the two databases must keep to.
 */
#ifndef USERBUS_MANAGER_DATABASE_AUDITS_H
#define USERBUS_MANAGER_DATABASE_AUDITS_H

#include "storage/sqlite_audit.h"

extern const sqlite_audit_t users_audit, worker_audit;

#endif
