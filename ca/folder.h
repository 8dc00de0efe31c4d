/*
 * folder.h - the files that mooring-ca keeps: root, issuing CAs, salt.
 */
#ifndef MOORING_CA_FOLDER_H
#define MOORING_CA_FOLDER_H

#include "certificate.h"

#include <limits.h>

/* "DIR/NAME"; REASON_BAD_FIELD where it is too long. */
MUST_USE outcome folder_path(const char *dir, const char *name, char out[PATH_MAX], struct fault *f);
/* REASON_CONFLICT when the path exists: nothing is ever overwritten. */
MUST_USE outcome folder_must_be_new(const char *path, struct fault *f);

/* PREFIX with `suffix`; REASON_CONFLICT when it exists. */
MUST_USE outcome folder_new_file(const char *prefix, const char *suffix, char out[PATH_MAX], struct fault *f);

/* The key, and a PEM file of its certificate, followed by the issuer's where `issuer` is not NULL: what
 * servers and clients send. Both files or none. */
MUST_USE outcome folder_save_pair(const char *key_path, EVP_PKEY *key, const char *cert_path,
				  struct bytes leaf, X509 *issuer, struct fault *f);
/* The trust domain that a CA's certificate names (SAN URI spiffe://<trust-domain>). */
MUST_USE outcome folder_trust_domain(X509 *ca, char out[TRUST_DOMAIN_MAX + 1], struct fault *f);
/* Organisation of a CA's subject. */
MUST_USE outcome folder_organisation(X509 *ca, char out[COMMON_NAME_MAX + 1], struct fault *f);

/* A new P-256 key and its SubjectPublicKeyInfo. Caller EVP_PKEY_free. */
MUST_USE outcome folder_new_key(EVP_PKEY **key, uint8_t spki[SPKI_MAX], size_t *spki_size, struct fault *f);

/* Makes an issuing CA "device", "unattested" or "service": PREFIX.key, PREFIX.pem. Valid for its profile's
 * lifetime, but not beyond the root. */
MUST_USE outcome folder_make_issuing(const char *kind, struct issuer *root, const char *organisation,
				     const char *trust_domain, const char *prefix, int64_t now,
				     struct fault *f);

#endif
