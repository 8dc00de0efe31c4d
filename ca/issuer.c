#include "issuer.h"

#include "common/crypto/der.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* By the issuing key's curve (RFC 5758 3.2). */
static const struct {
	int bits;
	const char *digest;
	uint8_t identifier[SIGNATURE_ALGORITHM_MAX];
} algorithms[] = {
	{256, "SHA256", {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}},
	{384, "SHA384", {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}},
	{521, "SHA512", {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}},
};

bool issuer_key_id(struct bytes spki, uint8_t out[KEY_ID_SIZE])
{
	struct der_item item;
	struct bytes in = spki, bits;
	uint8_t hash[SHA256_SIZE];
	if (!der_take(&in, DER_SEQUENCE, &item) || in.n)
		return false;
	in = item.contents;
	if (!der_take(&in, DER_SEQUENCE, &item) || !der_next(&in, &item) || in.n || !der_bits(&item, &bits))
		return false;
	sha256(bits, hash);
	memcpy(out, hash, KEY_ID_SIZE);
	return true;
}

static outcome prepare(struct issuer *i, struct fault *f)
{
	int bits = ec_key_bits(i->key);
	for (size_t n = 0; n < sizeof algorithms / sizeof *algorithms; n++)
		if (algorithms[n].bits == bits) {
			i->algorithm = bytes_of(algorithms[n].identifier, sizeof algorithms[n].identifier);
			i->digest = EVP_MD_fetch(crypto_ctx(), algorithms[n].digest, NULL);
		}
	if (!i->digest)
		return refuse(f, REASON_CRYPTO, "the issuing key is not of P-256, P-384 or P-521");
	i->signing = EVP_PKEY_CTX_new_from_pkey(crypto_ctx(), i->key, NULL);
	if (!i->signing || EVP_PKEY_sign_init(i->signing) != 1)
		return crypto_fault(f, "issuing key");
	return DONE;
}

static outcome sign(struct issuer *i, struct bytes tbs, uint8_t *out, size_t *n, struct fault *f)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned digest_size;
	if (EVP_Digest(tbs.p, tbs.n, digest, &digest_size, i->digest, NULL) != 1 ||
	    EVP_PKEY_sign(i->signing, out, n, digest, digest_size) != 1)
		return crypto_fault(f, "issuing key: sign");
	return DONE;
}

/* The certificate's public key verifies what the key signs: also tells whether a hardware key works at all. */
static outcome check_pair(struct issuer *i, X509 *cert, struct fault *f)
{
	static const char probe[] = "mooring: is this the key of this certificate?";
	uint8_t signature[ECDSA_SIGNATURE_MAX + 16], digest[EVP_MAX_MD_SIZE];
	size_t n = sizeof signature;
	unsigned digest_size;
	outcome o = sign(i, bytes_str(probe), signature, &n, f);
	if (!o.ok)
		return o;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(crypto_ctx(), X509_get0_pubkey(cert), NULL);
	bool pair = ctx && EVP_Digest(probe, sizeof probe - 1, digest, &digest_size, i->digest, NULL) == 1 &&
		    EVP_PKEY_verify_init(ctx) == 1 &&
		    EVP_PKEY_verify(ctx, signature, n, digest, digest_size) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return pair ? DONE
		    : refuse(f, REASON_CONFIG, "the issuing key is not the key of the issuing certificate");
}

static outcome read_cert(struct issuer *i, X509 *cert, struct fault *f)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(cert);
	uint8_t *name = NULL;
	int n = i2d_X509_NAME(X509_get_subject_name(cert), &name);
	if (n > 0)
		buf_add(&i->subject, name, (size_t)n);
	OPENSSL_free(name);
	cert_dates(cert, &i->not_before, &i->not_after);
	if (X509_check_ca(cert) != 1 || !(X509_get_key_usage(cert) & KU_KEY_CERT_SIGN))
		return refuse(f, REASON_CONFIG,
			      "RFC 5280 4.2.1.3: the issuing certificate may not sign certificates");
	if (!id || ASN1_STRING_length(id) < 1 || ASN1_STRING_length(id) > KEY_ID_MAX)
		return refuse(f, REASON_CONFIG,
			      "RFC 5280 4.2.1.2: the issuing certificate has no subject key identifier");
	i->key_id_size = (size_t)ASN1_STRING_length(id);
	memcpy(i->key_id, ASN1_STRING_get0_data(id), i->key_id_size);
	return i->subject.n && !i->subject.failed ? DONE
						  : refuse(f, REASON_NO_MEMORY, "no memory for a name");
}

outcome issuer_make(EVP_PKEY *key, X509 *cert, struct issuer *out, struct fault *f)
{
	*out = (struct issuer){.key = key};
	outcome o = read_cert(out, cert, f);
	if (o.ok)
		o = prepare(out, f);
	if (o.ok)
		o = check_pair(out, cert, f);
	if (!o.ok)
		issuer_free(out);
	return o;
}

outcome issuer_load(const char *key_uri, const char *cert_path, struct issuer *out, struct fault *f)
{
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	*out = (struct issuer){0};
	outcome o = cert_load_pem(cert_path, &cert, f);
	if (o.ok)
		o = key_load_uri(key_uri, &key, f);
	if (o.ok)
		o = issuer_make(key, cert, out, f);
	X509_free(cert);
	return o;
}

outcome issuer_make_root(EVP_PKEY *key, struct bytes subject, int64_t not_before, int64_t not_after,
			 struct issuer *out, struct fault *f)
{
	uint8_t spki[SPKI_MAX];
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	*out = (struct issuer){
		.key = key, .key_id_size = KEY_ID_SIZE, .not_before = not_before, .not_after = not_after};
	buf_bytes(&out->subject, subject);
	outcome o = out->subject.failed || !issuer_key_id(bytes_of(spki, n), out->key_id)
			    ? refuse(f, REASON_CRYPTO, "the root key is not of P-256, P-384 or P-521")
			    : prepare(out, f);
	if (!o.ok)
		issuer_free(out);
	return o;
}

void issuer_free(struct issuer *i)
{
	EVP_PKEY_CTX_free(i->signing);
	EVP_MD_free(i->digest);
	EVP_PKEY_free(i->key);
	buf_free(&i->subject);
	*i = (struct issuer){0};
}

outcome issuer_sign(struct issuer *i, struct lint_approval *a, struct buf *certificate, struct fault *f)
{
	uint8_t bits[ECDSA_SIGNATURE_MAX + 17] = {0}; /* the first byte: no unused bits */
	size_t n = sizeof bits - 1, start = certificate->n;
	struct bytes tbs;
	if (!lint_approval_spend(a, i, &tbs))
		return refuse(f, REASON_SIGNER_LINT,
			      "an approval signs once, for the issuer it was made for");
	outcome o = sign(i, tbs, bits + 1, &n, f);
	if (!o.ok)
		return o;
	buf_bytes(certificate, tbs);
	buf_bytes(certificate, i->algorithm);
	der_put(certificate, DER_BIT_STRING, bytes_of(bits, n + 1));
	der_wrap(certificate, start, DER_SEQUENCE);
	return certificate->failed ? refuse(f, REASON_NO_MEMORY, "no memory for a certificate") : DONE;
}
