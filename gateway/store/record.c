#include "store_internal.h"

#include <stdio.h>
#include <string.h>

struct record_op {
	struct op op;
	uint8_t intent_id[INTENT_ID_SIZE];
	struct bytes der;
	struct store_recorded out;
	bool settled;
	void (*done)(const struct store_recorded *answer, const struct fault *f, void *arg);
	void *arg;
};

/* The intent as it stands when its certificate comes back. */
struct recording {
	struct record_op *r;
	struct writer *w;
	bool found;
	char state[16], cancelled_for[24];
	uint8_t serial[SERIAL_SIZE], spki_sha256[SHA256_SIZE];
	int64_t generation, renews_id, not_before, not_after, result_id;
	bool uses_grant, has_chain;
	uint8_t statement[SHA256_SIZE]; /* the last one of its chain */
	int64_t raises_at;
	char request_id[STORE_REQUEST_ID_SIZE], profile[16];
	char evidence[16];
	int64_t assurance;
	uint8_t evidence_sha256[SHA256_SIZE], ear_sha256[SHA256_SIZE];
	struct device device;
	enum store_state result;
	const char *revocation_reason;
	bool has_predecessor; /* which stays active for a while */
	uint8_t renews[FINGERPRINT_SIZE];
};

#define INTENT_COLUMNS                                                                                       \
	"i.state, i.cancelled_for, i.serial, i.spki_sha256, i.generation, i.renews_id, i.not_before, "       \
	"i.not_after, i.result_id, i.uses_grant, i.request_id, i.profile, i.statement, i.raises_at"

static void read_intent(struct recording *x, struct query *q)
{
	snprintf(x->state, sizeof x->state, "%s", column_text(q));
	snprintf(x->cancelled_for, sizeof x->cancelled_for, "%s", column_text(q));
	column_copy(q, x->serial, SERIAL_SIZE);
	column_copy(q, x->spki_sha256, SHA256_SIZE);
	x->generation = column_int(q);
	x->renews_id = column_int(q);
	x->not_before = column_int(q);
	x->not_after = column_int(q);
	x->result_id = column_int(q);
	x->uses_grant = column_int(q);
	snprintf(x->request_id, sizeof x->request_id, "%s", column_text(q));
	snprintf(x->profile, sizeof x->profile, "%s", column_text(q));
	struct bytes statement = column_blob(q);
	x->has_chain = statement.n == SHA256_SIZE;
	if (x->has_chain)
		memcpy(x->statement, statement.p, SHA256_SIZE);
	x->raises_at = column_int(q);
}

static outcome load_intent(struct recording *x, struct fault *f)
{
	static const char sql[] =
		"SELECT " INTENT_COLUMNS
		", v.evidence, v.assurance, v.evidence_sha256, v.ear_sha256, " DEVICE_COLUMNS
		" FROM intents i JOIN devices d ON d.id = i.device_id JOIN attestation_results v ON v.id = "
		"i.result_id "
		"WHERE i.id = ?";
	struct query q = query_start(&x->w->conn, sql);
	query_blob(&q, x->r->intent_id, INTENT_ID_SIZE);
	outcome o = query_row(&q, &x->found, f);
	if (!o.ok || !x->found)
		return o;
	read_intent(x, &q);
	snprintf(x->evidence, sizeof x->evidence, "%s", column_text(&q));
	x->assurance = column_int(&q);
	column_copy(&q, x->evidence_sha256, SHA256_SIZE);
	column_copy(&q, x->ear_sha256, SHA256_SIZE);
	device_read(&q, &x->device);
	query_end(&q);
	return DONE;
}

/* The certificate is recorded whatever has become of its device; what it may do depends on that. */
static void decide_state(struct recording *x)
{
	x->revocation_reason = "";
	if (!strcmp(x->cancelled_for, "expired")) {
		x->result = STORE_EXPIRED;
	} else if (*x->cancelled_for) {
		x->result = STORE_REVOKED;
		x->revocation_reason =
			*x->device.revocation_reason ? x->device.revocation_reason : "superseded";
	} else {
		x->result = device_is_suspended(&x->device) ? STORE_INACTIVE : STORE_ACTIVE;
	}
}

/* A refurbishment is a grant that its statement gives once. */
static outcome use_refurbishment(struct recording *x, struct fault *f)
{
	static const char sql[] = "UPDATE chains SET raised_at = ? WHERE device_id = ?";
	struct query q;
	if (!x->raises_at)
		return DONE;
	q = query_start(&x->w->conn, sql);
	query_int(&q, x->raises_at);
	query_int(&q, x->device.id);
	return query_run(&q, f);
}

/* The grant is used up: the device is in its next generation, and what it had in the old one ends. */
static outcome enter_generation(struct recording *x, struct fault *f)
{
	struct certificate live[LIVE_MAX];
	struct cause cause = {"gateway", x->request_id, "superseded"};
	size_t count = 0;
	if (!x->uses_grant || x->result > STORE_INACTIVE)
		return DONE;
	outcome o = certificates_live(&x->w->conn, x->device.id, live, &count, f);
	for (size_t i = 0; o.ok && i < count; i++)
		o = certificate_set_state(x->w, &x->device, &live[i], STORE_REVOKED, &cause, f);
	x->device.generation = x->generation;
	x->device.revoked = false;
	x->device.granted = false;
	x->device.revocation_reason[0] = '\0';
	if (o.ok)
		o = use_refurbishment(x, f);
	return o.ok ? device_save(x->w, &x->device, f) : o;
}

static outcome set_outgoing(struct recording *x, const struct certificate *old, struct fault *f)
{
	static const char sql[] = "UPDATE certificates SET outgoing = 1, supersede_at = ? WHERE id = ?";
	int64_t after_s = x->r->op.store->options.supersede_after_s;
	struct query q = query_start(&x->w->conn, sql);
	x->has_predecessor = true;
	memcpy(x->renews, old->fingerprint, FINGERPRINT_SIZE);
	query_int(&q, x->w->now_ms / 1000 + after_s);
	query_int(&q, old->id);
	writer_supersede_within(x->w, after_s);
	return query_run(&q, f);
}

/* Make before break: the renewed certificate stays active for a while; one renewed even earlier ends now. */
static outcome replace_predecessor(struct recording *x, struct fault *f)
{
	struct certificate live[LIVE_MAX];
	struct cause cause = {"gateway", x->request_id, "superseded"};
	size_t count = 0;
	if (!x->renews_id || x->result > STORE_INACTIVE)
		return DONE;
	outcome o = certificates_live(&x->w->conn, x->device.id, live, &count, f);
	for (size_t i = 0; o.ok && i < count; i++)
		if (live[i].outgoing)
			o = certificate_set_state(x->w, &x->device, &live[i], STORE_REVOKED, &cause, f);
	for (size_t i = 0; o.ok && i < count; i++)
		if (live[i].id == x->renews_id)
			o = set_outgoing(x, &live[i], f);
	return o;
}

static outcome insert_certificate(struct recording *x, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO certificates (fingerprint, serial, state, device_id, generation, spki_sha256, "
		"not_before, not_after, renews_id, revocation_reason, revoked_at_ms, issued_at_ms, "
		"request_id, result_id, der) VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?, ?, ?, ?, ?, "
		"?)";
	struct query q = query_start(&x->w->conn, sql);
	query_blob(&q, x->r->out.fingerprint, FINGERPRINT_SIZE);
	query_blob(&q, x->serial, SERIAL_SIZE);
	query_int(&q, x->result);
	query_int(&q, x->device.id);
	query_int(&q, x->generation);
	query_blob(&q, x->spki_sha256, SHA256_SIZE);
	query_int(&q, x->not_before);
	query_int(&q, x->not_after);
	query_int(&q, x->renews_id);
	query_text(&q, x->revocation_reason);
	query_int(&q, x->result == STORE_REVOKED ? x->w->now_ms : 0);
	query_int(&q, x->w->now_ms);
	query_text(&q, x->request_id);
	query_int(&q, x->result_id);
	query_blob(&q, x->r->der.p, x->r->der.n);
	return query_run(&q, f);
}

static outcome delete_intent(struct recording *x, struct fault *f)
{
	static const char sql[] = "DELETE FROM intents WHERE id = ?";
	struct query q = query_start(&x->w->conn, sql);
	query_blob(&q, x->r->intent_id, INTENT_ID_SIZE);
	return query_run(&q, f);
}

static void add_certificate(const struct recording *x, struct buf *detail)
{
	static const char *const states[] = {"active", "inactive", "revoked", "expired"};
	detail_hex(detail, "serial", x->serial, SERIAL_SIZE);
	detail_text(detail, "state", states[x->result]);
	detail_int(detail, "generation", x->generation);
	detail_int(detail, "not_before", x->not_before);
	detail_int(detail, "not_after", x->not_after);
	detail_text(detail, "profile", x->profile);
	detail_hex(detail, "spki_sha256", x->spki_sha256, SHA256_SIZE);
	if (x->has_predecessor)
		detail_hex(detail, "renews", x->renews, FINGERPRINT_SIZE);
	detail_text(detail, "evidence", x->evidence);
	detail_int(detail, "assurance", x->assurance);
	detail_hex(detail, "evidence_sha256", x->evidence_sha256, SHA256_SIZE);
	detail_hex(detail, "ear_sha256", x->ear_sha256, SHA256_SIZE);
	if (x->has_chain)
		detail_hex(detail, "statement", x->statement, SHA256_SIZE);
}

static outcome tell_brokers(struct recording *x, struct fault *f)
{
	struct store_feed_record r = {.state = x->result,
				      .not_before = x->not_before,
				      .not_after = x->not_after,
				      .report_first = x->has_predecessor};
	if (x->result == STORE_EXPIRED)
		return DONE;
	if (!x->device.plain)
		return feed_note(x->w, x->r->out.fingerprint, f);
	memcpy(r.fingerprint, x->r->out.fingerprint, FINGERPRINT_SIZE);
	snprintf(r.name, sizeof r.name, "%s", x->device.thing);
	return feed_note_record(x->w, &r, f);
}

static outcome log_issued(struct recording *x, struct fault *f)
{
	struct buf detail = {0};
	add_certificate(x, &detail);
	struct log_new e = {
		.kind = "issued",
		.actor = "device",
		.request_id = x->request_id,
		.device_id = x->device.id,
		.instance_id = x->device.instance_id,
		.thing = x->device.thing,
		.fingerprint = x->r->out.fingerprint,
		.reason = x->revocation_reason,
		.detail = detail_end(&detail),
	};
	outcome o = log_append(x->w, &e, f);
	buf_free(&detail);
	return o.ok ? tell_brokers(x, f) : o;
}

/* ---- the answer ---- */

static outcome refuse_late(struct recording *x, enum reason reason, const char *text, struct fault *f)
{
	struct buf detail = {0};
	detail_text(&detail, "rule", text);
	struct log_new e = {
		.kind = "refused",
		.actor = "device",
		.request_id = x->request_id,
		.device_id = x->device.id,
		.instance_id = x->device.instance_id,
		.thing = x->device.thing,
		.reason = reason_code(reason),
		.detail = detail_end(&detail),
	};
	outcome o = log_append(x->w, &e, f);
	buf_free(&detail);
	x->r->out.logged = o.ok;
	return o.ok ? op_refuse(&x->r->op, reason, "%s", text) : o;
}

static outcome settle(struct recording *x, struct fault *f)
{
	x->r->out.seq = x->w->head.seq;
	x->r->settled = true;
	if (x->result == STORE_ACTIVE)
		return DONE;
	if (x->result == STORE_EXPIRED)
		return refuse_late(x, REASON_DEADLINE, "the certificate expired before it could be recorded",
				   f);
	enum reason reason = device_refusal(&x->device);
	if (reason)
		return refuse_late(x, reason, device_refusal_text(reason), f);
	return refuse_late(x, REASON_CONFLICT,
			   "the device was allowed to enrol anew while this certificate was made", f);
}

/* No intent: it was recorded before, and the answer got lost. */
static outcome record_again(struct recording *x, struct fault *f)
{
	struct certificate c;
	outcome o = certificate_find(&x->w->conn, x->r->out.fingerprint, &c, f);
	if (!o.ok)
		return o;
	if (!c.id)
		return op_refuse(&x->r->op, REASON_NOT_FOUND, "there is no such intent");
	x->r->settled = true;
	if (c.state != STORE_ACTIVE)
		return op_refuse(&x->r->op, REASON_CONFLICT,
				 "the certificate was recorded and is not active");
	return DONE;
}

static outcome (*const steps[])(struct recording *x, struct fault *f) = {
	enter_generation, replace_predecessor, insert_certificate, delete_intent, log_issued, settle,
};

static outcome run_record(struct op *op, struct conn *c, struct fault *f)
{
	struct recording x = {.r = (struct record_op *)op, .w = &op->store->writer};
	(void)c;
	x.r->out.seq = 0;
	x.r->out.logged = x.r->settled = false;
	outcome o = load_intent(&x, f);
	if (!o.ok)
		return o;
	if (!x.found)
		return record_again(&x, f);
	if (!strcmp(x.state, "void"))
		return op_refuse(op, REASON_CONFLICT,
				 "the signer has closed this intent without a certificate");
	decide_state(&x);
	for (size_t i = 0; o.ok && i < sizeof steps / sizeof *steps; i++)
		o = steps[i](&x, f);
	return o;
}

static void answer_record(struct op *op, const struct fault *f)
{
	struct record_op *r = (struct record_op *)op;
	r->done(r->settled && !op->failed ? &r->out : NULL, f, r->arg);
}

void store_record(struct store *s, const uint8_t intent_id[INTENT_ID_SIZE], struct bytes certificate,
		  void (*done)(const struct store_recorded *answer, const struct fault *f, void *arg),
		  void *arg)
{
	struct record_op *r = op_new(s, sizeof *r, run_record, answer_record);
	memcpy(r->intent_id, intent_id, INTENT_ID_SIZE);
	r->der = op_bytes(&r->op, certificate);
	cert_fingerprint(certificate, r->out.fingerprint);
	r->done = done;
	r->arg = arg;
	op_write(&r->op);
}
