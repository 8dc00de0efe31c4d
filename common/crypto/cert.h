/*
 * cert.h - X.509 certificates (RFC 5280) as the relying side sees them: names, dates, fingerprints, chain.
 */
#ifndef MOORING_CERT_H
#define MOORING_CERT_H

#include "crypto.h"
#include "common/evidence/evidence.h"

#include <openssl/x509.h>

enum {
	CERT_ISSUERS_MAX = 4,
	FINGERPRINT_SIZE = 32,
	SERIAL_SIZE = 16,
	THING_NAME_SIZE = 25,
	CERT_DER_MAX = 8192
};

/* AWS's certificateId is the lower-case hex of this: SHA-256 of the DER. */
void cert_fingerprint(struct bytes der, uint8_t out[FINGERPRINT_SIZE]);
/* Default thing name: lower-case base32 of the first 15 bytes of SHA-256("mooring-thing/1" || salt ||
 * instance ID). */
void cert_thing_name(struct bytes salt, const uint8_t instance_id[INSTANCE_ID_SIZE],
		     char out[THING_NAME_SIZE]);

/* PEM or DER, exactly one certificate; caller X509_free. */
X509 *cert_from_der(struct bytes der);
X509 *cert_from_pem(struct bytes pem);
MUST_USE outcome cert_load_pem(const char *path, X509 **out, struct fault *f);
/* One to `room` certificates one after the other, such as a leaf and its issuer; the caller frees each of the *count. */
MUST_USE outcome cert_load_pems(const char *path, X509 **out, size_t room, size_t *count, struct fault *f);
/* Appends PEM. */
MUST_USE bool cert_to_pem(struct bytes der, struct buf *out);
/* Whole encoding; caller frees (buf_free). */
MUST_USE bool cert_to_der(X509 *cert, struct buf *out);

/* SHA-256 of the SubjectPublicKeyInfo; false without memory. */
MUST_USE bool cert_spki_sha256(X509 *cert, uint8_t out[SHA256_SIZE]);
/* Common name into `out`; false where there is none, more than one, or it does not fit. */
MUST_USE bool cert_common_name(X509 *cert, char *out, size_t room);
/* The one URI among the subject alternative names; false where there is none, more than one, or it does not fit. */
MUST_USE bool cert_uri(X509 *cert, char *out, size_t room);
void cert_dates(X509 *cert, int64_t *not_before, int64_t *not_after);
/* `leaf` was issued by `issuer` (names, key identifiers, signature), is within its dates at `now`, is no CA
 * and has `purpose` (NID_client_auth / NID_server_auth) among its extended key usages.
 * REASON_CERTIFICATE_EXPIRED where it has expired, REASON_PEER_CERTIFICATE for every other cause. */
MUST_USE outcome cert_verify(X509 *leaf, X509 *issuer, int64_t now, int purpose, struct fault *f);

/* The CAs of one purpose: more than one while one takes the place of another. The first is the one of today. */
struct cert_issuers {
	X509 *certs[CERT_ISSUERS_MAX];
	size_t count;
};
/* A file with one certificate, or some of them one after the other. */
MUST_USE outcome cert_issuers_load(const char *path, struct cert_issuers *out, struct fault *f);
void cert_issuers_free(struct cert_issuers *i);
/* Which of them names itself as the issuer of `leaf`, by name and key identifier; 0 where none does. */
size_t cert_issuer_of(const struct cert_issuers *i, X509 *leaf);
/* cert_verify with one of them. */
MUST_USE outcome cert_verify_any(X509 *leaf, const struct cert_issuers *issuers, int64_t now, int purpose,
				 struct fault *f);

#endif
