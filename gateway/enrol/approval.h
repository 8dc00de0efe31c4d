/*
 * approval.h - the policy stage's word that a certificate may be issued, good for one.
 *
 * Only s6_policy.c can make one, since only it knows what is inside; the terms of a certificate are to be had
 * from it alone, and once.
 */
#ifndef MOORING_APPROVAL_H
#define MOORING_APPROVAL_H

#include "common/crypto/cert.h"

struct approval;

struct enrol_terms {
	const char *profile; /* of the signer: "device" */
	uint8_t instance_id[INSTANCE_ID_SIZE];
	char thing[THING_NAME_SIZE];
	uint8_t spki_sha256[SHA256_SIZE];
	int64_t not_before; /* Unix seconds */
	int64_t not_after;
	unsigned assurance; /* level 1: device-bound */
};

/* False when it was spent before. */
MUST_USE bool approval_spend(struct approval *a, struct enrol_terms *terms);
void approval_free(struct approval *a);

#endif
