/*
 * ear.h - EAT Attestation Results (draft-ietf-rats-ear-04) as signed JWT, in the draft's and in Veraison's
 * spelling.
 *
 * Checked by the gateway and, on its own, by the signer.
 */
#ifndef MOORING_EAR_H
#define MOORING_EAR_H

#include "common/crypto/jws.h"
#include "evidence.h"

enum { EAR_AFFIRMING = 2, EAR_WARNING = 32, EAR_CONTRAINDICATED = 96 };
enum { EAR_AGE_MAX_S = 300, EAR_SKEW_S = 60 };

struct ear_expect {
	EVP_PKEY *const *keys; /* pinned verification keys */
	size_t key_count;
	uint8_t binding[BINDING_SIZE];
	struct bytes csr_spki; /* an attested key, where the result names one, must be this */
	int64_t now;	       /* Unix time, seconds */
};

struct ear {
	bool has_instance_id;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	int64_t issued_at;
	int status;
	char reason[64]; /* the verifier's own reason code, for the operator; "" where absent */
};

/* Signature, profile, age (-60 .. +300 s), eat_nonce == B, one submodule, every trustworthiness value known,
 * status affirming, attested key. `out` is filled as far as the signature vouches for it, also
 * when the result is refused. */
MUST_USE outcome ear_check(struct bytes jwt, const struct ear_expect *expect, struct ear *out,
			   struct fault *f);

/* What a verifier found out, to be written as a result. */
struct ear_appraisal {
	enum evidence_type type;
	uint8_t nonce[BINDING_SIZE];
	const uint8_t *instance_id; /* INSTANCE_ID_SIZE bytes, NULL where the evidence could not be read */
	struct bytes attested_spki; /* n = 0 where the evidence names no key */
	enum reason reason;	    /* REASON_NONE = affirming, anything else = contraindicated */
	int64_t now;
	const char *verifier; /* who appraised: ear_verifier_id's developer. NULL = "mooring" */
};
/* The signed result, draft spelling; caller frees. */
MUST_USE outcome ear_build(const struct ear_appraisal *a, EVP_PKEY *key, const char *kid, char **jwt,
			   struct fault *f);

#endif
