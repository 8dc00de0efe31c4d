/*
 * profile.h - the kinds of certificate that Mooring's CA makes, one row each: the builder writes them and
 * lint holds what was built against them.
 */
#ifndef MOORING_CA_PROFILE_H
#define MOORING_CA_PROFILE_H

#include "common/bytes.h"
#include "common/crypto/trust_domain.h"

#include <stdint.h>

enum { PATH_LENGTH_NONE = -1, KEY_USAGE_SIZE = 4, BACKDATE_S = 3600 };

struct profile {
	const char *name;
	const char *uri_kind; /* SAN URI spiffe://<trust-domain>/<kind>/<name>; NULL: a CA, the trust domain
				 alone */
	bool by_signer;	      /* the signer's; the others are mooring-ca's */
	bool attested;	      /* an attestation result is required */
	bool client_auth;
	bool server_auth; /* extended key usages; neither: no such extension */
	bool constrained; /* a CA whose names are held to the trust domain's URIs (RFC 5280 4.2.1.10) */
	bool host_names;  /* DNS names and IP addresses may follow the URI */
	int path_length;  /* of a CA; PATH_LENGTH_NONE: no CA */
	uint8_t key_usage[KEY_USAGE_SIZE]; /* DER of the BIT STRING */
	int64_t lifetime_max_s;		   /* the backdating of BACKDATE_S not counted */
};

/* NULL where there is none of this name. */
const struct profile *profile_find(const char *name);

#endif
