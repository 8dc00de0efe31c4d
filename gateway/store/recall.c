#include "store_internal.h"

#include <stdio.h>
#include <string.h>

/* Many devices at once: what a recall is made of. One transaction, so that the disk is waited for once; all of it is
 * in one frame of the feed where each device has one certificate. */

struct recall_op {
	struct op op;
	void (*done)(const struct store_recalled *answer, const struct fault *f, void *arg);
	void *arg;
	struct store_recall in;
	struct cause cause;
	struct store_recalled out;
	size_t *unknown; /* room for all of them */
};

struct store_named *named_copy(struct op *op, const struct store_named *devices, size_t count)
{
	struct store_named *copy = op_alloc(op, count * sizeof *copy);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *id = devices[i].instance_id;
		copy[i].thing = op_text(op, devices[i].thing);
		copy[i].instance_id = id ? op_bytes(op, bytes_of(id, INSTANCE_ID_SIZE)).p : NULL;
	}
	return copy;
}

static outcome add(struct recall_op *r, const struct store_named *named, struct device *out, struct fault *f)
{
	r->out.added++;
	return device_add(&r->op.store->writer, named->instance_id, named->thing, out, f);
}

/* One that was withdrawn before it ever asked has no name yet, and needs one to be let in again. */
static outcome find(struct recall_op *r, const struct store_named *named, struct device *out, struct fault *f)
{
	struct conn *c = &r->op.store->writer.conn;
	if (!named->instance_id)
		return device_find_thing(c, named->thing, out, f);
	outcome o = device_find(c, named->instance_id, out, f);
	if (o.ok && !out->id)
		return add(r, named, out, f);
	if (o.ok && !*out->thing)
		snprintf(out->thing, sizeof out->thing, "%s", named->thing);
	return o;
}

static bool is_so_already(const struct recall_op *r, const struct device *d)
{
	if (r->in.reattest)
		return d->revoked || d->granted;
	return (d->revoked && !d->granted) || (r->in.suspend && (d->revoked || d->on_hold));
}

static outcome recall_one(struct recall_op *r, size_t i, struct fault *f)
{
	struct writer *w = &r->op.store->writer;
	struct device d;
	int64_t certificates = 0;
	outcome o = find(r, &r->in.devices[i], &d, f);
	if (!o.ok)
		return o;
	if (!d.id) {
		r->unknown[r->out.unknown_count++] = i;
		return DONE;
	}
	if (is_so_already(r, &d)) {
		r->out.already++;
		return DONE;
	}
	o = r->in.suspend    ? standing_suspend(w, &d, &r->cause, &certificates, f)
	    : r->in.reattest ? standing_reattest(w, &d, &r->cause, &certificates, f)
			     : standing_revoke(w, &d, &r->cause, &certificates, f);
	r->out.changed++;
	r->out.change.count += certificates;
	return o;
}

static outcome run_recall(struct op *op, struct conn *c, struct fault *f)
{
	struct recall_op *r = (struct recall_op *)op;
	outcome o = DONE;
	(void)c;
	r->out = (struct store_recalled){.unknown = r->unknown};
	for (size_t i = 0; o.ok && i < r->in.count; i++)
		o = recall_one(r, i, f);
	op->seq = op->store->writer.head.seq;
	return o;
}

static void answer_recall(struct op *op, const struct fault *f)
{
	struct recall_op *r = (struct recall_op *)op;
	r->out.change.seq = op->seq;
	r->out.change.recorded_at_ms = op->time_ms;
	r->out.change.durable_at_us = op->durable_at_us;
	r->done(f ? NULL : &r->out, f, r->arg);
}

void store_recall(struct store *s, const struct store_caller *who, const struct store_recall *in,
		  void (*done)(const struct store_recalled *answer, const struct fault *f, void *arg),
		  void *arg)
{
	struct recall_op *r = op_new(s, sizeof *r, run_recall, answer_recall);
	r->op.urgent = true;
	r->done = done;
	r->arg = arg;
	r->in = *in;
	r->in.devices = named_copy(&r->op, in->devices, in->count);
	r->unknown = op_alloc(&r->op, in->count * sizeof *r->unknown);
	r->cause = (struct cause){op_text(&r->op, who->actor), op_text(&r->op, who->request_id),
				  op_text(&r->op, in->reason)};
	if (in->count > STORE_RECALL_MAX)
		op_refuse(&r->op, REASON_BAD_FIELD, "at most %d devices at once", STORE_RECALL_MAX);
	else if (in->suspend || standing_check_reason(&r->op, r->cause.reason)) {
		op_write(&r->op);
		return;
	}
	op_finish(&r->op);
}
