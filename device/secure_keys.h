/*
 * secure_keys.h - the secure world's own key storage: one PKCS#8 file a key, "device-<id>.key" in DIR/secure.
 */
#ifndef MOORING_SECURE_KEYS_H
#define MOORING_SECURE_KEYS_H

#include "common/crypto/crypto.h"
#include "psa_protocol.h"

enum { SECURE_KEYS_MAX = 4 };

struct secure_keys {
	char folder[3072];
	struct {
		uint32_t id; /* 0 = free */
		EVP_PKEY *key;
	} slots[SECURE_KEYS_MAX];
};

/* Loads every key, and removes what a power cut left half written. */
MUST_USE outcome secure_keys_open(struct secure_keys *keys, const char *folder, struct fault *f);
void secure_keys_close(struct secure_keys *keys);

/* On disk when it returns PSA_SUCCESS. */
MUST_USE enum psa_status secure_keys_generate(struct secure_keys *keys, uint32_t id);
MUST_USE enum psa_status secure_keys_destroy(struct secure_keys *keys, uint32_t id);
/* NULL where there is none; owned by `keys`. */
EVP_PKEY *secure_keys_find(const struct secure_keys *keys, uint32_t id);
/* Whether this public key is of a key kept here. */
bool secure_keys_hold(const struct secure_keys *keys, struct bytes spki);

#endif
