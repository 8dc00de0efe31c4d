/*
 * lint_internal.h - what the two halves of lint share: the fields (lint.c) and the extensions
 * (lint_extensions.c).
 */
#ifndef MOORING_CA_LINT_INTERNAL_H
#define MOORING_CA_LINT_INTERNAL_H

#include "issuer.h"
#include "lint.h"

/* What was read so far, for checks between fields. */
struct lint_reading {
	const struct lint_expect *expect;
	char common_name[65];
	struct bytes key_bits; /* of the SubjectPublicKeyInfo */
};

outcome lint_refuse(struct fault *f, const char *rule);
/* `in`: the contents of the extensions' SEQUENCE. */
MUST_USE outcome lint_extensions(const struct lint_reading *r, struct bytes in, struct fault *f);

#endif
