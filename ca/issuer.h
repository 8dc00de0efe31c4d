/*
 * issuer.h - an issuing key with the certificate that names it: what signs.
 */
#ifndef MOORING_CA_ISSUER_H
#define MOORING_CA_ISSUER_H

#include "lint.h"
#include "common/crypto/cert.h"

enum { KEY_ID_SIZE = 20, KEY_ID_MAX = 64, SIGNATURE_ALGORITHM_MAX = 12 };

struct issuer {
	EVP_PKEY *key;
	EVP_PKEY_CTX *signing; /* initialised once: OpenSSL 3 fetches the algorithm each time otherwise */
	EVP_MD *digest;
	struct bytes algorithm; /* AlgorithmIdentifier, static */
	struct buf subject;	/* Name, DER */
	uint8_t key_id[KEY_ID_MAX];
	size_t key_id_size;
	int64_t not_before, not_after;
};

/* Key identifier of a SubjectPublicKeyInfo: the left 160 bits of SHA-256 of the key bits (RFC 7093 2, method
 * 1). */
MUST_USE bool issuer_key_id(struct bytes spki, uint8_t out[KEY_ID_SIZE]);

/* Key and certificate; refused unless the certificate is a CA's, may sign certificates, has a key identifier,
 * and its public key verifies what the key signs. Takes the key over, also on failure. Caller issuer_free. */
MUST_USE outcome issuer_make(EVP_PKEY *key, X509 *cert, struct issuer *out, struct fault *f);
MUST_USE outcome issuer_load(const char *key_uri, const char *cert_path, struct issuer *out, struct fault *f);
/* A root before it has a certificate: subject and dates are those that it will have. Takes the key over. */
MUST_USE outcome issuer_make_root(EVP_PKEY *key, struct bytes subject, int64_t not_before, int64_t not_after,
				  struct issuer *out, struct fault *f);
void issuer_free(struct issuer *i);

/* Signs what lint approved, once: appends the certificate's DER. REASON_SIGNER_LINT for an approval that was
 * used before or was made for another issuer. */
MUST_USE outcome issuer_sign(struct issuer *i, struct lint_approval *a, struct buf *certificate,
			     struct fault *f);

#endif
