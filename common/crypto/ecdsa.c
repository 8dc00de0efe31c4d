#include "crypto_internal.h"

#include <openssl/err.h>

size_t ecdsa_raw_to_der(struct bytes raw, uint8_t *der, size_t room)
{
	size_t half = raw.n / 2;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw.p, (int)half, NULL), *s = BN_bin2bn(raw.p + half, (int)half, NULL);
	int n = 0;
	if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL;
		n = i2d_ECDSA_SIG(sig, NULL);
		if (n > 0 && (size_t)n <= room)
			n = i2d_ECDSA_SIG(sig, &der);
		else
			n = 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return n > 0 ? (size_t)n : 0;
}

bool ecdsa_der_to_raw(struct bytes der, size_t field, uint8_t *raw)
{
	const uint8_t *p = der.p;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der.n);
	bool ok = sig && p == der.p + der.n && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)field) > 0 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + field, (int)field) > 0;
	ECDSA_SIG_free(sig);
	ERR_clear_error();
	return ok;
}

/* Hashed apart from verifying and signing: EVP_DigestVerify would fetch the digest by its name each time. */
static unsigned hash_message(unsigned digest, struct bytes message, uint8_t out[EVP_MAX_MD_SIZE])
{
	struct thread_crypto *t = crypto_thread();
	unsigned size = 0;
	bool ok = EVP_DigestInit_ex2(t->md, t->digest[digest], NULL) == 1 &&
		  EVP_DigestUpdate(t->md, message.p, message.n) == 1 &&
		  EVP_DigestFinal_ex(t->md, out, &size) == 1;
	return ok ? size : 0;
}

static bool verify_der(EVP_PKEY *key, unsigned digest, struct bytes message, const uint8_t *der, size_t n)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned size = hash_message(digest, message, hash);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(crypto_ctx(), key, NULL);
	bool ok = ctx && size && EVP_PKEY_verify_init(ctx) == 1 &&
		  EVP_PKEY_verify(ctx, der, n, hash, size) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool ecdsa_verify_raw(EVP_PKEY *key, struct bytes message, struct bytes signature)
{
	const struct curve *c = ec_curve_of_width(key);
	uint8_t der[ECDSA_SIGNATURE_MAX + 16];
	if (!c || signature.n != 2 * c->field)
		return false;
	size_t n = ecdsa_raw_to_der(signature, der, sizeof der);
	return n && verify_der(key, c->digest, message, der, n);
}

bool p256_verify_known(EVP_PKEY_CTX *verifier, struct bytes message, struct bytes signature)
{
	uint8_t der[ECDSA_SIGNATURE_MAX], hash[SHA256_SIZE];
	size_t n = signature.n == P256_SIGNATURE_SIZE ? ecdsa_raw_to_der(signature, der, sizeof der) : 0;
	sha256(message, hash);
	bool ok = n && EVP_PKEY_verify(verifier, der, n, hash, sizeof hash) == 1;
	ERR_clear_error();
	return ok;
}

bool ecdsa_verify_der(EVP_PKEY *key, int digest_bits, struct bytes message, struct bytes signature)
{
	unsigned digest = digest_bits == 256 ? 0 : digest_bits == 384 ? 1 : 2;
	return verify_der(key, digest, message, signature.p, signature.n);
}

static size_t sign_hash(EVP_PKEY *key, struct bytes hash, uint8_t *out, size_t room)
{
	size_t n = room;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(crypto_ctx(), key, NULL);
	bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, out, &n, hash.p, hash.n) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok ? n : 0;
}

size_t ecdsa_sign_raw(EVP_PKEY *key, struct bytes message, uint8_t out[ECDSA_SIGNATURE_MAX])
{
	const struct curve *c = ec_curve_of_width(key);
	uint8_t der[ECDSA_SIGNATURE_MAX + 16], hash[EVP_MAX_MD_SIZE];
	unsigned size = c ? hash_message(c->digest, message, hash) : 0;
	size_t n = size ? sign_hash(key, bytes_of(hash, size), der, sizeof der) : 0;
	return n && ecdsa_der_to_raw(bytes_of(der, n), c->field, out) ? 2 * c->field : 0;
}

size_t ecdsa_sign_digest_der(EVP_PKEY *key, const uint8_t digest[SHA256_SIZE], uint8_t *out, size_t room)
{
	return sign_hash(key, bytes_of(digest, SHA256_SIZE), out, room);
}
