#include "records.h"

#include "lookup.h"

#include <string.h>

enum { SCHEMA_VERSION = 2 };

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

/* Room for the pages that a settling of the lookup touches, and fewer checkpoints that write them again. */
static const char writer_pragmas[] = "PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=8192";

outcome records_open(const char *path, struct records *out, struct fault *f)
{
	*out = (struct records){.writer = true};
	outcome r = db_open(path, schema, SCHEMA_VERSION, &out->conn.db, f);
	return r.ok ? db_exec(out->conn.db, writer_pragmas, f) : r;
}

outcome records_open_reader(const char *path, struct records *out, struct fault *f)
{
	*out = (struct records){0};
	return db_open_reader(path, &out->conn.db, f);
}

void records_close(struct records *r)
{
	lookup_forget(r);
	conn_close(&r->conn);
	*r = (struct records){0};
}

/* Columns as RECORD_COLUMNS lists them. */
static void take_record(struct query *q, struct record *out)
{
	*out = (struct record){0};
	column_copy(q, out->instance_id, sizeof out->instance_id);
	struct bytes implementation = column_blob(q), key;
	out->has_implementation = implementation.n == IMPLEMENTATION_ID_SIZE;
	if (out->has_implementation)
		memcpy(out->implementation_id, implementation.p, IMPLEMENTATION_ID_SIZE);
	key = column_blob(q);
	out->public_key_size = key.n <= sizeof out->public_key ? key.n : 0;
	if (out->public_key_size)
		memcpy(out->public_key, key.p, out->public_key_size);
	column_string(q, out->batch, sizeof out->batch);
	column_string(q, out->model, sizeof out->model);
	out->evidence = (unsigned)column_int(q);
	out->suspended = column_int(q) != 0;
	out->created = column_int(q);
}

outcome records_find(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE], struct record *out,
		     bool *found, struct fault *f)
{
	static const char sql[] = "SELECT " RECORD_COLUMNS " FROM records WHERE id = ?";
	int64_t id;
	*found = false;
	outcome o = lookup_find(r, instance_id, &id, f);
	if (!o.ok || !id)
		return o;
	struct query q = query_start(&r->conn, sql);
	query_int(&q, id);
	o = query_row(&q, found, f);
	if (o.ok && *found)
		take_record(&q, out);
	query_end(&q);
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
	static const char all[] = "SELECT " RECORD_COLUMNS " FROM records WHERE id > ?1 ORDER BY id LIMIT ?2";
	static const char of_batch[] =
		"SELECT " RECORD_COLUMNS " FROM records WHERE batch = ?3 AND id > ?1 ORDER BY id LIMIT ?2";
	int64_t id;
	bool row = true;
	*count = 0;
	outcome o = place_of(r, after, &id, f);
	if (!o.ok)
		return o;
	struct query q = query_start(&r->conn, batch ? of_batch : all);
	query_int(&q, id);
	query_int(&q, (int64_t)room);
	if (batch)
		query_text(&q, batch);
	while (o.ok && row && *count < room) {
		o = query_row(&q, &row, f);
		if (o.ok && row)
			take_record(&q, &out[(*count)++]);
	}
	query_end(&q);
	return o;
}

/* ---- withdrawals ---- */

#define WITHDRAWAL_COLUMNS "seq, time, instance_id, suspended, reason, mark"

/* And whether a later one is of the same record. */
static void take_withdrawal(struct query *q, struct withdrawal *out)
{
	*out = (struct withdrawal){.seq = column_int(q)};
	out->time = column_int(q);
	column_copy(q, out->instance_id, sizeof out->instance_id);
	out->suspended = column_int(q) != 0;
	column_string(q, out->reason, sizeof out->reason);
	column_copy(q, out->mark, sizeof out->mark);
	out->superseded = column_int(q) != 0;
}

outcome records_withdrawals(struct records *r, int64_t after, struct withdrawal *out, size_t room,
			    size_t *count, int64_t *last, struct fault *f)
{
	static const char newest[] = "SELECT coalesce(max(seq), 0) FROM withdrawals";
	static const char sql[] =
		"SELECT " WITHDRAWAL_COLUMNS ", EXISTS (SELECT 1 FROM withdrawals n "
		"WHERE n.instance_id = w.instance_id AND n.seq > w.seq) FROM withdrawals w WHERE seq > ? "
		"ORDER BY seq LIMIT ?";
	bool row = true;
	*count = 0;
	/* Before the rows: a change between the two queries is then told the next time, and never passed
	 * over. */
	struct query q = query_start(&r->conn, newest);
	outcome o = query_number(&q, 0, last, f);
	if (!o.ok)
		return o;
	q = query_start(&r->conn, sql);
	query_int(&q, after);
	query_int(&q, (int64_t)room);
	while (o.ok && row && *count < room) {
		o = query_row(&q, &row, f);
		if (o.ok && row)
			take_withdrawal(&q, &out[(*count)++]);
	}
	query_end(&q);
	return o;
}

outcome records_withdrawal_known(struct records *r, int64_t seq, const uint8_t mark[WITHDRAWAL_MARK_SIZE],
				 bool *known, struct fault *f)
{
	static const char sql[] = "SELECT 1 FROM withdrawals WHERE seq = ? AND mark = ?";
	struct query q = query_start(&r->conn, sql);
	query_int(&q, seq);
	query_blob(&q, mark, WITHDRAWAL_MARK_SIZE);
	outcome o = query_row(&q, known, f);
	query_end(&q);
	return o;
}

outcome records_withdrawal_of(struct records *r, const uint8_t instance_id[INSTANCE_ID_SIZE],
			      struct withdrawal *out, bool *found, struct fault *f)
{
	static const char sql[] = "SELECT " WITHDRAWAL_COLUMNS ", 0 FROM withdrawals "
				  "WHERE instance_id = ? ORDER BY seq DESC LIMIT 1";
	struct query q = query_start(&r->conn, sql);
	query_blob(&q, instance_id, INSTANCE_ID_SIZE);
	outcome o = query_row(&q, found, f);
	if (o.ok && *found)
		take_withdrawal(&q, out);
	query_end(&q);
	return o;
}
