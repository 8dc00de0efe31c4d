#include "records.h"

#include "lookup.h"

#include <stdio.h>
#include <string.h>

enum { SCHEMA_VERSION = 2, READ_TIMEOUT_MS = 5000 };

/* Records in the order in which they were stored; `lookup` finds
 * those up to number `indexed`: see lookup.h. */
static const char schema[] =
	"CREATE TABLE records("
	" id INTEGER PRIMARY KEY,"
	" instance_id BLOB NOT NULL CHECK(length(instance_id) = 33),"
	" implementation_id BLOB CHECK(implementation_id IS NULL OR length(implementation_id) = 32),"
	" public_key BLOB NOT NULL,"
	" batch TEXT NOT NULL,"
	" model TEXT NOT NULL,"
	" evidence INTEGER NOT NULL,"
	" suspended INTEGER NOT NULL DEFAULT 0 CHECK(suspended IN (0, 1)),"
	" created INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX records_batch ON records(batch);"
	"CREATE TABLE lookup(instance_id BLOB PRIMARY KEY, id INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE indexed(one INTEGER PRIMARY KEY CHECK(one = 1), id INTEGER NOT NULL) STRICT;"
	"INSERT INTO indexed(one, id) VALUES(1, 0);"
	"CREATE TABLE withdrawals("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" time INTEGER NOT NULL,"
	" instance_id BLOB NOT NULL,"
	" suspended INTEGER NOT NULL CHECK(suspended IN (0, 1)),"
	" reason TEXT NOT NULL,"
	" mark BLOB NOT NULL DEFAULT (randomblob(8))" /* tells this entry from another that had its number */
	") STRICT;"
	"CREATE INDEX withdrawals_instance ON withdrawals(instance_id);"
	"CREATE TABLE imports("
	" import TEXT NOT NULL,"
	" number INTEGER NOT NULL,"
	" hash BLOB NOT NULL CHECK(length(hash) = 32),"
	" records INTEGER NOT NULL,"
	" inserted INTEGER NOT NULL,"
	" time INTEGER NOT NULL,"
	" PRIMARY KEY(import, number)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE probe(one INTEGER PRIMARY KEY CHECK(one = 1), time INTEGER NOT NULL) STRICT;";

#define COLUMNS "instance_id, implementation_id, public_key, batch, model, evidence, suspended, created"

static const char *const sql[STATEMENT_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_SAVEPOINT] = "SAVEPOINT op",
	[SQL_RELEASE] = "RELEASE op",
	[SQL_FIND] = "SELECT " COLUMNS " FROM records WHERE id = ?1",
	[SQL_LOOKUP] = "SELECT id FROM lookup WHERE instance_id = ?1",
	[SQL_BOUNDS] = "SELECT (SELECT id FROM indexed), (SELECT coalesce(max(id), 0) FROM records)",
	[SQL_RECENT] = "SELECT id, instance_id FROM records WHERE id > ?1 ORDER BY id",
	[SQL_SETTLE] =
		"INSERT INTO lookup(instance_id, id) SELECT instance_id, id FROM records WHERE id > ?1 "
		"ORDER BY instance_id",
	[SQL_SETTLED] = "UPDATE indexed SET id = ?1",
	[SQL_LIST_FIRST] = "SELECT " COLUMNS " FROM records WHERE id > ?1 ORDER BY id LIMIT ?2",
	[SQL_LIST_BATCH] =
		"SELECT " COLUMNS " FROM records WHERE batch = ?3 AND id > ?1 ORDER BY id LIMIT ?2",
	[SQL_INSERT] = "INSERT INTO records(" COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
	[SQL_SUSPEND] = "UPDATE records SET suspended = ?2 WHERE id = ?1 AND suspended <> ?2",
	[SQL_BATCH_KNOWN] = "SELECT 1 FROM records WHERE batch = ?1 LIMIT 1",
	[SQL_BATCH_WITHDRAW] = "INSERT INTO withdrawals(time, instance_id, suspended, reason) "
			       "SELECT ?3, instance_id, ?2, ?4 FROM records WHERE batch = ?1 AND suspended "
			       "<> ?2 ORDER BY id",
	[SQL_BATCH_SUSPEND] = "UPDATE records SET suspended = ?2 WHERE batch = ?1 AND suspended <> ?2",
	[SQL_WITHDRAW] =
		"INSERT INTO withdrawals(time, instance_id, suspended, reason) VALUES(?3, ?1, ?2, ?4)",
	[SQL_WITHDRAWALS] =
		"SELECT seq, time, instance_id, suspended, reason, mark, EXISTS (SELECT 1 FROM withdrawals n "
		"WHERE n.instance_id = w.instance_id AND n.seq > w.seq) FROM withdrawals w WHERE seq > ?1 "
		"ORDER BY seq LIMIT ?2",
	[SQL_WITHDRAWAL_KNOWN] = "SELECT 1 FROM withdrawals WHERE seq = ?1 AND mark = ?2",
	[SQL_WITHDRAWALS_LAST] = "SELECT coalesce(max(seq), 0) FROM withdrawals",
	[SQL_WITHDRAWAL_OF] = "SELECT seq, time, instance_id, suspended, reason, mark, 0 FROM withdrawals "
			      "WHERE instance_id = ?1 ORDER BY seq DESC LIMIT 1",
	[SQL_IMPORT_FIND] = "SELECT hash, records, inserted FROM imports WHERE import = ?1 AND number = ?2",
	[SQL_IMPORT_INSERT] = "INSERT INTO imports(import, number, hash, records, inserted, time) "
			      "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_IMPORT_TOTAL] = "SELECT coalesce(sum(records), 0) FROM imports WHERE import = ?1",
	[SQL_PROBE] = "INSERT INTO probe(one, time) VALUES(1, ?1) ON CONFLICT(one) DO UPDATE SET time = ?1",
};

/* Room for the pages that a settling of the lookup touches, and fewer checkpoints that write them again. */
static const char writer_pragmas[] = "PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=8192";

outcome records_open(const char *path, struct records *out, struct fault *f)
{
	*out = (struct records){.writer = true};
	outcome r = db_open(path, schema, SCHEMA_VERSION, &out->db, f);
	return r.ok ? db_exec(out->db, writer_pragmas, f) : r;
}

outcome records_open_reader(const char *path, struct records *out, struct fault *f)
{
	*out = (struct records){0};
	outcome r = DONE;
	if (sqlite3_open_v2(path, &out->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		r = db_fault(out->db, f, path);
	if (r.ok) {
		sqlite3_busy_timeout(out->db, READ_TIMEOUT_MS);
		r = db_exec(out->db, "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF", f);
	}
	if (!r.ok)
		records_close(out);
	return r;
}

void records_close(struct records *r)
{
	lookup_forget(r);
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(r->statements[i]);
	sqlite3_close(r->db);
	*r = (struct records){0};
}

outcome records_statement(struct records *r, enum records_sql which, sqlite3_stmt **out, struct fault *f)
{
	if (!r->statements[which]) {
		outcome o = db_prepare(r->db, sql[which], &r->statements[which], f);
		if (!o.ok)
			return o;
	}
	*out = r->statements[which];
	sqlite3_reset(*out);
	sqlite3_clear_bindings(*out);
	return DONE;
}

outcome records_step(struct records *r, sqlite3_stmt *s, bool *row, struct fault *f)
{
	int rc = sqlite3_step(s);
	*row = rc == SQLITE_ROW;
	if (*row)
		return DONE;
	outcome o = rc == SQLITE_DONE ? DONE : db_fault(r->db, f, sqlite3_sql(s));
	sqlite3_reset(s);
	return o;
}

outcome records_run(struct records *r, sqlite3_stmt *s, struct fault *f)
{
	bool row;
	return records_step(r, s, &row, f);
}

static void take_blob(sqlite3_stmt *s, int column, uint8_t *out, size_t room, size_t *n)
{
	size_t have = (size_t)sqlite3_column_bytes(s, column);
	*n = have <= room ? have : 0;
	if (*n)
		memcpy(out, sqlite3_column_blob(s, column), *n);
}

static void take_text(sqlite3_stmt *s, int column, char *out, size_t room)
{
	const unsigned char *text = sqlite3_column_text(s, column);
	snprintf(out, room, "%s", text ? (const char *)text : "");
}

static void take_record(sqlite3_stmt *s, struct record *out)
{
	size_t n;
	*out = (struct record){0};
	take_blob(s, 0, out->instance_id, sizeof out->instance_id, &n);
	take_blob(s, 1, out->implementation_id, sizeof out->implementation_id, &n);
	out->has_implementation = n > 0;
	take_blob(s, 2, out->public_key, sizeof out->public_key, &out->public_key_size);
	take_text(s, 3, out->batch, sizeof out->batch);
	take_text(s, 4, out->model, sizeof out->model);
	out->evidence = (unsigned)sqlite3_column_int(s, 5);
	out->suspended = sqlite3_column_int(s, 6) != 0;
	out->created = sqlite3_column_int64(s, 7);
}

outcome records_find(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE], struct record *out,
		     bool *found, struct fault *f)
{
	sqlite3_stmt *s;
	int64_t id;
	*found = false;
	outcome o = lookup_find(r, instance_id, &id, f);
	if (!o.ok || !id)
		return o;
	o = records_statement(r, SQL_FIND, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(s, 1, id);
	o = records_step(r, s, found, f);
	if (o.ok && *found)
		take_record(s, out);
	sqlite3_reset(s);
	return o;
}

static outcome place_of(struct records *r, const uint8_t *instance_id, int64_t *id, struct fault *f)
{
	*id = 0;
	if (!instance_id)
		return DONE;
	outcome o = lookup_find(r, instance_id, id, f);
	return o.ok && !*id ? refuse(f, REASON_NOT_FOUND, "after: no such record") : o;
}

outcome records_list(struct records *r, const char *batch, const uint8_t *after, struct record *out,
		     size_t room, size_t *count, struct fault *f)
{
	sqlite3_stmt *s;
	int64_t id;
	bool row = true;
	*count = 0;
	outcome o = place_of(r, after, &id, f);
	if (o.ok)
		o = records_statement(r, batch ? SQL_LIST_BATCH : SQL_LIST_FIRST, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, (int64_t)room);
	if (batch)
		sqlite3_bind_text(s, 3, batch, -1, SQLITE_STATIC);
	while (o.ok && row && *count < room) {
		o = records_step(r, s, &row, f);
		if (o.ok && row)
			take_record(s, &out[(*count)++]);
	}
	sqlite3_reset(s);
	return o;
}

static outcome read_int(struct records *r, enum records_sql which, int64_t *out, struct fault *f)
{
	sqlite3_stmt *s;
	bool row;
	outcome o = records_statement(r, which, &s, f);
	if (o.ok)
		o = records_step(r, s, &row, f);
	if (!o.ok)
		return o;
	*out = row ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return DONE;
}

static void take_withdrawal(sqlite3_stmt *s, struct withdrawal *out)
{
	size_t n;
	*out = (struct withdrawal){.seq = sqlite3_column_int64(s, 0), .time = sqlite3_column_int64(s, 1)};
	take_blob(s, 2, out->instance_id, sizeof out->instance_id, &n);
	out->suspended = sqlite3_column_int(s, 3) != 0;
	take_text(s, 4, out->reason, sizeof out->reason);
	take_blob(s, 5, out->mark, sizeof out->mark, &n);
	out->superseded = sqlite3_column_int(s, 6) != 0;
}

outcome records_withdrawals(struct records *r, int64_t after, struct withdrawal *out, size_t room,
			    size_t *count, int64_t *last, struct fault *f)
{
	sqlite3_stmt *s;
	bool row = true;
	*count = 0;
	/* Before the rows: a change between the two queries is then told the next time, and never passed
	 * over. */
	outcome o = read_int(r, SQL_WITHDRAWALS_LAST, last, f);
	if (o.ok)
		o = records_statement(r, SQL_WITHDRAWALS, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(s, 1, after);
	sqlite3_bind_int64(s, 2, (int64_t)room);
	while (o.ok && row && *count < room) {
		o = records_step(r, s, &row, f);
		if (o.ok && row)
			take_withdrawal(s, &out[(*count)++]);
	}
	sqlite3_reset(s);
	return o;
}

outcome records_withdrawal_known(struct records *r, int64_t seq, const uint8_t mark[WITHDRAWAL_MARK_SIZE],
				 bool *known, struct fault *f)
{
	sqlite3_stmt *s;
	outcome o = records_statement(r, SQL_WITHDRAWAL_KNOWN, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(s, 1, seq);
	sqlite3_bind_blob(s, 2, mark, WITHDRAWAL_MARK_SIZE, SQLITE_STATIC);
	o = records_step(r, s, known, f);
	sqlite3_reset(s);
	return o;
}

outcome records_withdrawal_of(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE],
			      struct withdrawal *out, bool *found, struct fault *f)
{
	sqlite3_stmt *s;
	outcome o = records_statement(r, SQL_WITHDRAWAL_OF, &s, f);
	if (!o.ok)
		return o;
	sqlite3_bind_blob(s, 1, instance_id, INSTANCE_ID_SIZE, SQLITE_STATIC);
	o = records_step(r, s, found, f);
	if (o.ok && *found)
		take_withdrawal(s, out);
	sqlite3_reset(s);
	return o;
}
