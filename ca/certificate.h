/*
 * certificate.h - writes the to-be-signed part of a certificate (RFC 5280 4.1.2) from a plan, straight as
 * DER: OpenSSL's builder costs ten times the signature on 3.0.
 */
#ifndef MOORING_CA_CERTIFICATE_H
#define MOORING_CA_CERTIFICATE_H

#include "issuer.h"
#include "profile.h"

enum { COMMON_NAME_MAX = 64, SAN_URI_MAX = 300, HOST_NAMES_MAX = 32 };

struct plan {
	const struct profile *profile;
	const struct issuer *issuer;
	uint8_t serial[SERIAL_SIZE]; /* unsigned, big-endian */
	int64_t not_before, not_after;
	struct bytes subject; /* Name, DER: certificate_name */
	struct bytes spki;
	const char *trust_domain;
	const char *uri;	  /* SAN */
	const char *const *hosts; /* DNS names and addresses as text, checked by certificate_check_host */
	size_t host_count;
};

/* Appends a Name: CN, and O where `organisation` is not NULL. REASON_BAD_FIELD beyond 64 characters. */
MUST_USE outcome certificate_name(const char *common_name, const char *organisation, struct buf *out,
				  struct fault *f);
/* "spiffe://<trust-domain>/<kind>/<name>"; without kind the trust domain alone. REASON_BAD_FIELD where it is
 * too long. */
MUST_USE outcome certificate_uri(const char *trust_domain, const char *kind, const char *name,
				 char out[SAN_URI_MAX], struct fault *f);
/* REASON_BAD_FIELD unless it is a DNS name (a leading "*." may be) or an IPv4 or IPv6 address. */
MUST_USE outcome certificate_check_host(const char *host, struct fault *f);
/* Sixteen random bytes of which the first is 01 to 7f: positive, and always of the same length. */
void certificate_random_serial(uint8_t out[SERIAL_SIZE]);

/* Appends the TBSCertificate. The same plan gives the same bytes. */
MUST_USE outcome certificate_tbs(const struct plan *p, struct buf *out, struct fault *f);
/* Builds, lints and signs: appends the certificate. For mooring-ca; the signer does each step by itself. */
MUST_USE outcome certificate_issue(const struct plan *p, struct issuer *issuer, int64_t now, struct buf *out,
				   struct fault *f);

#endif
