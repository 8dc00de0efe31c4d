/*
 * crypto_internal.h - what the files behind crypto.h share: a thread's library context, the curves.
 */
#ifndef MOORING_CRYPTO_INTERNAL_H
#define MOORING_CRYPTO_INTERNAL_H

#include "crypto.h"

#include <openssl/ec.h>

enum { EC_CURVES = 3, KNOWN_SETS = 32, KNOWN_WAYS = 4 };

/* A key that signs again and again, and what verifies with it. */
struct known_key {
	uint8_t point[P256_POINT_SIZE];
	EVP_PKEY_CTX *verifier; /* NULL: no key yet */
};

/* What a thread keeps: its library context, and what was fetched from it. */
struct thread_crypto {
	OSSL_LIB_CTX *ctx;
	EVP_PKEY_CTX *p256;	   /* of key generation: setting one up costs more than the key */
	EVP_MD *digest[EC_CURVES]; /* SHA-256, SHA-384, SHA-512 */
	EVP_MD_CTX *md;
	EVP_PKEY *blank[EC_CURVES]; /* of each curve, made when first needed: see key_from_point */
	EVP_PKEY *lent[EC_CURVES];  /* the same: see ec_key_borrow */
	EC_GROUP *group[EC_CURVES]; /* the same: see ec_spki_on_curve */
	struct known_key
		known[KNOWN_SETS]
		     [KNOWN_WAYS]; /* a key's set is its point's last byte's: see p256_known_verifier */
	size_t known_turn;	   /* which way of its set is given up next */
};

/* The calling thread's; made when first asked for. Aborts without memory. */
struct thread_crypto *crypto_thread(void);

struct curve {
	const char *group; /* as OpenSSL names it */
	int nid;
	int bits;
	size_t field;	    /* bytes of a coordinate */
	unsigned digest;    /* the one that goes with it: a place in thread_crypto.digest */
	uint8_t prefix[27]; /* DER of a SubjectPublicKeyInfo before the coordinates */
	size_t prefix_size;
};

extern const struct curve ec_curves[EC_CURVES];
/* NULL where it is none of them. By the key's width alone, which OpenSSL tells at no price: for keys that
 * were checked when they were read. */
const struct curve *ec_curve_of_width(EVP_PKEY *key);

#endif
