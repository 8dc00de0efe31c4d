/*
 * csr.h - certificate signing requests (PKCS#10, RFC 2986) from outside.
 *
 * Read by own strict DER reading, since OpenSSL 3.0's decoders cost more than the verification. The
 * subject and requested extensions are never copied into a certificate.
 */
#ifndef MOORING_CSR_H
#define MOORING_CSR_H

#include "common/bytes.h"
#include "crypto.h"

enum { CSR_MAX = 4096 };

/* Views into the DER, which must outlive it. */
struct csr {
	struct bytes der;
	struct bytes tbs;
	struct bytes subject;
	struct bytes spki;
	uint8_t spki_sha256[SHA256_SIZE];
	int key_bits; /* 256, 384 or 521; 0 where it could not be read */
};

/* Structure, key policy (P-256, P-384, P-521; nothing else), signature algorithm (ECDSA with SHA-256/384/512),
 * self-signature (RFC 2986 4.2), at most one attribute of a type, all bytes consumed, key not a
 * published test key unless `allow_test_keys`. */
MUST_USE outcome csr_parse(struct bytes der, bool allow_test_keys, struct csr *out, struct fault *f);

/* Makes a CSR: subject CN, P-256 key elsewhere. First the CertificationRequestInfo to sign, then the whole. */
MUST_USE outcome csr_build_info(const char *common_name, struct bytes spki, struct buf *info,
				struct fault *f);
MUST_USE outcome csr_build(struct bytes info, struct bytes signature_der, struct buf *out, struct fault *f);

#endif
