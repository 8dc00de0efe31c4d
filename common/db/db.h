/*
 * db.h - SQLite as Mooring uses it: WAL, synchronous=FULL, foreign keys, strict tables, prepared statements.
 */
#ifndef MOORING_DB_H
#define MOORING_DB_H

#include "common/bytes.h"

#include <sqlite3.h>

/* Opens or creates (mode 0600), applies `schema` (one SQL script) to a database of user_version 0, else
 * checks its user_version. `version` 0 is a guest in another's database: its script (IF NOT EXISTS) is
 * applied at any version, which stays. */
MUST_USE outcome db_open(const char *path, const char *schema, int version, sqlite3 **out, struct fault *f);
/* For reading alone: the connection cannot change anything, whatever it is told. The file must be there. */
MUST_USE outcome db_open_reader(const char *path, sqlite3 **out, struct fault *f);
MUST_USE outcome db_exec(sqlite3 *db, const char *sql, struct fault *f);
MUST_USE outcome db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct fault *f);
/* REASON_DISK_FULL for SQLITE_FULL and I/O of that kind, else REASON_STORE_UNAVAILABLE, with SQLite's text. */
outcome db_fault(sqlite3 *db, struct fault *f, const char *what);

#endif
