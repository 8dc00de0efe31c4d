/*
 * request.h - an enrolment request: the CSR, the evidence bound to it and to the challenge, as JSON.
 */
#ifndef MOORING_REQUEST_H
#define MOORING_REQUEST_H

#include "common/evidence/binding.h"
#include "common/evidence/evidence.h"
#include "psa.h"

struct request_renews {
	const char *certificate_id; /* the certificate to replace */
	uint32_t key;		    /* its key */
};

struct request_input {
	struct psa *psa;
	uint32_t key; /* to be certified */
	enum evidence_type evidence;
	const char *origin; /* the gateway as the device knows it: the audience */
	uint8_t nonce[NONCE_SIZE];
	int64_t lifetime_s;		     /* 0: as the gateway likes */
	const struct request_renews *renews; /* NULL: an enrolment */
	struct bytes chain;		     /* of provenance; n = 0: the device has none */
};

/* Appends the body of POST /v1/enrolments or /v1/renewals. Every call makes new evidence. */
MUST_USE outcome request_build(const struct request_input *in, struct buf *json, struct fault *f);

#endif
