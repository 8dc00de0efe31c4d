#include "store_internal.h"

#include <string.h>

/* A recall may be of a whole lot: it is applied in transactions of this many entries, so that the devices of
 * others do not wait for it. Each stores how far it came. */
enum { CHUNK = 128 };

struct apply_op {
	struct change_op change;
	struct store_withdrawal *entries;
	size_t count;
	int64_t before; /* what must have been applied when this chunk's turn comes; 0: whatever there is */
	int64_t last;
};

static outcome read_last(struct conn *c, int64_t *last, struct fault *f)
{
	static const char sql[] = "SELECT withdrawals_last FROM meta";
	struct query q = query_start(c, sql);
	bool row;
	*last = 0;
	outcome o = query_row(&q, &row, f);
	if (o.ok && row) {
		*last = column_int(&q);
		query_end(&q);
	}
	return o;
}

static outcome write_last(struct conn *c, int64_t last, struct fault *f)
{
	static const char sql[] = "UPDATE meta SET withdrawals_last = max(withdrawals_last, ?)";
	struct query q = query_start(c, sql);
	query_int(&q, last);
	return query_run(&q, f);
}

static outcome find_or_add(struct writer *w, const uint8_t instance_id[INSTANCE_ID_SIZE], struct device *out,
			   struct fault *f)
{
	outcome o = device_find(&w->conn, instance_id, out, f);
	return !o.ok || out->id ? o : device_add(w, instance_id, "", out, f);
}

static outcome log_withdrawal(struct writer *w, const struct device *d, const struct store_withdrawal *e,
			      struct fault *f)
{
	struct buf detail = {0};
	detail_int(&detail, "withdrawal_seq", e->seq);
	struct log_new entry = {
		.kind = e->suspended ? "device-withdrawn" : "device-restored",
		.actor = "attestation-service",
		.device_id = d->id,
		.instance_id = d->instance_id,
		.thing = d->thing,
		.reason = e->reason,
		.detail = detail_end(&detail),
	};
	outcome o = log_append(w, &entry, f);
	buf_free(&detail);
	return o;
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
		o = log_withdrawal(w, &d, e, f);
	if (o.ok && !d.revoked)
		o = device_apply(w, &d, &cause, &count, f);
	a->change.count += count;
	a->change.op.seq = w->head.seq;
	return o;
}

static outcome run_apply(struct op *op, struct conn *c, struct fault *f)
{
	struct apply_op *a = (struct apply_op *)op;
	int64_t last;
	outcome o = read_last(c, &last, f);
	a->change.count = 0;
	if (o.ok && last < a->before)
		return op_refuse(op, REASON_STORE_UNAVAILABLE,
				 "the withdrawals before these could not be applied");
	for (size_t i = 0; o.ok && i < a->count; i++)
		if (a->entries[i].seq > last)
			o = apply_entry(a, &a->entries[i], f);
	return o.ok ? write_last(c, a->last, f) : o;
}

static void apply_chunk(struct store *s, const struct store_withdrawal *entries, size_t count, int64_t before,
			int64_t last, store_changed_done *done, void *arg)
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
	a->last = last;
	op_write(&a->change.op);
}

void store_withdrawals_apply(struct store *s, const struct store_withdrawal *entries, size_t count,
			     int64_t last, store_changed_done *done, void *arg)
{
	int64_t before = 0;
	for (; count > CHUNK; entries += CHUNK, count -= CHUNK) {
		apply_chunk(s, entries, CHUNK, before, entries[CHUNK - 1].seq, NULL, NULL);
		before = entries[CHUNK - 1].seq;
	}
	apply_chunk(s, entries, count, before, last, done, arg);
}

struct last_op {
	struct op op;
	int64_t last;
	void (*done)(int64_t last, const struct fault *f, void *arg);
	void *arg;
};

static outcome run_last(struct op *op, struct conn *c, struct fault *f)
{
	return read_last(c, &((struct last_op *)op)->last, f);
}

static void answer_last(struct op *op, const struct fault *f)
{
	struct last_op *l = (struct last_op *)op;
	l->done(l->last, f, l->arg);
}

void store_withdrawals_last(struct store *s, void (*done)(int64_t last, const struct fault *f, void *arg),
			    void *arg)
{
	struct last_op *l = op_new(s, sizeof *l, run_last, answer_last);
	l->done = done;
	l->arg = arg;
	op_read(&l->op);
}
