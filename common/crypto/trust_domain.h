/*
 * trust_domain.h - whose names the certificates carry: spiffe://TRUST-DOMAIN/...
 */
#ifndef MOORING_TRUST_DOMAIN_H
#define MOORING_TRUST_DOMAIN_H

#include "common/fault.h"

enum { TRUST_DOMAIN_MAX = 200 };

/* REASON_CONFIG unless it is lower-case DNS labels: what a SPIFFE trust domain (SPIFFE-ID 2.1) and a URI name
 * constraint (RFC 5280 4.2.1.10) both take. */
MUST_USE outcome trust_domain_check(const char *domain, struct fault *f);

#endif
