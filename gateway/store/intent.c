#include "store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- closing one without a certificate ---- */

struct void_op {
	struct op op;
	uint8_t intent_id[INTENT_ID_SIZE];
	void (*done)(const struct fault *f, void *arg);
	void *arg;
};

struct voided {
	char state[8];
	char request_id[STORE_REQUEST_ID_SIZE];
	uint8_t instance_id[INSTANCE_ID_SIZE];
};

static outcome load_voided(struct void_op *v, struct conn *c, struct voided *out, bool *found,
			   struct fault *f)
{
	static const char sql[] = "SELECT i.state, i.request_id, d.instance_id FROM intents i "
				  "JOIN devices d ON d.id = i.device_id WHERE i.id = ?";
	struct query q = query_start(c, sql);
	query_blob(&q, v->intent_id, INTENT_ID_SIZE);
	outcome o = query_row(&q, found, f);
	if (!o.ok || !*found)
		return o;
	snprintf(out->state, sizeof out->state, "%s", column_text(&q));
	snprintf(out->request_id, sizeof out->request_id, "%s", column_text(&q));
	column_copy(&q, out->instance_id, INSTANCE_ID_SIZE);
	query_end(&q);
	return DONE;
}

/* The row stays, so that its serial is never used again. */
static outcome set_void(struct void_op *v, struct conn *c, struct fault *f)
{
	static const char sql[] = "UPDATE intents SET state = 'void' WHERE id = ?";
	struct query q = query_start(c, sql);
	query_blob(&q, v->intent_id, INTENT_ID_SIZE);
	return query_run(&q, f);
}

static outcome run_void(struct op *op, struct conn *c, struct fault *f)
{
	struct void_op *v = (struct void_op *)op;
	struct voided intent;
	struct device d;
	bool found;
	outcome o = load_voided(v, c, &intent, &found, f);
	if (o.ok && !found)
		return op_refuse(op, REASON_NOT_FOUND, "there is no such intent");
	if (!o.ok || !strcmp(intent.state, "void"))
		return o;
	o = set_void(v, c, f);
	if (o.ok)
		o = device_find(c, intent.instance_id, &d, f);
	if (!o.ok)
		return o;
	struct log_new e = {.kind = "intent-void",
			    .actor = "gateway",
			    .request_id = intent.request_id,
			    .device_id = d.id,
			    .instance_id = d.instance_id,
			    .thing = d.thing};
	return log_append(&op->store->writer, &e, f);
}

static void answer_void(struct op *op, const struct fault *f)
{
	struct void_op *v = (struct void_op *)op;
	v->done(f, v->arg);
}

void store_void(struct store *s, const uint8_t intent_id[INTENT_ID_SIZE],
		void (*done)(const struct fault *f, void *arg), void *arg)
{
	struct void_op *v = op_new(s, sizeof *v, run_void, answer_void);
	memcpy(v->intent_id, intent_id, INTENT_ID_SIZE);
	v->done = done;
	v->arg = arg;
	op_write(&v->op);
}

outcome intents_cancel(struct writer *w, int64_t device_id, const char *why, struct fault *f)
{
	static const char sql[] =
		"UPDATE intents SET state = 'cancelled', cancelled_for = ? WHERE device_id = ? AND state = 'open'";
	struct query q = query_start(&w->conn, sql);
	query_text(&q, why);
	query_int(&q, device_id);
	return query_run(&q, f);
}

/* ---- those left open by an earlier run ---- */

struct open_op {
	struct op op;
	struct store_intent *intents;
	size_t count, room;
	void (*done)(const struct store_intent *intents, size_t count, const struct fault *f, void *arg);
	void *arg;
};

static void read_intent(struct query *q, struct store_intent *out)
{
	*out = (struct store_intent){0};
	column_copy(q, out->id, INTENT_ID_SIZE);
	column_copy(q, out->serial, SERIAL_SIZE);
	out->not_before = column_int(q);
	out->not_after = column_int(q);
	column_copy(q, out->spki_sha256, SHA256_SIZE);
	column_copy(q, out->instance_id, INSTANCE_ID_SIZE);
	snprintf(out->thing, sizeof out->thing, "%s", column_text(q));
	snprintf(out->request_id, sizeof out->request_id, "%s", column_text(q));
	out->generation = column_int(q);
}

static outcome add_intent(struct open_op *v, struct query *q, struct fault *f)
{
	if (v->count == v->room) {
		size_t room = v->room ? 2 * v->room : 64;
		struct store_intent *more = realloc(v->intents, room * sizeof *more);
		if (!more) {
			query_end(q);
			return refuse(f, REASON_NO_MEMORY, "no memory for %zu open intents", room);
		}
		v->intents = more;
		v->room = room;
	}
	read_intent(q, &v->intents[v->count++]);
	return DONE;
}

static outcome run_open(struct op *op, struct conn *c, struct fault *f)
{
	static const char sql[] =
		"SELECT i.id, i.serial, i.not_before, i.not_after, i.spki_sha256, d.instance_id, d.thing, "
		"i.request_id, "
		"i.generation FROM intents i JOIN devices d ON d.id = i.device_id WHERE i.state <> 'void'";
	struct open_op *v = (struct open_op *)op;
	struct query q = query_start(c, sql);
	bool row = true;
	outcome o = DONE;
	v->count = 0;
	while (o.ok && row) {
		o = query_row(&q, &row, f);
		if (o.ok && row)
			o = add_intent(v, &q, f);
	}
	return o;
}

static void answer_open(struct op *op, const struct fault *f)
{
	struct open_op *v = (struct open_op *)op;
	v->done(f ? NULL : v->intents, f ? 0 : v->count, f, v->arg);
}

static void release_open(struct op *op)
{
	free(((struct open_op *)op)->intents);
}

void store_open_intents(struct store *s,
			void (*done)(const struct store_intent *intents, size_t count, const struct fault *f,
				     void *arg),
			void *arg)
{
	struct open_op *v = op_new(s, sizeof *v, run_open, answer_open);
	v->op.release = release_open;
	v->done = done;
	v->arg = arg;
	op_read(&v->op);
}
