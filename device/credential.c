#include "credential.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static outcome read_chain(BIO *bio, struct credential *out, struct fault *f)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long n;
	while (PEM_read_bio(bio, &name, &header, &der, &n) == 1) {
		X509 *cert = !strcmp(name, PEM_STRING_X509) ? cert_from_der(bytes_of(der, (size_t)n)) : NULL;
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
		if (!cert)
			return refuse(f, REASON_PEER_ANSWER,
				      "RFC 7468 5: a block of the chain is not a certificate");
		if (!out->leaf) {
			out->leaf = cert;
		} else if (out->chain_count < CREDENTIAL_CHAIN_MAX) {
			out->chain[out->chain_count++] = cert;
		} else {
			X509_free(cert);
			return refuse(f, REASON_PEER_ANSWER, "the chain has more than %d certificates",
				      CREDENTIAL_CHAIN_MAX);
		}
	}
	ERR_clear_error();
	return out->leaf && out->chain_count
		       ? DONE
		       : refuse(f, REASON_PEER_ANSWER, "RFC 7468 5: no certificate, or none of its issuer");
}

static outcome check_signed_by(X509 *issuer, X509 *subject, struct fault *f)
{
	bool ok = X509_check_issued(issuer, subject) == X509_V_OK &&
		  X509_verify(subject, X509_get0_pubkey(issuer)) == 1;
	ERR_clear_error();
	return ok ? DONE
		  : refuse(f, REASON_PEER_ANSWER,
			   "RFC 5280 6.1.3: the chain does not lead to the pinned root");
}

static outcome check_chain(const struct credential *c, X509 *root, struct fault *f)
{
	/* At its own notBefore: a clock is another question. */
	outcome r = cert_verify(c->leaf, c->chain[0], c->not_before, NID_client_auth, f);
	if (!r.ok && f)
		f->reason = REASON_PEER_ANSWER;
	for (size_t i = 0; r.ok && i < c->chain_count; i++)
		r = check_signed_by(i + 1 < c->chain_count ? c->chain[i + 1] : root, c->chain[i], f);
	return r;
}

static outcome describe(struct credential *c, struct fault *f)
{
	struct buf der = {0};
	uint8_t fingerprint[FINGERPRINT_SIZE];
	bool ok = cert_to_der(c->leaf, &der);
	if (ok) {
		cert_fingerprint(buf_view(&der), fingerprint);
		hex_encode(bytes_of(fingerprint, sizeof fingerprint), c->certificate_id);
	}
	buf_free(&der);
	cert_dates(c->leaf, &c->not_before, &c->not_after);
	EVP_PKEY *key = X509_get0_pubkey(c->leaf);
	c->spki_size = key ? ec_key_to_spki(key, c->spki, sizeof c->spki) : 0;
	if (ok && c->spki_size && cert_common_name(c->leaf, c->thing, sizeof c->thing))
		return DONE;
	return refuse(f, REASON_PEER_ANSWER,
		      "RFC 5280 4.1.2: the certificate has no usable key or no common name");
}

outcome credential_parse(struct bytes pem, X509 *root, struct credential *out, struct fault *f)
{
	*out = (struct credential){0};
	BIO *bio = pem.n && pem.n <= CREDENTIAL_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	outcome r =
		bio ? read_chain(bio, out, f) : refuse(f, REASON_PEER_ANSWER, "no certificate, or too large");
	BIO_free(bio);
	if (r.ok)
		r = describe(out, f);
	if (r.ok)
		r = check_chain(out, root, f);
	if (!r.ok)
		credential_free(out);
	return r;
}

void credential_free(struct credential *c)
{
	X509_free(c->leaf);
	for (size_t i = 0; i < c->chain_count; i++)
		X509_free(c->chain[i]);
	*c = (struct credential){0};
}

bool credential_expired(const struct credential *c, int64_t now)
{
	return now >= c->not_after;
}
