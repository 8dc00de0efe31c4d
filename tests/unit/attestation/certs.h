/*
 * certs.h - a service CA and the certificates that it issues, for tests.
 */
#ifndef MOORING_TEST_CERTS_H
#define MOORING_TEST_CERTS_H

#include "common/crypto/crypto.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct authority {
	EVP_PKEY *key;
	X509 *cert;
	struct buf pem;
};

/* What a certificate says; NULL extensions are left out. */
struct cert_form {
	const char *san, *purpose, *basic;
	long from_s, to_s; /* from now */
};

static inline struct buf cert_pem(X509 *cert)
{
	struct buf out = {0};
	char *text;
	BIO *bio = BIO_new(BIO_s_mem());
	if (PEM_write_bio_X509(bio, cert) != 1)
		abort();
	long n = BIO_get_mem_data(bio, &text);
	buf_add(&out, text, (size_t)n);
	BIO_free(bio);
	return out;
}

static inline void cert_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!e || X509_add_ext(cert, e, -1) != 1)
		abort();
	X509_EXTENSION_free(e);
}

/* `issuer` NULL: self-signed with `key`. */
static inline X509 *cert_make(const char *name, EVP_PKEY *key, const struct authority *issuer,
			      const struct cert_form *form)
{
	static long serial;
	X509 *cert = X509_new();
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), form->from_s);
	X509_gmtime_adj(X509_getm_notAfter(cert), form->to_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_pubkey(cert, key);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer->cert : cert));
	X509 *by = issuer ? issuer->cert : cert;
	cert_extend(cert, by, NID_basic_constraints, form->basic);
	cert_extend(cert, by, NID_key_usage, issuer ? "critical,digitalSignature" : "critical,keyCertSign");
	cert_extend(cert, by, NID_ext_key_usage, form->purpose);
	cert_extend(cert, by, NID_subject_key_identifier, "hash");
	cert_extend(cert, by, NID_authority_key_identifier, issuer ? "keyid:always" : NULL);
	cert_extend(cert, by, NID_subject_alt_name, form->san);
	if (!X509_sign(cert, issuer ? issuer->key : key, EVP_sha256()))
		abort();
	return cert;
}

static inline struct authority authority_make(const char *name)
{
	const struct cert_form form = {.basic = "critical,CA:TRUE", .from_s = -3600, .to_s = 86400};
	struct authority a = {.key = p256_key_generate()};
	a.cert = cert_make(name, a.key, NULL, &form);
	a.pem = cert_pem(a.cert);
	return a;
}

static inline void authority_free(struct authority *a)
{
	EVP_PKEY_free(a->key);
	X509_free(a->cert);
	buf_free(&a->pem);
}

static const struct cert_form gateway_form = {.san = "URI:spiffe://example.com/service/gateway/gateway-1",
					      .purpose = "clientAuth",
					      .basic = "critical,CA:FALSE",
					      .from_s = -3600,
					      .to_s = 3600};

/* PEM of a leaf of this form; caller buf_free. */
static inline struct buf leaf_pem(const struct authority *issuer, const struct cert_form *form)
{
	EVP_PKEY *key = p256_key_generate();
	X509 *cert = cert_make("gateway-1", key, issuer, form);
	struct buf pem = cert_pem(cert);
	X509_free(cert);
	EVP_PKEY_free(key);
	return pem;
}

#endif
