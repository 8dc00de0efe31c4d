#include "reserve_internal.h"

#include <stdio.h>
#include <string.h>

static outcome check_device(struct decision *x, struct fault *f)
{
	const struct store_intent *in = &x->r->in.intent;
	outcome o = device_find(&x->w->conn, in->instance_id, &x->device, f);
	if (!o.ok || !x->device.id)
		return o;
	if (*x->device.thing && strcmp(x->device.thing, in->thing) != 0)
		return reserve_refuse(x, REASON_CONFIG,
				      "the device has another thing name: the salt was changed", f);
	enum reason reason = device_refusal(&x->device);
	return reason ? reserve_refuse(x, reason, device_refusal_text(reason), f) : DONE;
}

static outcome check_key_owner(struct decision *x, struct fault *f)
{
	static const char sql[] = "SELECT device_id FROM keys WHERE spki_sha256 = ?";
	struct query q = query_start(&x->w->conn, sql);
	int64_t owner = 0;
	query_blob(&q, x->r->in.intent.spki_sha256, SHA256_SIZE);
	outcome o = query_row(&q, &x->key_known, f);
	if (!o.ok || !x->key_known)
		return o;
	owner = column_int(&q);
	query_end(&q);
	if (owner != x->device.id)
		return reserve_refuse(x, REASON_KEY_IN_USE, "the key belongs to another device", f);
	return DONE;
}

/* An expired certificate gives its place to the key's next one; its date alone has ended it for everybody. */
static outcome expire(struct decision *x, int64_t id, struct fault *f)
{
	static const char sql[] = "UPDATE certificates SET state = 3 WHERE id = ?";
	struct query q = query_start(&x->w->conn, sql);
	query_int(&q, id);
	return query_run(&q, f);
}

static outcome load_live(struct decision *x, struct fault *f)
{
	struct certificate all[LIVE_MAX];
	size_t count = 0;
	outcome o = x->device.id ? certificates_live(&x->w->conn, x->device.id, all, &count, f) : DONE;
	for (size_t i = 0; o.ok && i < count; i++) {
		if (all[i].not_after <= x->now)
			o = expire(x, all[i].id, f);
		else
			x->live[x->live_count++] = all[i];
	}
	return o;
}

static outcome answer_exists(struct decision *x, const struct certificate *c, struct fault *f)
{
	static const char sql[] = "SELECT serial, request_id, der FROM certificates WHERE id = ?";
	struct store_reserved *out = &x->r->out;
	struct query q = query_start(&x->w->conn, sql);
	bool row;
	query_int(&q, c->id);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o.ok ? refuse(f, REASON_INTERNAL, "a certificate is gone") : o;
	out->result = STORE_EXISTS;
	out->intent = x->r->in.intent;
	memset(out->intent.id, 0, INTENT_ID_SIZE);
	out->intent.not_before = c->not_before;
	out->intent.not_after = c->not_after;
	out->intent.generation = c->generation;
	memcpy(out->fingerprint, c->fingerprint, FINGERPRINT_SIZE);
	column_copy(&q, out->intent.serial, SERIAL_SIZE);
	snprintf(out->intent.request_id, sizeof out->intent.request_id, "%s", column_text(&q));
	out->certificate = op_bytes(&x->r->op, column_blob(&q));
	query_end(&q);
	x->settled = true;
	return DONE;
}

/* The same key again gets the same certificate, also while it is being replaced by another key's. */
static outcome check_same_key(struct decision *x, struct fault *f)
{
	for (size_t i = 0; i < x->live_count; i++) {
		const struct certificate *c = &x->live[i];
		if (memcmp(c->spki_sha256, x->r->in.intent.spki_sha256, SHA256_SIZE) != 0)
			continue;
		if (x->r->in.renews && !memcmp(x->r->in.renews, c->fingerprint, FINGERPRINT_SIZE))
			return reserve_refuse(x, REASON_KEY_IN_USE, "a renewal brings a new key", f);
		return answer_exists(x, c, f);
	}
	return DONE;
}

static outcome cancel_intent(struct decision *x, const uint8_t id[INTENT_ID_SIZE], struct fault *f)
{
	static const char sql[] =
		"UPDATE intents SET state = 'cancelled', cancelled_for = 'expired' WHERE id = ?";
	struct query q = query_start(&x->w->conn, sql);
	query_blob(&q, id, INTENT_ID_SIZE);
	return query_run(&q, f);
}

static outcome load_open_intent(struct decision *x, struct store_intent *out, bool *found, struct fault *f)
{
	static const char sql[] =
		"SELECT id, serial, not_before, not_after, spki_sha256, request_id, generation "
		"FROM intents WHERE device_id = ? AND state = 'open'";
	struct query q = query_start(&x->w->conn, sql);
	query_int(&q, x->device.id);
	outcome o = query_row(&q, found, f);
	if (!o.ok || !*found)
		return o;
	*out = x->r->in.intent;
	column_copy(&q, out->id, INTENT_ID_SIZE);
	column_copy(&q, out->serial, SERIAL_SIZE);
	out->not_before = column_int(&q);
	out->not_after = column_int(&q);
	column_copy(&q, out->spki_sha256, SHA256_SIZE);
	snprintf(out->request_id, sizeof out->request_id, "%s", column_text(&q));
	out->generation = column_int(&q);
	query_end(&q);
	return DONE;
}

static outcome check_open_intent(struct decision *x, struct fault *f)
{
	struct store_intent open;
	bool found = false;
	outcome o = x->device.id ? load_open_intent(x, &open, &found, f) : DONE;
	if (!o.ok || !found)
		return o;
	if (open.not_after <= x->now)
		return cancel_intent(x, open.id, f);
	if (!memcmp(open.spki_sha256, x->r->in.intent.spki_sha256, SHA256_SIZE)) {
		x->r->out.result = STORE_PENDING;
		x->r->out.intent = open;
		x->settled = true;
		return DONE;
	}
	if (x->r->in.renews)
		return reserve_refuse(x, REASON_RENEWAL_STATE,
				      "a certificate for another key of this device is on its way", f);
	return reserve_refuse_clone(x, "a second key while a certificate for the first is on its way", f);
}

static outcome check_renewal(struct decision *x, struct fault *f)
{
	struct certificate old;
	if (!x->r->in.renews)
		return DONE;
	outcome o = certificate_find(&x->w->conn, x->r->in.renews, &old, f);
	if (!o.ok)
		return o;
	if (!old.id || old.device_id != x->device.id)
		return reserve_refuse(x, REASON_RENEWAL_UNKNOWN,
				      "this device has no such certificate to renew", f);
	if (old.state != STORE_ACTIVE || old.not_after <= x->now)
		return reserve_refuse(x, REASON_RENEWAL_STATE, "the certificate to renew is not active", f);
	if (old.outgoing)
		return reserve_refuse(x, REASON_RENEWAL_STATE,
				      "the certificate was renewed already, for another key", f);
	x->renews_id = old.id;
	return DONE;
}

static outcome check_enrolment(struct decision *x, struct fault *f)
{
	if (x->r->in.renews)
		return DONE;
	x->uses_grant = x->device.granted || x->chain_raises;
	if (!x->uses_grant && x->live_count)
		return reserve_refuse_clone(x, "a second key, neither a renewal nor allowed by an admin", f);
	return DONE;
}

/* A key whose certificate was revoked gets another one only by an admin's grant, and not if the key is
 * compromised. */
static outcome check_revoked_key(struct decision *x, struct fault *f)
{
	static const char sql[] =
		"SELECT state, revocation_reason FROM certificates WHERE device_id = ? AND spki_sha256 = ? "
		"ORDER BY id DESC LIMIT 1";
	struct query q = query_start(&x->w->conn, sql);
	bool row;
	if (!x->key_known)
		return DONE;
	query_int(&q, x->device.id);
	query_blob(&q, x->r->in.intent.spki_sha256, SHA256_SIZE);
	outcome o = query_row(&q, &row, f);
	if (!o.ok || !row)
		return o;
	bool revoked = column_int(&q) == STORE_REVOKED;
	bool compromised = !strcmp(column_text(&q), "key-compromise");
	query_end(&q);
	if (revoked && compromised)
		return reserve_refuse(
			x, REASON_KEY_REVOKED,
			"the key was revoked for key-compromise, which no grant lifts: the device has "
			"to come with a new key (mooring-device run --new-key)",
			f);
	if (revoked && !x->uses_grant)
		return reserve_refuse(x, REASON_KEY_REVOKED,
				      "the key's certificate was revoked: allow a re-enrolment (mooringctl "
				      "allow-reenrol), and have the device come with a new key",
				      f);
	return DONE;
}

/* ---- writing the intent ---- */

static outcome write_device(struct decision *x, struct fault *f)
{
	const struct store_intent *in = &x->r->in.intent;
	if (!x->device.id)
		return device_add(x->w, in->instance_id, in->thing, &x->device, f);
	if (*x->device.thing)
		return DONE;
	snprintf(x->device.thing, sizeof x->device.thing, "%s", in->thing);
	return device_save(x->w, &x->device, f);
}

static outcome write_key(struct decision *x, struct fault *f)
{
	static const char sql[] = "INSERT INTO keys VALUES (?, ?)";
	struct query q = query_start(&x->w->conn, sql);
	if (x->key_known)
		return DONE;
	query_blob(&q, x->r->in.intent.spki_sha256, SHA256_SIZE);
	query_int(&q, x->device.id);
	return query_run(&q, f);
}

static outcome write_result(struct decision *x, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO attestation_results (evidence, assurance, evidence_sha256, nonce, audience, "
		"ear_sha256, ear) VALUES (?, ?, ?, ?, ?, ?, ?)";
	const struct store_reservation *in = &x->r->in;
	struct query q = query_start(&x->w->conn, sql);
	query_text(&q, in->evidence ? evidence_type_name(in->evidence) : "none");
	query_int(&q, in->assurance);
	query_blob(&q, in->evidence_sha256, SHA256_SIZE);
	query_blob(&q, in->nonce, NONCE_SIZE);
	query_text(&q, in->audience);
	query_blob(&q, x->r->ear_sha256, SHA256_SIZE);
	query_text(&q, in->ear);
	return query_run(&q, f);
}

static outcome insert_intent(struct decision *x, struct fault *f)
{
	static const char sql[] =
		"INSERT INTO intents (id, state, serial, device_id, generation, uses_grant, renews_id, "
		"spki_sha256, not_before, not_after, profile, request_id, result_id, statement, raises_at) "
		"VALUES (?, 'open', ?, ?, ?, ?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?)";
	const struct store_intent *in = &x->r->out.intent;
	const struct store_chain *chain = x->r->in.chain;
	int64_t result_id = sqlite3_last_insert_rowid(x->w->conn.db);
	struct query q = query_start(&x->w->conn, sql);
	query_blob(&q, in->id, INTENT_ID_SIZE);
	query_blob(&q, in->serial, SERIAL_SIZE);
	query_int(&q, x->device.id);
	query_int(&q, in->generation);
	query_int(&q, x->uses_grant);
	query_int(&q, x->renews_id);
	query_blob(&q, in->spki_sha256, SHA256_SIZE);
	query_int(&q, in->not_before);
	query_int(&q, in->not_after);
	query_text(&q, x->r->in.profile);
	query_text(&q, in->request_id);
	query_int(&q, result_id);
	query_blob(&q, chain ? chain->statements[chain->count - 1].sha256 : NULL, SHA256_SIZE);
	query_int(&q, x->chain_raises ? (int64_t)chain->count : 0);
	return query_run(&q, f);
}

static outcome write_intent(struct decision *x, struct fault *f)
{
	outcome o = write_device(x, f);
	if (o.ok)
		o = write_key(x, f);
	if (o.ok)
		o = reserve_write_chain(x, f);
	if (o.ok)
		o = write_result(x, f);
	x->r->out.result = STORE_RESERVED;
	x->r->out.intent = x->r->in.intent;
	x->r->out.intent.generation = x->device.generation + x->uses_grant;
	return o.ok ? insert_intent(x, f) : o;
}

/* In this order: standing, whose key it is, what is there already, what may be added. */
static outcome (*const checks[])(struct decision *x, struct fault *f) = {
	check_device,	   check_key_owner,	load_live,     check_same_key,
	check_open_intent, reserve_load_chain,	check_renewal, check_enrolment,
	check_revoked_key, reserve_check_chain, write_intent,
};

static outcome run_reserve(struct op *op, struct conn *c, struct fault *f)
{
	struct writer *w = &op->store->writer;
	struct decision x = {.r = (struct reserve_op *)op, .w = w, .now = w->now_ms / 1000};
	outcome o = DONE;
	(void)c;
	x.r->out = (struct store_reserved){0};
	for (size_t i = 0; o.ok && !x.settled && i < sizeof checks / sizeof *checks; i++)
		o = checks[i](&x, f);
	return o;
}

static void answer_reserve(struct op *op, const struct fault *f)
{
	struct reserve_op *r = (struct reserve_op *)op;
	r->done(f ? NULL : &r->out, f, r->arg);
}

void store_reserve(struct store *s, const struct store_reservation *in,
		   void (*done)(const struct store_reserved *answer, const struct fault *f, void *arg),
		   void *arg)
{
	struct reserve_op *r = op_new(s, sizeof *r, run_reserve, answer_reserve);
	r->in = *in;
	r->in.profile = op_text(&r->op, in->profile);
	r->in.audience = op_text(&r->op, in->audience);
	r->in.ear = op_text(&r->op, in->ear);
	sha256(bytes_str(r->in.ear), r->ear_sha256);
	if (in->chain) {
		r->chain = *in->chain;
		r->chain.chain = op_bytes(&r->op, in->chain->chain);
		r->chain.receipt = op_bytes(&r->op, in->chain->receipt);
		for (size_t i = 0; i < r->chain.count; i++)
			r->chain.statements[i].batch = op_text(&r->op, in->chain->statements[i].batch);
		r->in.chain = &r->chain;
	}
	if (in->renews) {
		memcpy(r->renews, in->renews, FINGERPRINT_SIZE);
		r->in.renews = r->renews;
	}
	r->done = done;
	r->arg = arg;
	if (queue_length(&s->writes) < STORE_QUEUE_MAX) {
		op_write(&r->op);
		return;
	}
	op_refuse(&r->op, REASON_OVERLOADED, "%d operations wait for the store", STORE_QUEUE_MAX);
	op_finish(&r->op);
}
