#include "reserve_internal.h"

#include <string.h>

static const struct store_chain *chain_of(const struct decision *x)
{
	return x->r->in.chain;
}

/* ---- what is on record ---- */

/* A device's chain grows, and its beginning stays: another one would use another device's numbers for it. */
static outcome compare_recorded(struct decision *x, struct bytes recorded, int64_t programme, struct fault *f)
{
	const struct store_chain *c = chain_of(x);
	size_t known = recorded.n / SHA256_SIZE, common = known < c->count ? known : c->count;
	bool same = programme == c->programme;
	for (size_t i = 0; same && i < common; i++)
		same = !memcmp(recorded.p + i * SHA256_SIZE, c->statements[i].sha256, SHA256_SIZE);
	x->chain_known = common;
	x->chain_is_cut = known > c->count;
	return same ? DONE
		    : reserve_refuse(
			      x, REASON_CHAIN_USED,
			      "this device has used another chain than this one, or than its beginning", f);
}

/* A refurbishment follows what the device was: one from before its generation began is not used any more, so that a
 * revocation and the grant after it leave nothing behind. */
static outcome check_raises(struct decision *x, int64_t raised_at, struct fault *f)
{
	static const char sql[] = "SELECT coalesce(min(issued_at_ms), 0) FROM certificates WHERE device_id = "
				  "? AND generation = ?";
	const struct store_chain *c = chain_of(x);
	int64_t began_ms;
	/* A device that comes for the first time has no generation to leave. */
	if (!c->raises_generation || !x->device.id || (int64_t)c->count <= raised_at)
		return DONE;
	struct query q = query_start(&x->w->conn, sql);
	query_int(&q, x->device.id);
	query_int(&q, x->device.generation);
	outcome o = query_number(&q, 0, &began_ms, f);
	x->chain_raises = o.ok && c->statements[c->count - 1].time >= began_ms / 1000;
	return o;
}

outcome reserve_load_chain(struct decision *x, struct fault *f)
{
	static const char sql[] =
		"SELECT programme_id, statements, raised_at FROM chains WHERE device_id = ?";
	const struct store_chain *c = chain_of(x);
	struct query q;
	bool row = false;
	outcome o = DONE;
	int64_t raised_at = 0;
	if (!c)
		return DONE;
	if (x->device.id) {
		q = query_start(&x->w->conn, sql);
		query_int(&q, x->device.id);
		o = query_row(&q, &row, f);
	}
	if (o.ok && row) {
		uint8_t statements[STAGES_MAX * SHA256_SIZE];
		int64_t programme = column_int(&q);
		struct bytes recorded = column_bytes(&q, statements, sizeof statements);
		raised_at = column_int(&q);
		query_end(&q);
		o = compare_recorded(x, recorded, programme, f);
	}
	return o.ok && !x->settled ? check_raises(x, raised_at, f) : o;
}

/* ---- a number that two statements were made under ---- */

struct use {
	bool there;
	int64_t device_id;
	uint8_t sha256[SHA256_SIZE];
};

static outcome find_use(struct decision *x, const struct store_statement *s, struct use *out, struct fault *f)
{
	static const char sql[] =
		"SELECT device_id, sha256 FROM statement_uses WHERE order_id = ? AND seq = ?";
	struct query q = query_start(&x->w->conn, sql);
	query_int(&q, s->order);
	query_int(&q, s->seq);
	outcome o = query_row(&q, &out->there, f);
	if (!o.ok || !out->there)
		return o;
	out->device_id = column_int(&q);
	column_copy(&q, out->sha256, SHA256_SIZE);
	query_end(&q);
	return DONE;
}

/* The statement with this hash, out of a chain. */
static struct bytes statement_in(struct bytes chain, const uint8_t sha[SHA256_SIZE])
{
	struct chain_parts parts;
	struct fault ignored;
	uint8_t hash[SHA256_SIZE];
	if (!chain_take_apart(chain, &parts, &ignored).ok)
		return (struct bytes){0};
	for (size_t i = 0; i < parts.count; i++) {
		sha256(parts.statements[i], hash);
		if (!memcmp(hash, sha, SHA256_SIZE))
			return parts.statements[i];
	}
	return (struct bytes){0};
}

static outcome add_other(struct decision *x, const struct use *use, struct buf *detail, struct fault *f)
{
	static const char sql[] =
		"SELECT c.chain, coalesce(d.thing, '') FROM chains c JOIN devices d ON d.id = "
		"c.device_id WHERE c.device_id = ?";
	struct query q = query_start(&x->w->conn, sql);
	bool row;
	query_int(&q, use->device_id);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	detail_base64url(detail, "statement_used", statement_in(column_blob(&q), use->sha256));
	detail_text(detail, "thing_used", column_text(&q));
	query_end(&q);
	return DONE;
}

static outcome freeze(struct decision *x, const struct store_statement *s, struct fault *f)
{
	static const char sql[] = "INSERT OR IGNORE INTO frozen_batches VALUES (?, ?, ?)";
	struct buf detail = {0};
	struct query q = query_start(&x->w->conn, sql);
	query_int(&q, chain_of(x)->programme);
	query_text(&q, s->batch);
	query_int(&q, x->w->now_ms);
	outcome o = query_run(&q, f);
	if (!o.ok || !sqlite3_changes(x->w->conn.db))
		return o;
	detail_text(&detail, "batch", s->batch);
	struct log_new e = {
		.kind = "batch-frozen",
		.actor = "gateway",
		.request_id = x->r->in.intent.request_id,
		.reason = reason_code(REASON_EQUIVOCATION),
		.detail = detail_end(&detail),
	};
	o = log_append(x->w, &e, f);
	buf_free(&detail);
	return o;
}

/* The two statements prove, to anybody who has the line's key, that the line made both. */
static outcome refuse_equivocation(struct decision *x, const struct store_statement *s, const struct use *use,
				   struct fault *f)
{
	static const char rule[] = "the line signed two statements under one number";
	struct buf detail = {0};
	detail_text(&detail, "rule", rule);
	detail_text(&detail, "batch", s->batch);
	detail_int(&detail, "stage", s->stage);
	detail_int(&detail, "seq", s->seq);
	detail_base64url(&detail, "statement_shown", statement_in(chain_of(x)->chain, s->sha256));
	outcome o = add_other(x, use, &detail, f);
	if (o.ok)
		o = reserve_alarm(x, REASON_EQUIVOCATION, detail_end(&detail), f);
	buf_free(&detail);
	if (o.ok && chain_of(x)->freeze)
		o = freeze(x, s, f);
	return o.ok ? reserve_refuse(x, REASON_EQUIVOCATION, rule, f) : o;
}

/* ---- what is new of it ---- */

static outcome check_batch(struct decision *x, const struct store_statement *s, struct fault *f)
{
	static const char sql[] = "SELECT 1 FROM frozen_batches WHERE programme_id = ? AND batch = ?";
	struct query q = query_start(&x->w->conn, sql);
	int64_t frozen;
	query_int(&q, chain_of(x)->programme);
	query_text(&q, s->batch);
	outcome o = query_number(&q, 0, &frozen, f);
	return o.ok && frozen
		       ? reserve_refuse(
				 x, REASON_BATCH_FROZEN,
				 "the batch is frozen, until an operator has looked (mooringctl alarms, "
				 "batch release)",
				 f)
		       : o;
}

/* Of what is new; almost always no batch at all is frozen. */
static outcome check_frozen(struct decision *x, struct fault *f)
{
	static const char sql[] = "SELECT 1 FROM frozen_batches LIMIT 1";
	const struct store_chain *c = chain_of(x);
	struct query q = query_start(&x->w->conn, sql);
	int64_t any;
	outcome o = query_number(&q, 0, &any, f);
	for (size_t i = x->chain_known; o.ok && any && !x->settled && i < c->count; i++)
		o = check_batch(x, &c->statements[i], f);
	return o;
}

static outcome check_unused(struct decision *x, const struct store_statement *s, struct fault *f)
{
	struct use use;
	outcome o = find_use(x, s, &use, f);
	if (!o.ok || !use.there)
		return o;
	return refuse_equivocation(x, s, &use, f);
}

/* Lines changed while this chain was on its way: what it was checked against is no more. */
static outcome refuse_stale(struct decision *x)
{
	x->settled = true;
	return op_refuse(&x->r->op, REASON_OVERLOADED, "what lines may do was changed a moment ago");
}

outcome reserve_check_chain(struct decision *x, struct fault *f)
{
	const struct store_chain *c = chain_of(x);
	outcome o;
	if (c && x->chain_is_cut)
		return reserve_refuse(x, REASON_CHAIN_USED,
				      "this device has shown more of its chain than this, which leaves out "
				      "what was done last",
				      f);
	if (!c || x->chain_known == c->count)
		return DONE;
	if (c->lines_state != x->w->head.lines)
		return refuse_stale(x);
	o = check_frozen(x, f);
	for (size_t i = x->chain_known; o.ok && !x->settled && i < c->count; i++)
		o = check_unused(x, &c->statements[i], f);
	return o.ok && !x->settled ? reserve_check_register(x, f) : o;
}

/* ---- what is kept ---- */

static outcome write_use(struct decision *x, const struct store_statement *s, struct fault *f)
{
	static const char sql[] = "INSERT INTO statement_uses VALUES (?, ?, ?, ?, ?)";
	struct query q = query_start(&x->w->conn, sql);
	query_int(&q, s->order);
	query_int(&q, s->seq);
	query_blob(&q, s->sha256, SHA256_SIZE);
	query_int(&q, x->device.id);
	query_int(&q, s->time);
	return query_run(&q, f);
}

static outcome alarm_rate(struct decision *x, const struct store_statement *s, int64_t hour, struct fault *f)
{
	struct buf detail = {0};
	detail_text(&detail, "rule", "the line made more in an hour than its record says that it can");
	detail_text(&detail, "batch", s->batch);
	detail_int(&detail, "stage", s->stage);
	detail_int(&detail, "per_hour", s->per_hour);
	detail_int(&detail, "hour_from", hour * 3600);
	outcome o = reserve_alarm(x, REASON_LINE_RATE, detail_end(&detail), f);
	buf_free(&detail);
	return o;
}

/* One alarm an hour of the register's, when the count passes what the line can do. */
static outcome count_hour(struct decision *x, const struct store_statement *s, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO line_hours VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 "
		"RETURNING count";
	struct query q;
	int64_t hour = s->time / 3600, count;
	if (!s->per_hour)
		return DONE;
	q = query_start(&x->w->conn, sql);
	query_int(&q, s->line);
	query_int(&q, hour);
	outcome o = query_number(&q, 0, &count, f);
	return o.ok && count == s->per_hour + 1 ? alarm_rate(x, s, hour, f) : o;
}

static outcome write_recorded(struct decision *x, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO chains (device_id, programme_id, statements, rot_key, chain, raised_at) "
		"VALUES (?, ?, ?, ?, ?, ?) "
		"ON CONFLICT DO UPDATE SET statements = excluded.statements, chain = excluded.chain";
	const struct store_chain *c = chain_of(x);
	uint8_t statements[STAGES_MAX * SHA256_SIZE];
	struct query q = query_start(&x->w->conn, sql);
	for (size_t i = 0; i < c->count; i++)
		memcpy(statements + i * SHA256_SIZE, c->statements[i].sha256, SHA256_SIZE);
	query_int(&q, x->device.id);
	query_int(&q, c->programme);
	query_blob(&q, statements, c->count * SHA256_SIZE);
	query_blob(&q, c->rot_key, P256_POINT_SIZE);
	query_blob(&q, c->chain.p, c->chain.n);
	query_int(&q, c->raises_generation && !x->chain_raises ? (int64_t)c->count : 0);
	return query_run(&q, f);
}

outcome reserve_write_chain(struct decision *x, struct fault *f)
{
	const struct store_chain *c = chain_of(x);
	outcome o = DONE;
	if (!c || x->chain_known == c->count)
		return DONE;
	for (size_t i = x->chain_known; o.ok && i < c->count; i++) {
		o = write_use(x, &c->statements[i], f);
		if (o.ok)
			o = count_hour(x, &c->statements[i], f);
	}
	if (o.ok)
		o = reserve_write_register(x, f);
	return o.ok ? write_recorded(x, f) : o;
}
