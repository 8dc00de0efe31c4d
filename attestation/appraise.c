#include "appraise.h"

#include "common/crypto/csr.h"

#include <string.h>

struct subject {
	const struct appraiser *appraiser;
	struct evidence evidence;
	const uint8_t *nonce;
	struct record record;
	struct appraisal *out;
};

static outcome check_nonce(struct subject *s, struct fault *f)
{
	if (!bytes_equal_ct(s->evidence.nonce, bytes_of(s->nonce, BINDING_SIZE)))
		return refuse(f, REASON_NONCE_MISMATCH,
			      "RFC 9711 4.1: the evidence's nonce is not the session's");
	return DONE;
}

static outcome check_standing(struct subject *s, struct fault *f)
{
	if (s->record.suspended)
		return refuse(f, REASON_DEVICE_SUSPENDED, "the device's record is suspended");
	if (!(s->record.evidence & 1u << s->evidence.type))
		return refuse(f, REASON_EVIDENCE_TYPE, "the device's record does not list %s",
			      evidence_type_name(s->evidence.type));
	return DONE;
}

static outcome check_signature(struct subject *s, struct fault *f)
{
	const struct record *r = &s->record;
	struct bytes rot = bytes_of(r->public_key, r->public_key_size);
	return evidence_verify(&s->evidence, rot, s->appraiser->allow_test_keys, f);
}

static outcome check_implementation(struct subject *s, struct fault *f)
{
	if (s->evidence.type != EVIDENCE_PSA_TOKEN)
		return DONE;
	if (!s->record.has_implementation ||
	    memcmp(s->record.implementation_id, s->evidence.implementation_id, IMPLEMENTATION_ID_SIZE))
		return refuse(f, REASON_IMPLEMENTATION_UNKNOWN,
			      "RFC 9783 4.2.2: the implementation ID is not the one of the device's record");
	return DONE;
}

static outcome check_request_key(struct subject *s, const struct csr *csr, struct fault *f)
{
	struct bytes rot = bytes_of(s->record.public_key, s->record.public_key_size);
	if (bytes_equal(csr->spki, rot))
		return refuse(f, REASON_CSR_KEY_IS_ROT,
			      "the key to certify is the device's root-of-trust key");
	if (csr->spki.n > sizeof s->out->attested_spki)
		return refuse(f, REASON_CSR_KEY, "the key to certify is too large");
	memcpy(s->out->attested_spki, csr->spki.p, csr->spki.n);
	s->out->attested_size = csr->spki.n;
	return DONE;
}

/* The RoT key signed this very request: what it attests is the request's key. */
static outcome check_request(struct subject *s, struct fault *f)
{
	struct csr csr;
	if (s->evidence.type != EVIDENCE_COSE_CSR)
		return DONE;
	outcome r = csr_parse(s->evidence.cose.payload, s->appraiser->allow_test_keys, &csr, f);
	if (!r.ok)
		return r;
	return check_request_key(s, &csr, f);
}

/* In this order: nothing is said about a device before its key has spoken but that it is known and stands. */
static outcome (*const checks[])(struct subject *s, struct fault *f) = {
	check_standing,
	check_signature,
	check_implementation,
	check_request,
};

static outcome run_checks(struct subject *s, struct fault *f)
{
	outcome r = DONE;
	for (size_t i = 0; r.ok && i < sizeof checks / sizeof *checks; i++)
		r = checks[i](s, f);
	return r;
}

static outcome refuse_unknown(const struct subject *s, struct fault *f)
{
	if (!s->appraiser->allow_test_keys && evidence_is_test_instance(s->evidence.instance_id))
		return refuse(f, REASON_TEST_KEY, "the instance ID is derived from a published test key");
	return refuse(f, REASON_DEVICE_UNKNOWN, "no record has this instance ID");
}

outcome appraise(const struct appraiser *a, enum evidence_type type, struct bytes evidence,
		 const uint8_t nonce[BINDING_SIZE], struct appraisal *out, struct fault *f)
{
	struct subject s = {.appraiser = a, .nonce = nonce, .out = out};
	bool found;
	*out = (struct appraisal){0};
	outcome appraised = evidence_parse(type, evidence, &s.evidence, &out->fault);
	if (appraised.ok) {
		out->has_instance = true;
		memcpy(out->instance_id, s.evidence.instance_id, INSTANCE_ID_SIZE);
		appraised = check_nonce(&s, &out->fault);
	}
	if (appraised.ok) {
		outcome looked = records_find(a->records, s.evidence.instance_id, &s.record, &found, f);
		if (!looked.ok)
			return looked;
		appraised = found ? run_checks(&s, &out->fault) : refuse_unknown(&s, &out->fault);
	}
	out->reason = appraised.ok ? REASON_NONE : out->fault.reason;
	if (out->reason != REASON_NONE)
		out->attested_size = 0;
	return DONE;
}
