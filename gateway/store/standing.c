#include "store_internal.h"

#include <stdio.h>
#include <string.h>

/* RFC 5280 5.3.1, without those that are no end: certificateHold is `suspend`, removeFromCRL is `resume`. */
static const char *const revocation_reasons[] = {
	"unspecified", "key-compromise",	 "ca-compromise",	"affiliation-changed",
	"superseded",  "cessation-of-operation", "privilege-withdrawn", "aa-compromise",
};

bool standing_check_reason(struct op *op, const char *reason)
{
	for (size_t i = 0; i < sizeof revocation_reasons / sizeof *revocation_reasons; i++)
		if (!strcmp(revocation_reasons[i], reason))
			return true;
	op_refuse(op, REASON_BAD_FIELD,
		  "RFC 5280 5.3.1: \"%.40s\" is no reason for a revocation: unspecified, key-compromise, "
		  "affiliation-changed, superseded, cessation-of-operation, privilege-withdrawn are",
		  reason);
	return false;
}

/* ---- a device's new standing ---- */

static outcome log_device(struct writer *w, const struct device *d, const char *kind,
			  const struct cause *cause, struct fault *f)
{
	struct log_new e = {
		.kind = kind,
		.actor = cause->actor,
		.request_id = cause->request_id,
		.device_id = d->id,
		.instance_id = d->instance_id,
		.thing = d->thing,
		.reason = cause->reason,
	};
	return log_append(w, &e, f);
}

/* The device's entry, then what follows from it for its certificates. */
static outcome stand(struct writer *w, const struct device *d, const char *kind, const struct cause *cause,
		     int64_t *count, struct fault *f)
{
	outcome o = device_save(w, d, f);
	if (o.ok)
		o = log_device(w, d, kind, cause, f);
	return o.ok ? device_apply(w, d, cause, count, f) : o;
}

outcome standing_revoke(struct writer *w, struct device *d, const struct cause *cause, int64_t *count,
			struct fault *f)
{
	d->revoked = true;
	d->granted = false;
	snprintf(d->revocation_reason, sizeof d->revocation_reason, "%s", cause->reason);
	outcome o = intents_cancel(w, d->id, "device-revoked", f);
	return o.ok ? stand(w, d, "device-revoked", cause, count, f) : o;
}

outcome standing_suspend(struct writer *w, struct device *d, const struct cause *cause, int64_t *count,
			 struct fault *f)
{
	d->on_hold = true;
	return stand(w, d, "device-suspended", cause, count, f);
}

static outcome revoke_live(struct writer *w, const struct device *d, const struct cause *cause,
			   int64_t *count, struct fault *f)
{
	struct certificate live[LIVE_MAX];
	size_t n = 0;
	outcome o = certificates_live(&w->conn, d->id, live, &n, f);
	for (size_t i = 0; o.ok && i < n; i++)
		o = certificate_set_state(w, d, &live[i], STORE_REVOKED, cause, f);
	*count = (int64_t)n;
	return o;
}

outcome standing_reattest(struct writer *w, struct device *d, const struct cause *cause, int64_t *count,
			  struct fault *f)
{
	d->granted = true;
	outcome o = intents_cancel(w, d->id, "superseded", f);
	if (o.ok)
		o = device_save(w, d, f);
	if (o.ok)
		o = log_device(w, d, "reenrolment-allowed", cause, f);
	return o.ok ? revoke_live(w, d, cause, count, f) : o;
}

/* ---- one device ---- */

static void answer_change(struct op *op, const struct fault *f)
{
	struct change_op *c = (struct change_op *)op;
	struct store_changed answer = c->answer;
	answer.seq = op->seq;
	answer.durable_at_us = op->durable_at_us;
	answer.count = c->count;
	if (!answer.already)
		answer.recorded_at_ms = op->time_ms;
	if (c->done)
		c->done(f ? NULL : &answer, f, c->arg);
}

struct change_op *change_new(struct store *s, size_t size, const struct store_caller *who, const char *name,
			     const char *reason,
			     outcome (*run)(struct op *op, struct conn *c, struct fault *f),
			     store_changed_done *done, void *arg)
{
	struct change_op *c = op_new(s, size, run, answer_change);
	c->op.urgent = true;
	c->done = done;
	c->arg = arg;
	c->actor = op_text(&c->op, who->actor);
	c->request_id = op_text(&c->op, who->request_id);
	c->name = op_text(&c->op, name);
	c->reason = op_text(&c->op, reason);
	return c;
}

outcome change_start(struct change *x, struct op *op, struct fault *f)
{
	*x = (struct change){.op = (struct change_op *)op, .w = &op->store->writer};
	x->op->count = 0;
	x->op->answer = (struct store_changed){0};
	x->cause = (struct cause){x->op->actor, x->op->request_id, x->op->reason};
	outcome o = device_find_thing(&x->w->conn, x->op->name, &x->device, f);
	if (!o.ok || x->device.id)
		return o;
	x->refused = true;
	return op_refuse(op, REASON_NOT_FOUND,
			 "there is no thing of this name; mooringctl devices lists them");
}

outcome change_made(struct change *x, outcome o)
{
	x->op->op.seq = x->w->head.seq;
	return o;
}

outcome change_is_old(struct change *x, const char *kind, struct fault *f)
{
	static const char sql[] =
		"SELECT l.time_ms, l.reason, l.actor, (SELECT max(m.seq) FROM log m WHERE m.device_id = "
		"l.device_id AND m.request_id = l.request_id AND m.time_ms = l.time_ms) "
		"FROM log l WHERE l.device_id = ? AND l.kind NOT IN ('refused', 'alarm') "
		"ORDER BY l.kind = ? DESC, l.seq DESC LIMIT 1";
	struct query q = query_start(&x->w->conn, sql);
	struct store_changed *answer = &x->op->answer;
	bool row;
	query_int(&q, x->device.id);
	query_text(&q, kind);
	outcome o = query_row(&q, &row, f);
	answer->already = true;
	if (!o.ok || !row)
		return o;
	answer->recorded_at_ms = column_int(&q);
	snprintf(answer->reason, sizeof answer->reason, "%s", column_text(&q));
	snprintf(answer->actor, sizeof answer->actor, "%s", column_text(&q));
	x->op->op.seq = column_int(&q);
	query_end(&q);
	return DONE;
}

static outcome refuse_revoked(struct change *x)
{
	return op_refuse(&x->op->op, REASON_CONFLICT,
			 "the device is revoked, and revoked is final; allow-reenrol lets it enrol anew");
}

/* ---- revoke ---- */

static outcome run_revoke(struct op *op, struct conn *c, struct fault *f)
{
	struct change x;
	(void)c;
	outcome o = change_start(&x, op, f);
	if (!o.ok || x.refused)
		return o;
	if (x.device.revoked && !x.device.granted)
		return change_is_old(&x, "device-revoked", f);
	return change_made(&x, standing_revoke(x.w, &x.device, &x.cause, &x.op->count, f));
}

void store_revoke(struct store *s, const struct store_caller *who, const char *thing, const char *reason,
		  store_changed_done *done, void *arg)
{
	struct change_op *c = change_new(s, sizeof *c, who, thing, reason, run_revoke, done, arg);
	if (standing_check_reason(&c->op, c->reason))
		op_write(&c->op);
	else
		op_finish(&c->op);
}

/* ---- suspend and resume ---- */

static outcome run_suspend(struct op *op, struct conn *c, struct fault *f)
{
	struct change x;
	(void)c;
	outcome o = change_start(&x, op, f);
	if (!o.ok || x.refused)
		return o;
	if (x.device.revoked)
		return refuse_revoked(&x);
	if (x.device.on_hold)
		return change_is_old(&x, "device-suspended", f);
	return change_made(&x, standing_suspend(x.w, &x.device, &x.cause, &x.op->count, f));
}

void store_suspend(struct store *s, const struct store_caller *who, const char *thing, const char *reason,
		   store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct change_op), who, thing, reason, run_suspend, done, arg)->op);
}

static outcome run_resume(struct op *op, struct conn *c, struct fault *f)
{
	struct change x;
	(void)c;
	outcome o = change_start(&x, op, f);
	if (!o.ok || x.refused)
		return o;
	if (x.device.revoked)
		return refuse_revoked(&x);
	if (!x.device.on_hold && !x.device.quarantined && x.device.withdrawn)
		return op_refuse(op, REASON_CONFLICT,
				 "the attestation service withdrew this device, and has to lift that itself");
	if (!x.device.on_hold && !x.device.quarantined)
		return change_is_old(&x, "device-resumed", f);
	x.device.on_hold = false;
	x.device.quarantined = false;
	return change_made(&x, stand(x.w, &x.device, "device-resumed", &x.cause, &x.op->count, f));
}

void store_resume(struct store *s, const struct store_caller *who, const char *thing,
		  store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct change_op), who, thing, "", run_resume, done, arg)->op);
}

/* ---- a grant ---- */

/* A certificate on its way was asked for before the admin's decision: it can no longer become active. */
static outcome run_allow_reenrol(struct op *op, struct conn *c, struct fault *f)
{
	struct change x;
	(void)c;
	outcome o = change_start(&x, op, f);
	if (!o.ok || x.refused)
		return o;
	if (x.device.granted)
		return change_is_old(&x, "reenrolment-allowed", f);
	x.device.granted = true;
	o = device_save(x.w, &x.device, f);
	if (o.ok)
		o = intents_cancel(x.w, x.device.id, "superseded", f);
	if (o.ok)
		o = log_device(x.w, &x.device, "reenrolment-allowed", &x.cause, f);
	return change_made(&x, o);
}

void store_allow_reenrol(struct store *s, const struct store_caller *who, const char *thing,
			 const char *reason, store_changed_done *done, void *arg)
{
	op_write(&change_new(s, sizeof(struct change_op), who, thing, reason, run_allow_reenrol, done, arg)
			  ->op);
}

/* ---- the first connection of a renewed certificate ---- */

struct connected_op {
	struct change_op change;
	uint8_t (*fingerprints)[FINGERPRINT_SIZE];
	size_t count;
};

static outcome find_predecessor(struct conn *c, const uint8_t fingerprint[FINGERPRINT_SIZE],
				uint8_t out[FINGERPRINT_SIZE], bool *found, struct fault *f)
{
	static const char sql[] =
		"SELECT o.fingerprint FROM certificates c JOIN certificates o ON o.id = c.renews_id "
		"WHERE c.fingerprint = ? AND c.state = 0 AND o.outgoing = 1 AND o.state < 2";
	struct query q = query_start(c, sql);
	query_blob(&q, fingerprint, FINGERPRINT_SIZE);
	outcome o = query_row(&q, found, f);
	if (!o.ok || !*found)
		return o;
	column_copy(&q, out, FINGERPRINT_SIZE);
	query_end(&q);
	return DONE;
}

static outcome run_connected(struct op *op, struct conn *c, struct fault *f)
{
	struct connected_op *x = (struct connected_op *)op;
	struct writer *w = &op->store->writer;
	struct cause cause = {x->change.actor, x->change.request_id, "superseded"};
	outcome o = DONE;
	x->change.count = 0;
	for (size_t i = 0; o.ok && i < x->count; i++) {
		uint8_t fingerprint[FINGERPRINT_SIZE];
		struct certificate old;
		bool found;
		o = find_predecessor(c, x->fingerprints[i], fingerprint, &found, f);
		if (!o.ok || !found)
			continue;
		o = certificate_find(c, fingerprint, &old, f);
		if (o.ok)
			o = certificate_supersede(w, &old, &cause, f);
		x->change.count++;
		op->seq = w->head.seq;
	}
	return o;
}

void store_connected(struct store *s, const uint8_t (*fingerprints)[FINGERPRINT_SIZE], size_t count,
		     const char *broker, store_changed_done *done, void *arg)
{
	struct store_caller who = {.request_id = "", .actor = broker};
	struct connected_op *x =
		(struct connected_op *)change_new(s, sizeof *x, &who, "", "", run_connected, done, arg);
	x->fingerprints = op_alloc(&x->change.op, count * FINGERPRINT_SIZE);
	if (count)
		memcpy(x->fingerprints, fingerprints, count * FINGERPRINT_SIZE);
	x->count = count;
	op_write(&x->change.op);
}
