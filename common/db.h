/*
 * db.h - SQLite as Mooring uses it: WAL, synchronous=FULL, foreign keys, strict tables, prepared statements.
 */
#ifndef MOORING_DB_H
#define MOORING_DB_H

#include "bytes.h"

#include <sqlite3.h>

/* Opens or creates, applies `schema` (one SQL script) to an empty database, checks its user_version. */
MUST_USE outcome db_open(const char *path, const char *schema, int version, sqlite3 **out, struct fault *f);
MUST_USE outcome db_exec(sqlite3 *db, const char *sql, struct fault *f);
MUST_USE outcome db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct fault *f);
/* REASON_DISK_FULL for SQLITE_FULL and I/O of that kind, else REASON_STORE_UNAVAILABLE, with SQLite's text. */
outcome db_fault(sqlite3 *db, struct fault *f, const char *what);

#endif
