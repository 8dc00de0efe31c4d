#include "store_internal.h"

#include <string.h>

/* What provenance asks of the store without changing anything. */

/* ---- a device and its statements ---- */

struct origin_op {
	struct op op;
	int64_t programme;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	uint8_t statements[STAGES_MAX][SHA256_SIZE];
	size_t count;
	struct store_origin out;
	void (*done)(const struct store_origin *o, const struct fault *f, void *arg);
	void *arg;
};

static outcome load_recorded(struct origin_op *x, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT c.rot_key, c.statements, c.chain FROM devices d JOIN chains c ON c.device_id = "
		"d.id WHERE d.instance_id = ? AND c.programme_id = ?";
	struct query q = query_start(c, sql);
	query_blob(&q, x->instance_id, INSTANCE_ID_SIZE);
	query_int(&q, x->programme);
	outcome o = query_row(&q, &x->out.recorded, f);
	if (!o.ok || !x->out.recorded)
		return o;
	column_copy(&q, x->out.rot_key, P256_POINT_SIZE);
	struct bytes statements = column_blob(&q);
	if (statements.n >= SHA256_SIZE)
		memcpy(x->out.last, statements.p + statements.n - SHA256_SIZE, SHA256_SIZE);
	x->out.chain = op_bytes(&x->op, column_blob(&q));
	query_end(&q);
	return DONE;
}

static outcome load_time(struct origin_op *x, struct conn *c, size_t i, struct fault *f)
{
	static const char sql[] = "SELECT time FROM register_entries WHERE object = ? AND programme_id = ? "
				  "ORDER BY idx LIMIT 1";
	struct query q = query_start(c, sql);
	query_blob(&q, x->statements[i], SHA256_SIZE);
	query_int(&q, x->programme);
	return query_number(&q, -1, &x->out.times[i], f);
}

static outcome run_origin(struct op *op, struct conn *c, struct fault *f)
{
	struct origin_op *x = (struct origin_op *)op;
	outcome o = load_recorded(x, c, f);
	for (size_t i = 0; o.ok && i < x->count; i++)
		o = load_time(x, c, i, f);
	return o;
}

static void answer_origin(struct op *op, const struct fault *f)
{
	struct origin_op *x = (struct origin_op *)op;
	x->done(f ? NULL : &x->out, f, x->arg);
}

void store_origin(struct store *s, int64_t programme, const uint8_t instance_id[INSTANCE_ID_SIZE],
		  const uint8_t (*statements)[SHA256_SIZE], size_t count,
		  void (*done)(const struct store_origin *o, const struct fault *f, void *arg), void *arg)
{
	struct origin_op *x = op_new(s, sizeof *x, run_origin, answer_origin);
	x->programme = programme;
	memcpy(x->instance_id, instance_id, INSTANCE_ID_SIZE);
	x->count = count;
	if (count)
		memcpy(x->statements, statements, count * SHA256_SIZE);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}

/* ---- where a device was built ---- */

static outcome load_used_time(struct conn *c, struct store_built *b, size_t i, struct fault *f)
{
	static const char sql[] =
		"SELECT u.time FROM orders o JOIN statement_uses u ON u.order_id = o.id AND u.seq = ? WHERE "
		"o.programme_id = ? AND o.line = ? AND o.batch = ? AND o.stage = ?";
	const struct stage_statement *s = &b->chain.statements[i];
	struct query q = query_start(c, sql);
	query_int(&q, s->seq);
	query_int(&q, b->programme);
	query_blob(&q, s->object.key_id, KEY_ID_SIZE);
	query_text(&q, s->batch);
	query_int(&q, s->stage);
	return query_number(&q, 0, &b->times[i], f);
}

outcome origin_load_built(struct op *op, struct conn *c, int64_t device, struct store_built *out,
			  struct fault *f)
{
	static const char sql[] =
		"SELECT p.id, p.programme, c.chain FROM chains c JOIN programmes p ON p.id = "
		"c.programme_id WHERE c.device_id = ?";
	struct query q = query_start(c, sql);
	bool row;
	query_int(&q, device);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	out->programme = column_int(&q);
	column_copy(&q, out->programme_id, PROGRAMME_ID_SIZE);
	out->bytes = op_bytes(op, column_blob(&q));
	query_end(&q);
	o = chain_read(out->bytes, &out->chain, f);
	for (size_t i = 0; o.ok && i < out->chain.count; i++)
		o = load_used_time(c, out, i, f);
	return o;
}

/* ---- orders ---- */

struct orders_op {
	struct op op;
	struct store_order_query query;
	uint8_t line[KEY_ID_SIZE];
	struct page page;
	void (*done)(const struct store_order *orders, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static void read_order(struct op *op, struct query *q, void *into)
{
	struct store_order *out = into;
	out->id = column_int(q);
	out->programme = column_int(q);
	out->order = op_bytes(op, column_blob(q));
	out->used = column_int(q);
	out->frozen = column_int(q);
}

static outcome run_orders(struct op *op, struct conn *c, struct fault *f)
{
	static const char plain[] =
		"SELECT id, programme_id, object, 0, 0 FROM orders WHERE id > ? ORDER BY id LIMIT ?";
	static const char counted[] =
		"SELECT o.id, o.programme_id, o.object, "
		"(SELECT count(*) FROM statement_uses u WHERE u.order_id = o.id), "
		"EXISTS (SELECT 1 FROM frozen_batches b WHERE b.programme_id = o.programme_id AND b.batch = "
		"o.batch) "
		"FROM orders o WHERE o.id > ? AND (?3 = '' OR o.batch = ?3) AND (?4 IS NULL OR o.line = ?4) "
		"ORDER BY o.id LIMIT ?2";
	struct orders_op *x = (struct orders_op *)op;
	struct query q = query_start(c, x->query.counted ? counted : plain);
	query_int(&q, x->query.after);
	query_int(&q, (int64_t)x->query.limit);
	if (x->query.counted) {
		query_text(&q, x->query.batch);
		query_blob(&q, x->query.line, KEY_ID_SIZE);
	}
	x->page = page_new(op, sizeof(struct store_order));
	return page_fill(&x->page, &q, read_order, f);
}

static void answer_orders(struct op *op, const struct fault *f)
{
	struct orders_op *x = (struct orders_op *)op;
	x->done(f ? NULL : x->page.rows, f ? 0 : x->page.count, f, x->arg);
}

void store_orders(struct store *s, const struct store_order_query *query,
		  void (*done)(const struct store_order *orders, size_t count, const struct fault *f,
			       void *arg),
		  void *arg)
{
	struct orders_op *x = op_new(s, sizeof *x, run_orders, answer_orders);
	x->query = *query;
	x->query.batch = op_text(&x->op, query->batch);
	x->query.limit = page_limit(query->limit);
	if (query->line) {
		memcpy(x->line, query->line, KEY_ID_SIZE);
		x->query.line = x->line;
	}
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}

/* ---- how it all stands ---- */

struct state_op {
	struct op op;
	struct page programmes, frozen;
	void (*done)(const struct store_provenance_state *programmes, size_t count,
		     const struct store_frozen *frozen, size_t frozen_count, const struct fault *f,
		     void *arg);
	void *arg;
};

static void read_state(struct op *op, struct query *q, void *into)
{
	struct store_provenance_state *out = into;
	(void)op;
	out->id = column_int(q);
	column_copy(q, out->programme, PROGRAMME_ID_SIZE);
	out->word_time = column_int(q);
	out->lines = column_int(q);
	out->orders = column_int(q);
	out->devices = column_int(q);
	out->register_size = column_int(q);
	out->register_time = column_int(q);
}

static void read_frozen(struct op *op, struct query *q, void *into)
{
	struct store_frozen *out = into;
	out->programme = column_int(q);
	out->batch = op_text(op, column_text(q));
	out->since_ms = column_int(q);
}

static outcome run_state(struct op *op, struct conn *c, struct fault *f)
{
	static const char programmes[] =
		"SELECT p.id, p.programme, p.word_time, "
		"(SELECT count(*) FROM lines l WHERE l.programme_id = p.id), "
		"(SELECT count(*) FROM orders o WHERE o.programme_id = p.id), "
		"(SELECT count(*) FROM chains c WHERE c.programme_id = p.id), coalesce(r.idx, 0), "
		"coalesce(r.time, 0) "
		"FROM programmes p LEFT JOIN register_entries r ON r.programme_id = p.id AND r.idx = "
		"(SELECT max(e.idx) FROM register_entries e WHERE e.programme_id = p.id) ORDER BY p.id LIMIT "
		"500";
	static const char frozen[] = "SELECT programme_id, batch, since_ms FROM frozen_batches ORDER BY "
				     "programme_id, batch LIMIT 500";
	struct state_op *x = (struct state_op *)op;
	struct query q = query_start(c, programmes);
	x->programmes = page_new(op, sizeof(struct store_provenance_state));
	outcome o = page_fill(&x->programmes, &q, read_state, f);
	if (!o.ok)
		return o;
	q = query_start(c, frozen);
	x->frozen = page_new(op, sizeof(struct store_frozen));
	return page_fill(&x->frozen, &q, read_frozen, f);
}

static void answer_state(struct op *op, const struct fault *f)
{
	struct state_op *x = (struct state_op *)op;
	if (f)
		x->done(NULL, 0, NULL, 0, f, x->arg);
	else
		x->done(x->programmes.rows, x->programmes.count, x->frozen.rows, x->frozen.count, NULL,
			x->arg);
}

void store_provenance_state(struct store *s,
			    void (*done)(const struct store_provenance_state *programmes, size_t count,
					 const struct store_frozen *frozen, size_t frozen_count,
					 const struct fault *f, void *arg),
			    void *arg)
{
	struct state_op *x = op_new(s, sizeof *x, run_state, answer_state);
	x->done = done;
	x->arg = arg;
	op_read(&x->op);
}
