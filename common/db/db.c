#include "db.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 5000 };

outcome db_fault(sqlite3 *db, struct fault *f, const char *what)
{
	int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
	bool full = code == SQLITE_FULL || code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_FSYNC ||
		    code == SQLITE_IOERR_TRUNCATE || code == SQLITE_IOERR_SHMSIZE;
	return refuse(f, full ? REASON_DISK_FULL : REASON_STORE_UNAVAILABLE, "%s: %s (SQLite %d)", what,
		      db ? sqlite3_errmsg(db) : "out of memory", code);
}

outcome db_exec(sqlite3 *db, const char *sql, struct fault *f)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? DONE : db_fault(db, f, sql);
}

outcome db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct fault *f)
{
	int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
	return rc == SQLITE_OK ? DONE : db_fault(db, f, sql);
}

static outcome read_version(sqlite3 *db, int *version, struct fault *f)
{
	sqlite3_stmt *q;
	outcome result = db_prepare(db, "PRAGMA user_version", &q, f);
	if (!result.ok)
		return result;
	if (sqlite3_step(q) == SQLITE_ROW)
		*version = sqlite3_column_int(q, 0);
	else
		result = db_fault(db, f, "PRAGMA user_version");
	sqlite3_finalize(q);
	return result;
}

/* WAL is kept in the file, the rest is set for each connection. A file that cannot be WAL (a network file
 * system without shared memory) is refused: readers would block the writer. A sandboxed daemon has no folder
 * for temporary tables. */
static outcome set_pragmas(sqlite3 *db, const char *path, struct fault *f)
{
	sqlite3_stmt *q;
	sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
	sqlite3_extended_result_codes(db, 1);
	outcome result = db_prepare(db, "PRAGMA journal_mode=WAL", &q, f);
	if (!result.ok)
		return result;
	if (sqlite3_step(q) != SQLITE_ROW)
		result = db_fault(db, f, "PRAGMA journal_mode=WAL");
	else if (strcmp((const char *)sqlite3_column_text(q, 0), "wal"))
		result = refuse(f, REASON_STORE_UNAVAILABLE,
				"%s: this file system does not take write-ahead logging", path);
	sqlite3_finalize(q);
	return result.ok
		       ? db_exec(db,
				 "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
				 "PRAGMA temp_store=MEMORY",
				 f)
		       : result;
}

/* In one transaction, so that a crash leaves an empty database or a whole one; another process that does the
 * same at the same time finds it done. */
static outcome apply_schema(sqlite3 *db, const char *path, const char *schema, int version, struct fault *f)
{
	char set[40];
	int found = 0;
	outcome result = db_exec(db, "BEGIN IMMEDIATE", f);
	if (!result.ok)
		return result;
	result = version ? read_version(db, &found, f) : db_exec(db, schema, f);
	if (result.ok && version && found == 0) {
		snprintf(set, sizeof set, "PRAGMA user_version=%d", version);
		result = db_exec(db, schema, f);
		result = result.ok ? db_exec(db, set, f) : result;
	} else if (result.ok && version && found != version) {
		result = refuse(f, REASON_STORE_UNAVAILABLE, "%s: schema version %d, this program needs %d",
				path, found, version);
	}
	if (result.ok)
		result = db_exec(db, "COMMIT", f);
	if (!result.ok)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return result;
}

/* SQLite would make it readable for all; its -wal and -shm take over the mode. Only where it is absent:
 * closing a second descriptor of an open database would drop SQLite's POSIX locks. */
static void create_private(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

/* What SQLite says of a file does not name it. */
static outcome name_file(const char *path, outcome opened, struct fault *f)
{
	if (!opened.ok && f && strncmp(f->text, path, strlen(path))) {
		const struct fault cause = *f;
		refuse(f, cause.reason, "%s: %s", path, cause.text);
	}
	return opened;
}

outcome db_open(const char *path, const char *schema, int version, sqlite3 **out, struct fault *f)
{
	sqlite3 *db = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	outcome result = DONE;
	create_private(path);
	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
		result = db_fault(db, f, path);
	if (result.ok)
		result = set_pragmas(db, path, f);
	if (result.ok)
		result = apply_schema(db, path, schema, version, f);
	if (result.ok)
		*out = db;
	else
		sqlite3_close(db);
	return name_file(path, result, f);
}

outcome db_open_reader(const char *path, sqlite3 **out, struct fault *f)
{
	sqlite3 *db = NULL;
	outcome result = DONE;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		result = db_fault(db, f, path);
	else
		sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
	if (result.ok)
		result = db_exec(db, "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF", f);
	if (result.ok)
		*out = db;
	else
		sqlite3_close(db);
	return name_file(path, result, f);
}
