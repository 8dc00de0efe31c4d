/*
 * enrolment.h - an enrolment request (docs/openapi.yaml) as a device sends it, taken apart for the offline
 * checks.
 */
#ifndef MOORING_CLI_ENROLMENT_H
#define MOORING_CLI_ENROLMENT_H

#include "common/evidence/evidence.h"

/* What the request holds; the buffers are the caller's to free. */
struct enrolment {
	struct buf csr, evidence;
	enum evidence_type type;
	uint8_t binding[BINDING_SIZE]; /* B, of the request's own nonce, audience and CSR */
};

/* Members that only the gateway needs are passed over. REASON_BAD_JSON, REASON_BAD_FIELD, REASON_BAD_ENCODING,
 * REASON_EVIDENCE_TYPE, REASON_BAD_ORIGIN. */
MUST_USE outcome enrolment_read(struct bytes input, struct enrolment *out, struct fault *f);

#endif
