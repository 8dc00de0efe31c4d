/*
 * enrolment_json.h - the body of POST /v1/enrolments and /v1/renewals.
 *
 *   {"csr": base64 DER, "evidence": {"type": "psa-token" | "cose-csr", "value": base64}, "nonce": base64url,
 *    "audience": origin, "mode": "C", "lifetime_s": number (optional),
 *    "chain": base64url of a provenance chain (optional; common/provenance/chain.h),
 *    "renews": {"certificateId": hex, "signature": base64 DER} (renewals)}
 */
#ifndef MOORING_ENROLMENT_JSON_H
#define MOORING_ENROLMENT_JSON_H

#include "gateway/enrol/enrol.h"

/* Fills `out` (zeroed by the caller). Unknown and duplicate members are refused. BAD_JSON, BAD_FIELD,
 * BAD_ENCODING, EVIDENCE_TYPE, EVIDENCE_SIZE, TOO_LARGE. */
MUST_USE outcome enrolment_json_parse(struct bytes body, bool renewal, struct enrol_request *out,
				      struct fault *f);
/* The answer to a request that went through; false when there is no memory. */
MUST_USE bool enrolment_json_answer(const struct enrol *e, struct buf *out);

#endif
