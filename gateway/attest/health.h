/*
 * health.h - what the gateway knows of the attestation service: what it takes, and whether it answers.
 *
 * Shared by all workers. After a row of failures enrolments are refused at once for a moment that doubles
 * with each further failure, so that a service that is down does not hold thousands of requests until they
 * time out.
 */
#ifndef MOORING_ATTEST_HEALTH_H
#define MOORING_ATTEST_HEALTH_H

#include "common/evidence/evidence.h"

struct attest_health;

enum { ATTEST_FAILURES_MAX = 5, ATTEST_PAUSE_MIN_MS = 500, ATTEST_PAUSE_MAX_MS = 10000 };

MUST_USE outcome attest_health_new(struct attest_health **out, struct fault *f);
void attest_health_free(struct attest_health *h);

/* May evidence of this type be sent now? VERIFIER_UNAVAILABLE, or EVIDENCE_TYPE where the service does not
 * take it. Times are monotonic milliseconds. */
MUST_USE outcome attest_health_admit(struct attest_health *h, enum evidence_type type, int64_t now_ms,
				     struct fault *f);
/* How a call went. */
void attest_health_report(struct attest_health *h, bool answered, int64_t now_ms);
/* The discovery document: a bit (1 << type) for each evidence type; 0 where the service says that it is not
 * ready. */
void attest_health_discovered(struct attest_health *h, unsigned types);
/* For /readyz: the discovery document was read, and the last call was answered. */
bool attest_health_up(struct attest_health *h);

#endif
