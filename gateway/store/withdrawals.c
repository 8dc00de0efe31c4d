#include "store_internal.h"

#include <string.h>

/* A recall may be of a whole lot: it is applied in transactions of this many entries, so that the devices of
 * others do not wait for it. Each stores how far it came. */
enum { CHUNK = 128 };

/* The service's clock may be ahead of ours by less than this: results of one that is more are refused. */
enum { CLOCKS_APART_S = 300 };

struct position {
	struct store_withdrawals_position at;
	int64_t doubt;
};

struct apply_op {
	struct change_op change;
	struct store_withdrawal *entries;
	size_t count;
	int64_t before; /* what must have been applied when this chunk's turn comes; 0: whatever there is */
};

static outcome read_position(struct conn *c, struct position *out, struct fault *f)
{
	static const char sql[] = "SELECT withdrawals_last, withdrawals_mark, withdrawals_doubt FROM meta";
	struct query q = query_start(c, sql);
	bool row;
	*out = (struct position){0};
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	out->at.last = column_int(&q);
	struct bytes mark = column_blob(&q);
	out->at.marked = mark.n == STORE_MARK_SIZE;
	if (out->at.marked)
		memcpy(out->at.mark, mark.p, STORE_MARK_SIZE);
	out->doubt = column_int(&q);
	query_end(&q);
	return DONE;
}

static outcome write_position(struct conn *c, const struct store_withdrawal *last, struct fault *f)
{
	static const char sql[] = "UPDATE meta SET withdrawals_last = ?, withdrawals_mark = ?";
	struct query q = query_start(c, sql);
	query_int(&q, last->seq);
	query_blob(&q, last->mark, STORE_MARK_SIZE);
	return query_run(&q, f);
}

static outcome find_or_add(struct writer *w, const uint8_t instance_id[INSTANCE_ID_SIZE], struct device *out,
			   struct fault *f)
{
	outcome o = device_find(&w->conn, instance_id, out, f);
	return !o.ok || out->id ? o : device_add(w, instance_id, "", out, f);
}

static outcome log_entry(struct writer *w, const struct device *d, const struct store_withdrawal *e,
			 const char *kind, const char *reason, struct fault *f)
{
	struct buf detail = {0};
	detail_int(&detail, "withdrawal_seq", e->seq);
	if (reason != e->reason)
		detail_text(&detail, "rule",
			    "the list was read anew: that this device is active again may be from "
			    "before it was withdrawn");
	struct log_new entry = {
		.kind = kind,
		.actor = "attestation-service",
		.device_id = d->id,
		.instance_id = d->instance_id,
		.thing = d->thing,
		.reason = reason,
		.detail = detail_end(&detail),
	};
	outcome o = log_append(w, &entry, f);
	buf_free(&detail);
	return o;
}

/* What an older list says that this store knows better: whatever was withdrawn meanwhile stays so. */
static outcome keep_withdrawal(struct apply_op *a, const struct store_withdrawal *e, struct fault *f)
{
	struct writer *w = &a->change.op.store->writer;
	struct device d;
	outcome o = device_find(&w->conn, e->instance_id, &d, f);
	if (!o.ok || !d.id || !d.withdrawn)
		return o;
	return log_entry(w, &d, e, "alarm", reason_code(REASON_WITHDRAWAL_KEPT), f);
}

static outcome apply_entry(struct apply_op *a, const struct store_withdrawal *e, struct fault *f)
{
	struct writer *w = &a->change.op.store->writer;
	struct cause cause = {"attestation-service", "", e->reason};
	struct device d;
	int64_t count = 0;
	outcome o = find_or_add(w, e->instance_id, &d, f);
	if (!o.ok || d.withdrawn == e->suspended)
		return o;
	d.withdrawn = e->suspended;
	o = device_save(w, &d, f);
	if (o.ok)
		o = log_entry(w, &d, e, e->suspended ? "device-withdrawn" : "device-restored", e->reason, f);
	if (o.ok && !d.revoked)
		o = device_apply(w, &d, &cause, &count, f);
	a->change.count += count;
	a->change.op.seq = w->head.seq;
	return o;
}

static outcome apply_in_turn(struct apply_op *a, const struct store_withdrawal *e, const struct position *p,
			     struct fault *f)
{
	bool doubtful = p->doubt && e->time <= p->doubt;
	if (e->seq <= p->at.last || (doubtful && e->superseded))
		return DONE;
	return doubtful && !e->suspended ? keep_withdrawal(a, e, f) : apply_entry(a, e, f);
}

static outcome run_apply(struct op *op, struct conn *c, struct fault *f)
{
	struct apply_op *a = (struct apply_op *)op;
	const struct store_withdrawal *last = &a->entries[a->count - 1];
	struct position p;
	outcome o = read_position(c, &p, f);
	a->change.count = 0;
	if (o.ok && p.at.last < a->before)
		return op_refuse(op, REASON_STORE_UNAVAILABLE,
				 "the withdrawals before these could not be applied");
	for (size_t i = 0; o.ok && i < a->count; i++)
		o = apply_in_turn(a, &a->entries[i], &p, f);
	return o.ok && last->seq > p.at.last ? write_position(c, last, f) : o;
}

static void apply_chunk(struct store *s, const struct store_withdrawal *entries, size_t count, int64_t before,
			store_changed_done *done, void *arg)
{
	struct store_caller who = {.request_id = "", .actor = "attestation-service"};
	struct apply_op *a = (struct apply_op *)change_new(s, sizeof *a, &who, "", "", run_apply, done, arg);
	a->entries = op_alloc(&a->change.op, count * sizeof *entries);
	for (size_t i = 0; i < count; i++) {
		a->entries[i] = entries[i];
		a->entries[i].reason = op_text(&a->change.op, entries[i].reason);
	}
	a->count = count;
	a->before = before;
	op_write(&a->change.op);
}

void store_withdrawals_apply(struct store *s, const struct store_withdrawal *entries, size_t count,
			     store_changed_done *done, void *arg)
{
	int64_t before = 0;
	for (; count > CHUNK; entries += CHUNK, count -= CHUNK) {
		apply_chunk(s, entries, CHUNK, before, NULL, NULL);
		before = entries[CHUNK - 1].seq;
	}
	apply_chunk(s, entries, count, before, done, arg);
}

/* ---- from the start ---- */

struct restart_op {
	struct change_op change;
	struct fault why;
};

static outcome run_restart(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"UPDATE meta SET withdrawals_last = 0, withdrawals_mark = x'', withdrawals_doubt = ?";
	struct restart_op *r = (struct restart_op *)op;
	struct writer *w = &op->store->writer;
	struct buf detail = {0};
	struct query q = query_start(c, sql);
	query_int(&q, w->now_ms / 1000 + CLOCKS_APART_S);
	outcome o = query_run(&q, f);
	detail_text(&detail, "rule", r->why.text);
	struct log_new entry = {
		.kind = "alarm",
		.actor = "gateway",
		.reason = reason_code(r->why.reason),
		.detail = detail_end(&detail),
	};
	if (o.ok)
		o = log_append(w, &entry, f);
	op->seq = w->head.seq;
	buf_free(&detail);
	return o;
}

void store_withdrawals_restart(struct store *s, const struct fault *why, store_changed_done *done, void *arg)
{
	struct store_caller who = {.request_id = "", .actor = "gateway"};
	struct restart_op *r =
		(struct restart_op *)change_new(s, sizeof *r, &who, "", "", run_restart, done, arg);
	r->why = *why;
	op_write(&r->change.op);
}

/* ---- how far ---- */

struct position_op {
	struct op op;
	struct position position;
	void (*done)(const struct store_withdrawals_position *at, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_position(struct op *op, struct conn *c, struct fault *f)
{
	return read_position(c, &((struct position_op *)op)->position, f);
}

static void answer_position(struct op *op, const struct fault *f)
{
	struct position_op *p = (struct position_op *)op;
	p->done(f ? NULL : &p->position.at, f, p->arg);
}

void store_withdrawals_position(struct store *s,
				void (*done)(const struct store_withdrawals_position *at,
					     const struct fault *f, void *arg),
				void *arg)
{
	struct position_op *p = op_new(s, sizeof *p, run_position, answer_position);
	p->done = done;
	p->arg = arg;
	op_read(&p->op);
}
