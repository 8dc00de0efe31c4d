/*
 * attest.h - asks the attestation service to appraise one piece of evidence.
 *
 * Veraison's challenge-response API: a session for the nonce B, the evidence, an attestation result (EAR)
 * that is checked with the pinned keys. The evidence goes with the request for the session. A service that
 * takes no notice of it there answers with a session that waits, and gets it in a second request; so does one
 * that could not be reached the first time.
 */
#ifndef MOORING_ATTEST_H
#define MOORING_ATTEST_H

#include "common/evidence/ear.h"
#include "gateway/worker.h"

/* Owned by the caller, who keeps it until `done` has been called. */
struct attest_call {
	/* in: views must live as long */
	struct worker *worker;
	enum evidence_type type;
	struct bytes evidence;
	struct bytes csr_spki;
	const uint8_t *binding;	 /* BINDING_SIZE: the nonce of the session */
	void (*done)(void *arg); /* on the worker's loop, once, never from within attest_ask */
	void *arg;
	/* out */
	bool affirmed;	    /* else `fault` says why not */
	struct fault fault; /* VERIFIER_UNAVAILABLE, VERIFIER_ANSWER, EAR_*, or the verifier's reason */
	struct ear ear;
	char *jwt; /* the signed result as it came, NULL where none came; attest_call_free */
	/* own */
	bool retried, evidence_sent;
	char *session_url;
};

void attest_ask(struct attest_call *call);
void attest_call_free(struct attest_call *call);

#endif
