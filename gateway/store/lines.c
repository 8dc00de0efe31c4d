#include "store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an operator says of lines and batches, and who came from them. */

#define LINE_COLUMNS "id, programme_id, line, record, held, revoked_from IS NOT NULL, revoked_from"

static void read_line(struct op *op, struct query *q, void *into)
{
	struct store_line *out = into;
	out->id = column_int(q);
	out->programme = column_int(q);
	column_copy(q, out->line, KEY_ID_SIZE);
	out->record = op_bytes(op, column_blob(q));
	out->held = column_int(q);
	out->revoked = column_int(q);
	out->revoked_from = column_int(q);
}

/* ---- a list ---- */

struct lines_op {
	struct op op;
	int64_t after;
	struct page page;
	void (*done)(const struct store_line *lines, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_lines(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT " LINE_COLUMNS " FROM lines WHERE id > ? ORDER BY id LIMIT 500";
	struct lines_op *l = (struct lines_op *)op;
	struct query q = query_start(c, sql);
	query_int(&q, l->after);
	l->page = page_new(op, sizeof(struct store_line));
	return page_fill(&l->page, &q, read_line, f);
}

static void answer_lines(struct op *op, const struct fault *f)
{
	struct lines_op *l = (struct lines_op *)op;
	l->done(f ? NULL : l->page.rows, f ? 0 : l->page.count, f, l->arg);
}

void store_lines(struct store *s, int64_t after,
		 void (*done)(const struct store_line *lines, size_t count, const struct fault *f, void *arg),
		 void *arg)
{
	struct lines_op *l = op_new(s, sizeof *l, run_lines, answer_lines);
	l->after = after;
	l->done = done;
	l->arg = arg;
	op_read(&l->op);
}

/* ---- what the operator says ---- */

struct line_op {
	struct change_op change;
	struct store_line_order order;
	struct store_line *lines;
	struct store_added out;
	void (*done)(const struct store_added *answer, const struct fault *f, void *arg);
	void *arg;
};

static outcome load_lines(struct line_op *l, struct conn *c, struct fault *f)
{
	static const char sql[] = "SELECT " LINE_COLUMNS " FROM lines WHERE line = ? ORDER BY id LIMIT 500";
	struct query q = query_start(c, sql);
	struct page page = page_new(&l->change.op, sizeof(struct store_line));
	query_blob(&q, l->order.line, KEY_ID_SIZE);
	outcome o = page_fill(&page, &q, read_line, f);
	l->lines = page.rows;
	l->out = (struct store_added){.lines = page.rows, .line_count = page.count};
	return o;
}

/* Whether the row changes by it; a refusal is made here. */
static bool apply(struct line_op *l, struct store_line *line)
{
	struct op *op = &l->change.op;
	bool held = line->held;
	switch (l->order.verb) {
	case STORE_LINE_SUSPEND:
		line->held = true;
		return !held;
	case STORE_LINE_RESUME:
		if (line->revoked && !held)
			op_refuse(op, REASON_CONFLICT, "the line is revoked, and revoked is final");
		line->held = false;
		return held;
	case STORE_LINE_REVOKE:
		if (line->revoked && line->revoked_from < l->order.from)
			op_refuse(op, REASON_CONFLICT,
				  "the line is revoked from an earlier time on (%" PRId64
				  "), and revoked is final",
				  line->revoked_from);
		if (line->revoked && line->revoked_from <= l->order.from)
			return false;
		line->revoked = true;
		line->revoked_from = l->order.from;
		line->held = false;
		return true;
	}
	return false;
}

static outcome write_line(struct conn *c, const struct store_line *line, struct fault *f)
{
	static const char sql[] =
		"UPDATE lines SET held = ?, revoked_from = CASE WHEN ? THEN ? END WHERE id = ?";
	struct query q = query_start(c, sql);
	query_int(&q, line->held);
	query_int(&q, line->revoked);
	query_int(&q, line->revoked_from);
	query_int(&q, line->id);
	return query_run(&q, f);
}

static outcome log_line(struct line_op *l, struct fault *f)
{
	static const char *const kinds[] = {"line-suspended", "line-resumed", "line-revoked"};
	struct buf detail = {0};
	detail_hex(&detail, "line", l->order.line, KEY_ID_SIZE);
	if (l->order.verb == STORE_LINE_REVOKE)
		detail_int(&detail, "revoked_from", l->order.from);
	struct log_new e = {
		.kind = kinds[l->order.verb],
		.actor = l->change.actor,
		.request_id = l->change.request_id,
		.reason = l->change.reason,
		.detail = detail_end(&detail),
	};
	outcome o = log_append(&l->change.op.store->writer, &e, f);
	buf_free(&detail);
	return o;
}

static outcome change_lines(struct line_op *l, struct conn *c, struct fault *f)
{
	struct op *op = &l->change.op;
	outcome o = DONE;
	bool changed = false;
	for (size_t i = 0; o.ok && !op->refused && i < l->out.line_count; i++) {
		if (!apply(l, &l->lines[i]) || op->refused)
			continue;
		changed = true;
		o = write_line(c, &l->lines[i], f);
	}
	l->out.change.already = !changed;
	return o.ok && changed && !op->refused ? log_line(l, f) : o;
}

static outcome run_line(struct op *op, struct conn *c, struct fault *f)
{
	struct line_op *l = (struct line_op *)op;
	struct writer *w = &op->store->writer;
	outcome o = load_lines(l, c, f);
	if (o.ok && l->out.line_count == 0)
		return op_refuse(op, REASON_NOT_FOUND,
				 "there is no line of this key; mooringctl line list lists them");
	if (o.ok)
		o = change_lines(l, c, f);
	l->out.lines_changed = !op->refused && !l->out.change.already;
	w->head.lines += l->out.lines_changed;
	op->seq = w->head.seq;
	for (size_t i = 0; i < l->out.line_count; i++)
		l->lines[i].seq = op->seq;
	return o;
}

static void answer_line(struct op *op, const struct fault *f)
{
	struct line_op *l = (struct line_op *)op;
	l->out.change.seq = op->seq;
	l->out.change.recorded_at_ms = op->time_ms;
	l->out.change.durable_at_us = op->durable_at_us;
	l->done(f ? NULL : &l->out, f, l->arg);
}

void store_line_set(struct store *s, const struct store_caller *who, const struct store_line_order *order,
		    void (*done)(const struct store_added *answer, const struct fault *f, void *arg),
		    void *arg)
{
	struct line_op *l =
		(struct line_op *)change_new(s, sizeof *l, who, "", order->reason, run_line, NULL, NULL);
	l->change.op.answer = answer_line;
	l->order = *order;
	l->order.reason = l->change.reason;
	l->done = done;
	l->arg = arg;
	op_write(&l->change.op);
}

/* ---- batches ---- */

struct release_op {
	struct change_op change;
	bool is_named; /* the programme */
	uint8_t programme[PROGRAMME_ID_SIZE];
};

/* Programmes name their batches without each other's knowledge: what was looked into is one programme's. */
static outcome find_frozen(struct release_op *r, struct conn *c, int64_t *programme, struct fault *f)
{
	static const char sql[] =
		"SELECT p.id, p.programme, count(*) FROM frozen_batches b JOIN programmes p ON p.id = "
		"b.programme_id WHERE b.batch = ? AND (?2 IS NULL OR p.programme = ?2)";
	struct op *op = &r->change.op;
	struct query q = query_start(c, sql);
	bool row;
	query_text(&q, r->change.name);
	query_blob(&q, r->is_named ? r->programme : NULL, PROGRAMME_ID_SIZE);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	*programme = column_int(&q);
	column_copy(&q, r->programme, PROGRAMME_ID_SIZE);
	r->change.count = column_int(&q);
	query_end(&q);
	if (r->change.count == 0)
		return op_refuse(
			op, REASON_NOT_FOUND,
			"no batch of this name is frozen; mooringctl provenance status lists those that are");
	if (r->change.count > 1)
		return op_refuse(op, REASON_CONFLICT,
				 "batches of this name are frozen in %" PRId64
				 " programmes: name the programme (mooringctl batch release --programme)",
				 r->change.count);
	return DONE;
}

static outcome log_release(struct change_op *x, const uint8_t programme[PROGRAMME_ID_SIZE], struct fault *f)
{
	struct buf detail = {0};
	detail_text(&detail, "batch", x->name);
	detail_hex(&detail, "programme", programme, PROGRAMME_ID_SIZE);
	struct log_new e = {.kind = "batch-released",
			    .actor = x->actor,
			    .request_id = x->request_id,
			    .reason = x->reason,
			    .detail = detail_end(&detail)};
	outcome o = log_append(&x->op.store->writer, &e, f);
	buf_free(&detail);
	return o;
}

static outcome run_release(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] = "DELETE FROM frozen_batches WHERE batch = ? AND programme_id = ?";
	struct release_op *r = (struct release_op *)op;
	int64_t programme = 0;
	outcome o = find_frozen(r, c, &programme, f);
	if (!o.ok || op->refused)
		return o;
	struct query q = query_start(c, sql);
	query_text(&q, r->change.name);
	query_int(&q, programme);
	o = query_run(&q, f);
	if (o.ok)
		o = log_release(&r->change, r->programme, f);
	op->seq = op->store->writer.head.seq;
	return o;
}

void store_batch_release(struct store *s, const struct store_caller *who, const char *batch,
			 const uint8_t *programme, const char *reason, store_changed_done *done, void *arg)
{
	struct release_op *r =
		(struct release_op *)change_new(s, sizeof *r, who, batch, reason, run_release, done, arg);
	r->is_named = programme != NULL;
	if (programme)
		memcpy(r->programme, programme, PROGRAMME_ID_SIZE);
	op_write(&r->change.op);
}

/* ---- who came from a line ---- */

struct line_devices_op {
	struct op op;
	uint8_t line[KEY_ID_SIZE];
	int64_t since, after_order, after_seq;
	size_t limit;
	struct page page;
	void (*done)(const struct store_line_device *devices, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static void read_line_device(struct op *op, struct query *q, void *into)
{
	struct store_line_device *out = into;
	char cursor[48];
	int64_t order = column_int(q);
	out->seq = column_int(q);
	out->time = column_int(q);
	out->batch = op_text(op, column_text(q));
	out->stage = column_int(q);
	out->thing = op_text(op, column_text(q));
	column_copy(q, out->instance_id, INSTANCE_ID_SIZE);
	snprintf(cursor, sizeof cursor, "%" PRId64 ":%" PRId64, order, out->seq);
	out->cursor = op_text(op, cursor);
}

static outcome run_line_devices(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT u.order_id, u.seq, u.time, o.batch, o.stage, coalesce(d.thing, ''), d.instance_id "
		"FROM orders o JOIN statement_uses u ON u.order_id = o.id JOIN devices d ON d.id = "
		"u.device_id "
		"WHERE o.line = ?1 AND o.id >= ?3 AND u.time >= ?2 AND (u.order_id, u.seq) > (?3, ?4) "
		"ORDER BY u.order_id, u.seq LIMIT ?5";
	struct line_devices_op *l = (struct line_devices_op *)op;
	struct query q = query_start(c, sql);
	query_blob(&q, l->line, KEY_ID_SIZE);
	query_int(&q, l->since);
	query_int(&q, l->after_order);
	query_int(&q, l->after_seq);
	query_int(&q, (int64_t)l->limit);
	l->page = page_new(op, sizeof(struct store_line_device));
	return page_fill(&l->page, &q, read_line_device, f);
}

static void answer_line_devices(struct op *op, const struct fault *f)
{
	struct line_devices_op *l = (struct line_devices_op *)op;
	l->done(f ? NULL : l->page.rows, f ? 0 : l->page.count, f, l->arg);
}

static bool read_cursor(const char *text, int64_t *order, int64_t *seq)
{
	char *end;
	if (!*text)
		return true;
	*order = strtoll(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	text = end + 1;
	*seq = strtoll(text, &end, 10);
	return end != text && !*end;
}

void store_line_devices(struct store *s, const uint8_t line[KEY_ID_SIZE], int64_t since, const char *after,
			size_t limit,
			void (*done)(const struct store_line_device *devices, size_t count,
				     const struct fault *f, void *arg),
			void *arg)
{
	struct line_devices_op *l = op_new(s, sizeof *l, run_line_devices, answer_line_devices);
	memcpy(l->line, line, KEY_ID_SIZE);
	l->since = since;
	l->limit = page_limit(limit);
	l->done = done;
	l->arg = arg;
	if (read_cursor(after, &l->after_order, &l->after_seq)) {
		op_read(&l->op);
		return;
	}
	op_refuse(&l->op, REASON_BAD_FIELD, "after: the cursor of a page is required");
	op_finish(&l->op);
}
