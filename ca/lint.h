/*
 * lint.h - the last look at a certificate before it is signed.
 *
 * An independent reading of the to-be-signed bytes (RFC 5280 4.1): nothing here is shared with what built
 * them but the profile table. Signing needs an approval, only lint makes one, and one approval signs once.
 */
#ifndef MOORING_CA_LINT_H
#define MOORING_CA_LINT_H

#include "profile.h"

struct issuer;
struct lint_approval;

struct lint_expect {
	const struct profile *profile;
	const struct issuer *issuer;
	const char *trust_domain;
	int64_t now;		/* Unix time, seconds */
	int64_t lifetime_max_s; /* a tighter limit than the profile's; 0: the profile's alone */
};

/* REASON_SIGNER_LINT with the clause that is broken. Caller lint_approval_free. */
MUST_USE outcome lint_approve(struct bytes tbs, const struct lint_expect *expect, struct lint_approval **out,
			      struct fault *f);

/* The approved bytes, which live as long as the approval; false where they were given out before, or the
 * approval is for another issuer. */
MUST_USE bool lint_approval_spend(struct lint_approval *a, const struct issuer *issuer, struct bytes *tbs);
void lint_approval_free(struct lint_approval *a);

#endif
