/*
 * attest_json.h - the JSON of Veraison's challenge-response API, read strictly: wrong types, duplicate
 * members and other nonces are refused; members that we do not know are left alone.
 *
 * Every refusal is VERIFIER_ANSWER: the service answered, and not as its interface says.
 */
#ifndef MOORING_ATTEST_JSON_H
#define MOORING_ATTEST_JSON_H

#include "common/evidence/evidence.h"

enum session_status { SESSION_WAITING = 1, SESSION_PROCESSING, SESSION_COMPLETE, SESSION_FAILED };

struct session {
	enum session_status status;
	char *result; /* the EAR's text, NULL unless complete; caller frees */
};

/* application/vnd.veraison.challenge-response-session+json; its nonce, in either base64 alphabet, must be
 * `nonce`. */
MUST_USE outcome session_parse(struct bytes json, const uint8_t nonce[BINDING_SIZE], struct session *out,
			       struct fault *f);

struct discovery {
	bool ready;
	unsigned types; /* a bit (1 << type) for each evidence type that is taken */
	bool has_key;
	uint8_t point[64]; /* X || Y of the P-256 key that it says it signs with */
};

/* application/vnd.veraison.discovery+json. */
MUST_USE outcome discovery_parse(struct bytes json, struct discovery *out, struct fault *f);

#endif
