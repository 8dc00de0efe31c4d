#include "standing.h"

#include "clock.h"
#include "json_read.h"
#include "lookup.h"

#include <string.h>

static outcome check_batch(const struct standing *s, struct records *r, struct fault *f)
{
	sqlite3_stmt *q;
	bool row;
	outcome o = records_statement(r, SQL_BATCH_KNOWN, &q, f);
	if (!o.ok)
		return o;
	sqlite3_bind_text(q, 1, s->batch, -1, SQLITE_STATIC);
	o = records_step(r, q, &row, f);
	sqlite3_reset(q);
	return o.ok && !row ? refuse(f, REASON_NOT_FOUND, "no record is of this batch") : o;
}

static outcome run_batch(const struct standing *s, enum records_sql which, struct records *r, struct fault *f)
{
	sqlite3_stmt *q;
	outcome o = records_statement(r, which, &q, f);
	if (!o.ok)
		return o;
	sqlite3_bind_text(q, 1, s->batch, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, s->suspended);
	if (which == SQL_BATCH_WITHDRAW) {
		sqlite3_bind_int64(q, 3, clock_wall_s());
		sqlite3_bind_text(q, 4, s->reason, -1, SQLITE_STATIC);
	}
	return records_run(r, q, f);
}

/* The withdrawals are written first: they are the rows whose state is about to change. */
static outcome change_batch(struct standing *s, struct records *r, struct fault *f)
{
	outcome o = check_batch(s, r, f);
	if (o.ok)
		o = run_batch(s, SQL_BATCH_WITHDRAW, r, f);
	if (o.ok)
		o = run_batch(s, SQL_BATCH_SUSPEND, r, f);
	s->devices = o.ok ? sqlite3_changes64(r->db) : 0;
	return o;
}

static outcome suspend(const struct standing *s, int64_t id, struct records *r, struct fault *f)
{
	sqlite3_stmt *q;
	outcome o = records_statement(r, SQL_SUSPEND, &q, f);
	if (!o.ok)
		return o;
	sqlite3_bind_int64(q, 1, id);
	sqlite3_bind_int(q, 2, s->suspended);
	return records_run(r, q, f);
}

static outcome withdraw(const struct standing *s, struct records *r, struct fault *f)
{
	sqlite3_stmt *q;
	outcome o = records_statement(r, SQL_WITHDRAW, &q, f);
	if (!o.ok)
		return o;
	sqlite3_bind_blob(q, 1, s->instance_id, INSTANCE_ID_SIZE, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, s->suspended);
	sqlite3_bind_int64(q, 3, clock_wall_s());
	sqlite3_bind_text(q, 4, s->reason, -1, SQLITE_STATIC);
	return records_run(r, q, f);
}

static outcome change_one(struct standing *s, struct records *r, struct fault *f)
{
	int64_t id;
	outcome o = lookup_find(r, s->instance_id, &id, f);
	if (o.ok && !id)
		return refuse(f, REASON_NOT_FOUND, "there is no such record");
	if (o.ok)
		o = suspend(s, id, r, f);
	s->devices = o.ok ? sqlite3_changes64(r->db) : 0;
	return s->devices ? withdraw(s, r, f) : o;
}

static outcome run_standing(struct change *c, struct records *r, struct fault *f)
{
	struct standing *s = (struct standing *)c;
	return s->whole_batch ? change_batch(s, r, f) : change_one(s, r, f);
}

void standing_prepare(struct standing *s)
{
	s->change.run = run_standing;
}

static bool is_plain_text(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

outcome standing_reason_parse(struct bytes body, char out[WITHDRAWAL_REASON_SIZE], struct fault *f)
{
	json_t *top;
	outcome r = json_read_object(body, "the body", &top, f);
	const json_t *v = json_object_get(top, "reason");
	const char *text = json_string_value(v);
	size_t n = json_string_length(v);
	if (!r.ok)
		return r;
	if (!text || n == 0 || n >= WITHDRAWAL_REASON_SIZE || !is_plain_text(text) ||
	    json_object_size(top) != 1)
		r = refuse(f, REASON_BAD_FIELD, "not {\"reason\": 1 to %d bytes of plain text}",
			   WITHDRAWAL_REASON_SIZE - 1);
	else
		memcpy(out, text, n + 1);
	json_decref(top);
	return r;
}
