#include "store_internal.h"

#include <inttypes.h>
#include <string.h>

/* Line records and work orders, as the OEM's keys have signed them. */

struct add_op {
	struct change_op change;
	struct store_object *objects;
	size_t count;
	struct store_line *lines;
	struct store_order *orders;
	struct store_added out;
	void (*done)(const struct store_added *answer, const struct fault *f, void *arg);
	void *arg;
};

/* ---- programmes ---- */

struct programme_op {
	struct op op;
	uint8_t programme[PROGRAMME_ID_SIZE];
	int64_t id;
	void (*done)(int64_t programme, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_programme(struct op *op, struct conn *c, struct fault *f)
{
	static const char insert[] = "INSERT INTO programmes (programme) VALUES (?) ON CONFLICT DO NOTHING";
	static const char find[] = "SELECT id FROM programmes WHERE programme = ?";
	struct programme_op *p = (struct programme_op *)op;
	struct query q = query_start(c, insert);
	query_blob(&q, p->programme, PROGRAMME_ID_SIZE);
	outcome o = query_run(&q, f);
	if (!o.ok)
		return o;
	q = query_start(c, find);
	query_blob(&q, p->programme, PROGRAMME_ID_SIZE);
	return query_number(&q, 0, &p->id, f);
}

static void answer_programme(struct op *op, const struct fault *f)
{
	struct programme_op *p = (struct programme_op *)op;
	p->done(f ? 0 : p->id, f, p->arg);
}

void store_programme(struct store *s, const uint8_t programme[PROGRAMME_ID_SIZE],
		     void (*done)(int64_t programme, const struct fault *f, void *arg), void *arg)
{
	struct programme_op *p = op_new(s, sizeof *p, run_programme, answer_programme);
	memcpy(p->programme, programme, PROGRAMME_ID_SIZE);
	p->done = done;
	p->arg = arg;
	op_write(&p->op);
}

/* ---- what both have in the log ---- */

static void detail_key(struct buf *b, const char *name, const uint8_t key_id[KEY_ID_SIZE])
{
	detail_hex(b, name, key_id, KEY_ID_SIZE);
}

static outcome log_object(struct add_op *a, const char *kind, struct buf *detail, struct fault *f)
{
	struct log_new e = {
		.kind = kind,
		.actor = a->change.actor,
		.request_id = a->change.request_id,
		.detail = detail_end(detail),
	};
	return log_append(&a->change.op.store->writer, &e, f);
}

/* ---- lines ---- */

static outcome find_line(struct conn *c, int64_t programme, const uint8_t key_id[KEY_ID_SIZE],
			 int64_t *version, struct store_line *out, bool *found, struct op *op,
			 struct fault *f)
{
	static const char sql[] =
		"SELECT id, version, record, held, revoked_from IS NOT NULL, revoked_from FROM lines "
		"WHERE programme_id = ? AND line = ?";
	struct query q = query_start(c, sql);
	query_int(&q, programme);
	query_blob(&q, key_id, KEY_ID_SIZE);
	outcome o = query_row(&q, found, f);
	*out = (struct store_line){.programme = programme};
	memcpy(out->line, key_id, KEY_ID_SIZE);
	if (!o.ok || !*found)
		return o;
	out->id = column_int(&q);
	*version = column_int(&q);
	out->record = op_bytes(op, column_blob(&q));
	out->held = column_int(&q);
	out->revoked = column_int(&q);
	out->revoked_from = column_int(&q);
	query_end(&q);
	return DONE;
}

static outcome write_line(struct conn *c, const struct store_object *object,
			  const uint8_t key_id[KEY_ID_SIZE], struct store_line *out, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO lines (programme_id, line, version, record) VALUES (?, ?, ?, ?) "
		"ON CONFLICT DO UPDATE SET version = excluded.version, record = excluded.record RETURNING id";
	struct query q = query_start(c, sql);
	query_int(&q, object->programme);
	query_blob(&q, key_id, KEY_ID_SIZE);
	query_int(&q, object->line->version);
	query_blob(&q, object->object.p, object->object.n);
	return query_number(&q, 0, &out->id, f);
}

static outcome log_line(struct add_op *a, const struct line_record *r, const uint8_t key_id[KEY_ID_SIZE],
			struct fault *f)
{
	struct buf detail = {0};
	detail_key(&detail, "line", key_id);
	detail_text(&detail, "site", r->site);
	detail_int(&detail, "version", r->version);
	detail_text(&detail, "state", line_state_name(r->state));
	if (r->state == LINE_REVOKED)
		detail_int(&detail, "revoked_from", r->revoked_from);
	outcome o = log_object(a, "line-added", &detail, f);
	buf_free(&detail);
	return o;
}

static outcome add_line(struct add_op *a, struct conn *c, const struct store_object *object, struct fault *f)
{
	struct store_line *out = &a->lines[a->out.line_count];
	uint8_t key_id[KEY_ID_SIZE];
	int64_t version = 0;
	bool found;
	provenance_key_id(object->line->key, key_id);
	outcome o = find_line(c, object->programme, key_id, &version, out, &found, &a->change.op, f);
	if (o.ok && found && bytes_equal(out->record, object->object)) {
		a->out.unchanged++;
		return DONE;
	}
	if (o.ok && found && version >= object->line->version)
		return op_refuse(&a->change.op, REASON_CONFLICT,
				 "line %.32s: version %" PRId64 " of its record is here, and %" PRId64
				 " is no later one: make the change again from the latest record",
				 object->line->site, version, object->line->version);
	if (o.ok)
		o = write_line(c, object, key_id, out, f);
	if (o.ok)
		o = log_line(a, object->line, key_id, f);
	out->record = object->object;
	out->seq = a->change.op.store->writer.head.seq;
	a->out.line_count++;
	return o;
}

/* ---- orders ---- */

static outcome find_order(struct conn *c, const struct store_object *object, struct bytes *known,
			  struct op *op, struct fault *f)
{
	static const char sql[] =
		"SELECT object FROM orders WHERE programme_id = ? AND line = ? AND batch = ? AND stage = ?";
	struct query q = query_start(c, sql);
	bool row;
	query_int(&q, object->programme);
	query_blob(&q, object->order->line, KEY_ID_SIZE);
	query_text(&q, object->order->batch);
	query_int(&q, object->order->stage);
	outcome o = query_row(&q, &row, f);
	*known = (struct bytes){0};
	if (!o.ok || !row)
		return o;
	*known = op_bytes(op, column_blob(&q));
	query_end(&q);
	return DONE;
}

static outcome write_order(struct conn *c, const struct store_object *object, struct store_order *out,
			   struct fault *f)
{
	static const char sql[] = "INSERT INTO orders (programme_id, line, batch, stage, quota, object) "
				  "VALUES (?, ?, ?, ?, ?, ?) RETURNING id";
	struct query q = query_start(c, sql);
	query_int(&q, object->programme);
	query_blob(&q, object->order->line, KEY_ID_SIZE);
	query_text(&q, object->order->batch);
	query_int(&q, object->order->stage);
	query_int(&q, object->order->quota);
	query_blob(&q, object->object.p, object->object.n);
	*out = (struct store_order){.programme = object->programme, .order = object->object};
	return query_number(&q, 0, &out->id, f);
}

static outcome log_order(struct add_op *a, const struct work_order *order, struct fault *f)
{
	struct buf detail = {0};
	detail_text(&detail, "batch", order->batch);
	detail_int(&detail, "stage", order->stage);
	detail_key(&detail, "line", order->line);
	detail_int(&detail, "quota", order->quota);
	outcome o = log_object(a, "order-added", &detail, f);
	buf_free(&detail);
	return o;
}

static outcome add_order(struct add_op *a, struct conn *c, const struct store_object *object, struct fault *f)
{
	struct bytes known;
	outcome o = find_order(c, object, &known, &a->change.op, f);
	if (o.ok && known.n && bytes_equal(known, object->object)) {
		a->out.unchanged++;
		return DONE;
	}
	if (o.ok && known.n)
		return op_refuse(&a->change.op, REASON_CONFLICT,
				 "batch %s, stage %" PRId64 ": there is another order for this line, and "
				 "orders do not change: a further quantity is "
				 "a further batch",
				 object->order->batch, object->order->stage);
	if (o.ok)
		o = write_order(c, object, &a->orders[a->out.order_count], f);
	if (o.ok)
		o = log_order(a, object->order, f);
	a->out.order_count++;
	return o;
}

/* ---- the list ---- */

/* Of a list that is refused half-way nothing is kept. */
static outcome roll_back_refusal(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "ROLLBACK TO objects";
	outcome o = query_exec(c, sql, f);
	(void)op;
	return o;
}

static outcome run_add(struct op *op, struct conn *c, struct fault *f)
{
	static const char savepoint[] = "SAVEPOINT objects", release[] = "RELEASE objects";
	struct add_op *a = (struct add_op *)op;
	struct writer *w = &op->store->writer;
	struct writer_head before = w->head;
	a->out = (struct store_added){.lines = a->lines, .orders = a->orders};
	outcome o = query_exec(c, savepoint, f);
	for (size_t i = 0; o.ok && !op->refused && i < a->count; i++)
		o = a->objects[i].line ? add_line(a, c, &a->objects[i], f)
				       : add_order(a, c, &a->objects[i], f);
	if (o.ok && op->refused) {
		w->head = before;
		o = roll_back_refusal(op, c, f);
	}
	if (o.ok)
		o = query_exec(c, release, f);
	a->out.lines_changed = a->out.line_count && !op->refused;
	w->head.lines += a->out.lines_changed;
	op->seq = w->head.seq;
	return o;
}

static void answer_add(struct op *op, const struct fault *f)
{
	struct add_op *a = (struct add_op *)op;
	a->out.change.seq = op->seq;
	a->out.change.recorded_at_ms = op->time_ms;
	a->out.change.durable_at_us = op->durable_at_us;
	a->done(f ? NULL : &a->out, f, a->arg);
}

static struct store_object *copy_objects(struct op *op, const struct store_object *objects, size_t count)
{
	struct store_object *copy = op_alloc(op, count * sizeof *copy);
	for (size_t i = 0; i < count; i++) {
		copy[i] = objects[i];
		copy[i].object = op_bytes(op, objects[i].object);
		if (copy[i].line)
			copy[i].line =
				(const void *)op_bytes(op, bytes_of(objects[i].line, sizeof *objects[i].line))
					.p;
		else
			copy[i].order = (const void *)op_bytes(
						op, bytes_of(objects[i].order, sizeof *objects[i].order))
						.p;
	}
	return copy;
}

void store_provenance_add(struct store *s, const struct store_caller *who, const struct store_object *objects,
			  size_t count,
			  void (*done)(const struct store_added *answer, const struct fault *f, void *arg),
			  void *arg)
{
	struct add_op *a = (struct add_op *)change_new(s, sizeof *a, who, "", "", run_add, NULL, NULL);
	a->change.op.answer = answer_add;
	a->objects = copy_objects(&a->change.op, objects, count);
	a->count = count;
	a->lines = op_alloc(&a->change.op, count * sizeof *a->lines);
	a->orders = op_alloc(&a->change.op, count * sizeof *a->orders);
	a->done = done;
	a->arg = arg;
	op_write(&a->change.op);
}
