/*
 * Issue: reserve, then sign. What will be signed is durable before the signer is asked, so that a crash at
 * any point ends in one certificate or none.
 */
#include "stages.h"

#include "common/clock.h"

#include "gateway/recover.h"
#include "gateway/signer_client.h"

#include <string.h>

static enum step begin_reserve(const struct enrol *seen, struct issue_out *mine);

/* Logged by the store are its decisions; that it could not work is for us to tell. */
static bool store_logged(const struct fault *f)
{
	return f->reason != REASON_STORE_UNAVAILABLE && f->reason != REASON_DISK_FULL &&
	       f->reason != REASON_NO_MEMORY && f->reason != REASON_OVERLOADED;
}

static void fail(struct issue_out *mine, const struct fault *f)
{
	mine->failed = true;
	mine->fault = *f;
}

static void keep_certificate(struct issue_out *mine, struct bytes der)
{
	struct fault f;
	mine->certificate.n = 0;
	buf_bytes(&mine->certificate, der);
	if (mine->certificate.failed) {
		refuse(&f, REASON_NO_MEMORY, "no memory for a certificate");
		fail(mine, &f);
	}
}

static void on_reserved(const struct store_reserved *answer, const struct fault *f, void *arg)
{
	struct issue_out *mine = arg;
	if (f) {
		fail(mine, f);
		mine->fault_logged = store_logged(f);
	} else {
		mine->reserved = answer->result;
		mine->intent = answer->intent;
		if (answer->result == STORE_EXISTS)
			keep_certificate(mine, answer->certificate);
	}
	enrol_wake(mine->waker);
}

static void on_settled(const struct fault *f, void *arg)
{
	struct issue_out *mine = arg;
	if (f)
		fail(mine, f);
	enrol_wake(mine->waker);
}

static void on_signed(const struct signer_answer *answer, const struct fault *f, void *arg)
{
	struct issue_out *mine = arg;
	struct fault nothing;
	if (!f && answer->status == SIGNER_REFUSED)
		f = &answer->refusal;
	if (!f && answer->certificate.n == 0) {
		refuse(&nothing, REASON_SIGNER_PROTOCOL, "the signer agrees, and sends no certificate");
		f = &nothing;
	}
	if (f)
		fail(mine, f);
	else
		keep_certificate(mine, answer->certificate);
	enrol_wake(mine->waker);
}

/* Positive, never shorter than 16 bytes: RFC 5280 4.1.2.2. Milliseconds first, so that what is indexed by serial
 * grows at its end; 80 bits of randomness after them. */
static void make_serial(uint8_t serial[SERIAL_SIZE])
{
	enum { TIME_SIZE = 6 };
	uint64_t ms = (uint64_t)clock_wall_ms();
	for (int i = TIME_SIZE - 1; i >= 0; i--, ms >>= 8)
		serial[i] = (uint8_t)ms;
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
	crypto_random(serial + TIME_SIZE, SERIAL_SIZE - TIME_SIZE);
}

static enum step begin_reserve(const struct enrol *seen, struct issue_out *mine)
{
	const struct enrol_request *r = &seen->request;
	struct store_reservation reservation = {
		.intent = {.not_before = mine->terms.not_before, .not_after = mine->terms.not_after},
		.profile = mine->terms.profile,
		.evidence = r->type,
		.assurance = mine->terms.assurance,
		.audience = r->audience,
		.ear = seen->attest.call.jwt,
		.renews = r->renews ? r->renews_fingerprint : NULL,
		.chain = seen->provenance.verdict == PROVENANCE_SHOWN ? &seen->provenance.use : NULL,
	};
	crypto_random(reservation.intent.id, INTENT_ID_SIZE);
	make_serial(reservation.intent.serial);
	memcpy(reservation.intent.spki_sha256, mine->terms.spki_sha256, SHA256_SIZE);
	memcpy(reservation.intent.instance_id, mine->terms.instance_id, INSTANCE_ID_SIZE);
	memcpy(reservation.intent.thing, mine->terms.thing, THING_NAME_SIZE);
	memcpy(reservation.intent.request_id, seen->id, sizeof reservation.intent.request_id);
	memcpy(reservation.nonce, r->nonce, NONCE_SIZE);
	sha256(r->evidence, reservation.evidence_sha256);
	mine->phase = ISSUE_RESERVING;
	store_reserve(seen->gateway->store, &reservation, on_reserved, mine);
	return STEP_WAIT;
}

static enum step begin_sign(const struct enrol *seen, struct issue_out *mine, struct fault *f)
{
	const struct enrol_request *r = &seen->request;
	struct signer_request request = {
		.op = SIGNER_ISSUE,
		.not_before = mine->intent.not_before,
		.not_after = mine->intent.not_after,
		.csr = r->csr,
		.ear = bytes_str(seen->attest.call.jwt),
	};
	memcpy(request.intent, mine->intent.id, INTENT_ID_SIZE);
	memcpy(request.serial, mine->intent.serial, SERIAL_SIZE);
	memcpy(request.nonce, r->nonce, NONCE_SIZE);
	memcpy(request.profile, mine->terms.profile, strlen(mine->terms.profile) + 1);
	memcpy(request.audience, r->audience, sizeof request.audience);
	mine->phase = ISSUE_SIGNING;
	outcome sent = signer_client_send(mine->worker->signer, &request, on_signed, mine, f);
	return sent.ok ? STEP_WAIT : STEP_FAIL;
}

/* An intent that was left open until its dates were over would give a certificate that is no use: it is
 * closed, and a new one takes its place. */
static enum step after_reserve(const struct enrol *seen, struct issue_out *mine, struct fault *f)
{
	bool stale = mine->intent.not_after <= seen->receive.now;
	if (mine->reserved == STORE_EXISTS)
		return STEP_NEXT;
	if (mine->reserved == STORE_RESERVED || !stale)
		return begin_sign(seen, mine, f);
	if (mine->settled)
		return step_of(refuse(f, REASON_INTERNAL, "the intent of this key is past its dates again"));
	mine->settled = true;
	mine->phase = ISSUE_SETTLING;
	recover_settle(mine->worker, mine->intent.id, on_settled, mine);
	return STEP_WAIT;
}

static enum step start(const struct enrol *seen, struct issue_out *mine, struct fault *f)
{
	mine->waker = seen->waker;
	mine->worker = seen->worker;
	if (!approval_spend(seen->policy.approval, &mine->terms))
		return step_of(
			refuse(f, REASON_INTERNAL, "a certificate without the policy stage's approval"));
	return begin_reserve(seen, mine);
}

enum step s7_issue(const struct enrol *seen, struct issue_out *mine, struct fault *f)
{
	if (mine->failed) {
		*f = mine->fault;
		return STEP_FAIL;
	}
	switch (mine->phase) {
	case ISSUE_START:
		return start(seen, mine, f);
	case ISSUE_RESERVING:
		return after_reserve(seen, mine, f);
	case ISSUE_SETTLING:
		return begin_reserve(seen, mine);
	case ISSUE_SIGNING:
		return STEP_NEXT;
	}
	return step_of(refuse(f, REASON_INTERNAL, "the issue stage is in no phase"));
}
