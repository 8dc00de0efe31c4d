#include "store_internal.h"

#include <string.h>

/* The log is kept for ever, and whoever reaches the devices' port can be refused thousands of times a second:
 * of those nobody has vouched for, this much is kept one by one. A day of it is less than 0.6 GB. */
enum { STRANGERS_BURST = 5000, STRANGERS_INTERVAL_US = 100000 };

struct refused_op {
	struct op op;
	const char *request_id, *thing, *detail;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	bool has_instance_id, proven;
	const char *kind;
	const char *actor;
	struct fault refusal;
	uint64_t dropped; /* refusals before this one that were not kept, counted by this one */
};

/* What could not be queued is at least counted in the log. */
static outcome log_dropped(struct refused_op *r, struct fault *f)
{
	struct buf detail = {0};
	r->dropped += atomic_exchange(&r->op.store->dropped_unlogged, 0);
	if (!r->dropped)
		return DONE;
	detail_int(&detail, "count", (int64_t)r->dropped);
	struct log_new e = {.kind = "refusals-not-kept",
			    .actor = "gateway",
			    .reason = reason_code(REASON_OVERLOADED),
			    .detail = detail_end(&detail)};
	outcome o = log_append(&r->op.store->writer, &e, f);
	buf_free(&detail);
	return o;
}

static void give_back_dropped(struct op *op)
{
	struct refused_op *r = (struct refused_op *)op;
	if (op->failed)
		atomic_fetch_add(&op->store->dropped_unlogged, r->dropped);
}

/* The caller's members, then the rule that was broken. */
static const char *with_rule(struct buf *b, const struct refused_op *r)
{
	size_t n = strlen(r->detail);
	if (n > 2 && r->detail[0] == '{' && r->detail[n - 1] == '}')
		buf_add(b, r->detail, n - 1);
	detail_text(b, "rule", r->refusal.text);
	return detail_end(b);
}

static outcome run_refused(struct op *op, struct conn *c, struct fault *f)
{
	struct refused_op *r = (struct refused_op *)op;
	struct writer *w = &op->store->writer;
	struct buf detail = {0};
	struct device d = {0};
	outcome o = log_dropped(r, f);
	if (o.ok && r->has_instance_id && r->proven)
		o = device_find(c, r->instance_id, &d, f);
	if (!o.ok)
		return o;
	struct log_new e = {
		.kind = r->kind,
		.actor = r->actor,
		.request_id = r->request_id,
		.device_id = d.id,
		.instance_id = r->has_instance_id ? r->instance_id : NULL,
		.thing = *r->thing ? r->thing : d.thing,
		.reason = reason_code(r->refusal.reason),
		.detail = with_rule(&detail, r),
	};
	o = log_append(w, &e, f);
	buf_free(&detail);
	return o;
}

static struct refused_op *refused_new(struct store *s, const char *kind, const char *actor,
				      const char *request_id, const struct fault *refusal, const char *detail)
{
	struct refused_op *r = op_new(s, sizeof *r, run_refused, NULL);
	r->op.release = give_back_dropped;
	r->kind = kind;
	r->actor = op_text(&r->op, actor);
	r->request_id = op_text(&r->op, request_id);
	r->detail = op_text(&r->op, detail);
	r->thing = "";
	r->refusal = *refusal;
	return r;
}

/* The generic cell rate algorithm; any thread. */
static bool has_room_for_stranger(struct store *s)
{
	int64_t now = clock_monotonic_us(), next = atomic_load(&s->strangers_next_us), after;
	do {
		after = (next > now ? next : now) + STRANGERS_INTERVAL_US;
		if (after - now > (int64_t)STRANGERS_BURST * STRANGERS_INTERVAL_US)
			return false;
	} while (!atomic_compare_exchange_weak(&s->strangers_next_us, &next, after));
	return true;
}

void store_refused(struct store *s, const char *request_id, const uint8_t *instance_id, bool proven,
		   const char *thing, const struct fault *refusal, const char *detail)
{
	if (queue_length(&s->writes) >= STORE_REFUSALS_MAX || (!proven && !has_room_for_stranger(s))) {
		atomic_fetch_add(&s->refusals_dropped, 1);
		atomic_fetch_add(&s->dropped_unlogged, 1);
		return;
	}
	struct refused_op *r = refused_new(s, "refused", "device", request_id, refusal, detail);
	r->thing = op_text(&r->op, thing);
	r->proven = proven;
	r->has_instance_id = instance_id != NULL;
	if (instance_id)
		memcpy(r->instance_id, instance_id, INSTANCE_ID_SIZE);
	op_write(&r->op);
}

void store_device_alarm(struct store *s, const char *request_id, const uint8_t instance_id[INSTANCE_ID_SIZE],
			const struct fault *what, const char *detail)
{
	struct refused_op *r = refused_new(s, "alarm", "gateway", request_id, what, detail);
	r->has_instance_id = r->proven = true;
	memcpy(r->instance_id, instance_id, INSTANCE_ID_SIZE);
	op_write(&r->op);
}

void store_alarm(struct store *s, const struct store_caller *who, const struct fault *what,
		 const char *detail)
{
	struct refused_op *r = refused_new(s, "alarm", who->actor, who->request_id, what, detail);
	op_write(&r->op);
}
