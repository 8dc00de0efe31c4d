/*
 * keys.h - the keys that sign results, and the CA whose gateways may ask.
 *
 * Loaded once, before the sandbox closes; each worker makes copies in its own library context.
 */
#ifndef MOORING_ATTESTATION_KEYS_H
#define MOORING_ATTESTATION_KEYS_H

#include "common/crypto/cert.h"

#include <jansson.h>

enum { KEY_ID_SIZE = BASE64_SIZE(SHA256_SIZE) };

struct keys {
	EVP_PKEY *ear;
	EVP_PKEY *ear_next;	  /* NULL where none is configured */
	char ear_id[KEY_ID_SIZE]; /* JWK thumbprint (RFC 7638), the `kid` of results */
	struct cert_issuers relying_party_cas;
};

/* `next` may be "". REASON_CONFIG where a key is not P-256 (ES256 is all that results are signed with). */
MUST_USE outcome keys_load(const char *ear, const char *next, const char *relying_party_ca, struct keys *out,
			   struct fault *f);
void keys_free(struct keys *k);
/* A copy of a private key that belongs to the calling thread's library context; NULL on failure. Caller
 * frees. */
EVP_PKEY *key_copy(EVP_PKEY *key);
/* {"kty","crv","x","y","alg","kid"} (RFC 7518 6.2.1); NULL without memory. Caller json_decref. */
json_t *key_jwk(EVP_PKEY *key);
/* Base64url of SHA-256 over the key's JWK (RFC 7638 3). */
MUST_USE bool key_thumbprint(EVP_PKEY *key, char out[KEY_ID_SIZE]);

#endif
