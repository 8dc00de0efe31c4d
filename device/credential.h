/*
 * credential.h - the device's certificate with its chain: what it presents in TLS, and what it says about
 * itself.
 */
#ifndef MOORING_CREDENTIAL_H
#define MOORING_CREDENTIAL_H

#include "common/crypto/cert.h"

enum { CREDENTIAL_MAX = 65536, CREDENTIAL_CHAIN_MAX = 4, CREDENTIAL_NAME_SIZE = 129 };

struct credential {
	X509 *leaf;
	X509 *chain[CREDENTIAL_CHAIN_MAX]; /* issuing CA first; the root is not among them */
	size_t chain_count;
	char thing[CREDENTIAL_NAME_SIZE];		 /* common name */
	char certificate_id[HEX_SIZE(FINGERPRINT_SIZE)]; /* lower-case hex of the DER's SHA-256 */
	uint8_t spki[SPKI_MAX];
	size_t spki_size;
	int64_t not_before, not_after; /* Unix seconds */
};

/* `pem` holds the leaf, then its chain; each must be signed by the next, the last by `root`, and the leaf be
 * for client authentication. Its dates are not compared with a clock: credential_expired does.
 * REASON_PEER_ANSWER. */
MUST_USE outcome credential_parse(struct bytes pem, X509 *root, struct credential *out, struct fault *f);
void credential_free(struct credential *c);
bool credential_expired(const struct credential *c, int64_t now);

#endif
