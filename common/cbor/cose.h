/*
 * cose.h - COSE_Sign1 (RFC 9052 4.2, 4.4) with ES256/384/512 (RFC 9053 2.1).
 */
#ifndef MOORING_COSE_H
#define MOORING_COSE_H

#include "cbor.h"
#include "common/crypto/crypto.h"

enum { COSE_ES256 = -7, COSE_ES384 = -35, COSE_ES512 = -36, COSE_ESP256 = -9 };

/* Views into the input. */
struct cose_sign1 {
	struct bytes protected_header; /* contents of the protected bstr */
	struct bytes payload;
	struct bytes signature;
	struct bytes unprotected_kid; /* hint only; n = 0 where absent */
	int64_t alg;		      /* from the protected header, mandatory */
};

/* Tagged (18) only. Checks structure, unique labels over both headers, no `crit`, known alg, signature
 * length of that alg, end of input. */
MUST_USE outcome cose_parse(struct bytes in, struct cose_sign1 *out, struct fault *f);
/* REASON_COSE_ALG where key and alg disagree, REASON_SIGNATURE where it does not verify. */
MUST_USE outcome cose_verify(const struct cose_sign1 *c, EVP_PKEY *key, struct fault *f);
/* The same, with the key behind p256_known_verifier. */
MUST_USE outcome cose_verify_known(const struct cose_sign1 *c, EVP_PKEY_CTX *verifier, struct fault *f);
/* Appends the tagged COSE_Sign1; `protected_header` is an encoded map that already holds alg (label 1). */
MUST_USE outcome cose_sign(struct buf *out, struct bytes protected_header, struct bytes payload,
			   EVP_PKEY *key, struct fault *f);

#endif
