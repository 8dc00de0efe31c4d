#include "reserve_internal.h"

static struct log_new entry(const struct decision *x, const char *kind, const char *reason,
			    const char *detail)
{
	return (struct log_new){
		.kind = kind,
		.actor = "device",
		.request_id = x->r->in.intent.request_id,
		.device_id = x->device.id,
		.instance_id = x->r->in.intent.instance_id,
		.thing = x->r->in.intent.thing,
		.reason = reason,
		.detail = detail,
	};
}

static outcome log_refusal(struct decision *x, const char *kind, enum reason reason, const char *text,
			   struct fault *f)
{
	struct buf detail = {0};
	detail_text(&detail, "rule", text);
	detail_hex(&detail, "spki_sha256", x->r->in.intent.spki_sha256, SHA256_SIZE);
	struct log_new e = entry(x, kind, reason_code(reason), detail_end(&detail));
	outcome o = log_append(x->w, &e, f);
	buf_free(&detail);
	return o;
}

outcome reserve_refuse(struct decision *x, enum reason reason, const char *text, struct fault *f)
{
	outcome o = log_refusal(x, "refused", reason, text, f);
	x->settled = true;
	return o.ok ? op_refuse(&x->r->op, reason, "%s", text) : o;
}

static outcome quarantine(struct decision *x, struct fault *f)
{
	struct cause cause = {"gateway", x->r->in.intent.request_id, reason_code(REASON_CLONE_SUSPECT)};
	struct log_new e = entry(x, "device-quarantined", cause.reason, "");
	int64_t count;
	x->device.quarantined = true;
	e.actor = cause.actor;
	outcome o = device_save(x->w, &x->device, f);
	if (o.ok)
		o = log_append(x->w, &e, f);
	return o.ok ? device_apply(x->w, &x->device, &cause, &count, f) : o;
}

outcome reserve_alarm(struct decision *x, enum reason reason, const char *detail, struct fault *f)
{
	struct log_new e = entry(x, "alarm", reason_code(reason), detail);
	return log_append(x->w, &e, f);
}

outcome reserve_refuse_clone(struct decision *x, const char *text, struct fault *f)
{
	outcome o = log_refusal(x, "alarm", REASON_CLONE_SUSPECT, text, f);
	if (o.ok && x->r->op.store->options.quarantine_clones)
		o = quarantine(x, f);
	return o.ok ? reserve_refuse(x, REASON_CLONE_SUSPECT, text, f) : o;
}
