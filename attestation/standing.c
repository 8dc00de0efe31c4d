#include "standing.h"

#include "lookup.h"
#include "common/clock.h"
#include "common/json_read.h"

#include <string.h>

static outcome check_batch(const struct standing *s, struct records *r, struct fault *f)
{
	static const char sql[] = "SELECT 1 FROM records WHERE batch = ? LIMIT 1";
	struct query q = query_start(&r->conn, sql);
	int64_t known;
	query_text(&q, s->batch);
	outcome o = query_number(&q, 0, &known, f);
	return o.ok && !known ? refuse(f, REASON_NOT_FOUND, "no record is of this batch") : o;
}

static outcome withdraw_batch(const struct standing *s, struct records *r, struct fault *f)
{
	static const char sql[] = "INSERT INTO withdrawals(time, instance_id, suspended, reason) "
				  "SELECT ?3, instance_id, ?2, ?4 FROM records "
				  "WHERE batch = ?1 AND suspended <> ?2 ORDER BY id";
	struct query q = query_start(&r->conn, sql);
	query_text(&q, s->batch);
	query_int(&q, s->suspended);
	query_int(&q, clock_wall_s());
	query_text(&q, s->reason);
	return query_run(&q, f);
}

static outcome suspend_batch(const struct standing *s, struct records *r, struct fault *f)
{
	static const char sql[] = "UPDATE records SET suspended = ?2 WHERE batch = ?1 AND suspended <> ?2";
	struct query q = query_start(&r->conn, sql);
	query_text(&q, s->batch);
	query_int(&q, s->suspended);
	return query_run(&q, f);
}

/* The withdrawals are written first: they are the rows whose state is about to change. */
static outcome change_batch(struct standing *s, struct records *r, struct fault *f)
{
	outcome o = check_batch(s, r, f);
	if (o.ok)
		o = withdraw_batch(s, r, f);
	if (o.ok)
		o = suspend_batch(s, r, f);
	s->devices = o.ok ? sqlite3_changes64(r->conn.db) : 0;
	return o;
}

static outcome suspend(const struct standing *s, int64_t id, struct records *r, struct fault *f)
{
	static const char sql[] = "UPDATE records SET suspended = ?2 WHERE id = ?1 AND suspended <> ?2";
	struct query q = query_start(&r->conn, sql);
	query_int(&q, id);
	query_int(&q, s->suspended);
	return query_run(&q, f);
}

static outcome withdraw(const struct standing *s, struct records *r, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO withdrawals(instance_id, suspended, time, reason) VALUES(?, ?, ?, ?)";
	struct query q = query_start(&r->conn, sql);
	query_blob(&q, s->instance_id, INSTANCE_ID_SIZE);
	query_int(&q, s->suspended);
	query_int(&q, clock_wall_s());
	query_text(&q, s->reason);
	return query_run(&q, f);
}

static outcome change_one(struct standing *s, struct records *r, struct fault *f)
{
	int64_t id;
	outcome o = lookup_find(r, s->instance_id, &id, f);
	if (o.ok && !id)
		return refuse(f, REASON_NOT_FOUND, "there is no such record");
	if (o.ok)
		o = suspend(s, id, r, f);
	s->devices = o.ok ? sqlite3_changes64(r->conn.db) : 0;
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
