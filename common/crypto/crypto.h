/*
 * crypto.h - the few cryptographic verbs that Mooring uses, over OpenSSL.
 *
 * Each thread has its own OSSL_LIB_CTX: OpenSSL 3.0's default context does not scale over threads.
 * Keys made here belong to the calling thread's context; EVP_PKEY itself may be shared read-only.
 * Public keys are built from parameters, never through OSSL_DECODER, which on OpenSSL 3.0 costs more
 * than the verification.
 */
#ifndef MOORING_CRYPTO_H
#define MOORING_CRYPTO_H

#include "common/bytes.h"

#include <openssl/evp.h>

enum {
	SHA256_SIZE = 32,
	P256_POINT_SIZE = 64,
	P256_SIGNATURE_SIZE = 64,
	ECDSA_SIGNATURE_MAX = 132,
	SPKI_MAX = 600
};

/* ---- crypto.c ---- */

/* The calling thread's library context; freed at thread exit. */
OSSL_LIB_CTX *crypto_ctx(void);
/* Makes what the calling thread needs for any of these verbs, which otherwise the first of them does, and that aborts
 * the process without memory: for a guest in another's process. REASON_NO_MEMORY. */
MUST_USE outcome crypto_ready(struct fault *f);
/* Frees it now, with all that OpenSSL keeps of secrets in it: for the main thread, which ends the process
 * instead of itself. Nothing made in it may be alive. */
void crypto_end(void);

/* CSPRNG; aborts the process if the operating system gives no randomness. */
void crypto_random(uint8_t *out, size_t n);
uint32_t crypto_random_u32(void);

void sha256(struct bytes in, uint8_t out[SHA256_SIZE]);
/* Of the concatenation of `count` parts. */
void sha256_parts(const struct bytes *parts, size_t count, uint8_t out[SHA256_SIZE]);
void hmac_sha256(struct bytes key, struct bytes in, uint8_t out[SHA256_SIZE]);

/* REASON_CRYPTO: `what` and OpenSSL's oldest queued error; clears the queue. */
outcome crypto_fault(struct fault *f, const char *what);

/* ---- ec_key.c ---- */

/* NIST curves P-256, P-384, P-521 only; NULL if the DER is anything else or the point is not on it.
 * `spki` is a DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7) with an uncompressed point. Caller frees. */
EVP_PKEY *ec_key_from_spki(struct bytes spki);
/* The same, for a moment and at a third of the price: the key is the calling thread's own and is another
 * one after the next call. Never freed by the caller. */
EVP_PKEY *ec_key_borrow(struct bytes spki);
/* The point, 04 || X || Y, within a SubjectPublicKeyInfo of one of the curves; empty where it is none.
 * Whether it is on the curve is not looked at. */
struct bytes ec_spki_point(struct bytes spki);
/* Whether ec_key_from_spki would take it, without making the key: for records that are stored and not used
 * yet. */
bool ec_spki_on_curve(struct bytes spki);
/* The public key with these coordinates; NULL where they are no point. Caller frees. */
EVP_PKEY *p256_key_from_point(const uint8_t x[32], const uint8_t y[32]);
/* For a public key, X || Y, that signs again and again: the calling thread keeps the last few, ready to verify with. NULL
 * where it is no point, or without memory. Never freed by the caller, and good until the next call. */
EVP_PKEY_CTX *p256_known_verifier(const uint8_t point[P256_POINT_SIZE]);
/* A new key pair; NULL on failure. Caller frees. */
EVP_PKEY *p256_key_generate(void);
/* Writes the uncompressed SPKI; returns its length, 0 if it does not fit or the key is not EC. */
size_t ec_key_to_spki(EVP_PKEY *key, uint8_t *out, size_t room);
/* Bits of the curve: 256, 384, 521; 0 for any other key. */
int ec_key_bits(EVP_PKEY *key);

/* ---- key_file.c ---- */

/* PEM files; path errors and wrong contents are REASON_IO / REASON_CRYPTO. Caller frees. */
MUST_USE outcome key_load_public_pem(const char *path, EVP_PKEY **out, struct fault *f);
MUST_USE outcome key_load_private_pem(const char *path, EVP_PKEY **out, struct fault *f);
/* PKCS#8 PEM, mode 0600, durable. */
MUST_USE outcome key_save_private_pem(const char *path, EVP_PKEY *key, struct fault *f);
/* SubjectPublicKeyInfo PEM, mode 0644, durable. */
MUST_USE outcome key_save_public_pem(const char *path, EVP_PKEY *key, struct fault *f);

/* ---- key_uri.c ---- */

/* A private key by its path, or by an OSSL_STORE URI (file:, pkcs11: where OpenSSL's provider for it is
 * installed). A key file that others can read is refused. Never prompts. Caller EVP_PKEY_free. */
MUST_USE outcome key_load_uri(const char *uri, EVP_PKEY **out, struct fault *f);

/* ---- ecdsa.c ---- */

/* ECDSA with the curve's digest (SHA-256/384/512) and raw r||s of fixed width (RFC 9053 2.1, RFC 7518 3.4). */
MUST_USE bool ecdsa_verify_raw(EVP_PKEY *key, struct bytes message, struct bytes signature);
/* The same, of P-256, with p256_known_verifier's. */
MUST_USE bool p256_verify_known(EVP_PKEY_CTX *verifier, struct bytes message, struct bytes signature);
/* DER signature (RFC 3279 2.2.3), digest of 256, 384 or 512 bits whatever the curve. */
MUST_USE bool ecdsa_verify_der(EVP_PKEY *key, int digest_bits, struct bytes message, struct bytes signature);
/* Returns the signature's length, 0 on failure. */
MUST_USE size_t ecdsa_sign_raw(EVP_PKEY *key, struct bytes message, uint8_t out[ECDSA_SIGNATURE_MAX]);
/* ECDSA over a digest already computed; DER signature (RFC 3279 2.2.3). */
MUST_USE size_t ecdsa_sign_digest_der(EVP_PKEY *key, const uint8_t digest[SHA256_SIZE], uint8_t *out,
				      size_t room);
/* Between the two forms. `field` is the width of r and of s; to_der returns the length, 0 where it does not
 * fit. */
MUST_USE size_t ecdsa_raw_to_der(struct bytes raw, uint8_t *der, size_t room);
MUST_USE bool ecdsa_der_to_raw(struct bytes der, size_t field, uint8_t *raw);

#endif
