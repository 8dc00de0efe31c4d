/*
 * challenge.h - Veraison's challenge-response API: a session with a nonce, evidence for it, a signed result.
 *
 *   POST   /challenge-response/v1/newSession?nonce=<base64url of 32 bytes>   201, Location: session/<id>
 *   POST   /challenge-response/v1/session/<id>   evidence by its media type   200, "result": an EAR (JWT)
 *   GET, DELETE the same
 *
 * Evidence that is refused is a result too: status contraindicated, with our reason. A session takes evidence
 * once; the same evidence again has the same answer.
 */
#ifndef MOORING_ATTESTATION_CHALLENGE_H
#define MOORING_ATTESTATION_CHALLENGE_H

#include "worker.h"
#include "common/scgi/scgi.h"

#define SESSION_MEDIA_TYPE "application/vnd.veraison.challenge-response-session+json"

void challenge_new(struct worker *w, struct scgi_request *r);
void challenge_evidence(struct worker *w, struct scgi_request *r, const char *id);
void challenge_get(struct worker *w, struct scgi_request *r, const char *id);
void challenge_end(struct worker *w, struct scgi_request *r, const char *id);

#endif
