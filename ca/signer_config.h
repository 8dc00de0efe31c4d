/*
 * signer_config.h - signer.yaml, and the keys and certificates that it names, loaded and checked.
 */
#ifndef MOORING_CA_SIGNER_CONFIG_H
#define MOORING_CA_SIGNER_CONFIG_H

#include "issuer.h"
#include "common/config/config_common.h"

struct signer_config {
	char *socket, *state_dir;
	struct config_strings peer_uids;
	char *issuer_key, *issuer_cert, *unattested_key, *unattested_cert;
	int64_t unattested_per_minute;
	struct config_issuing issuing;
	int64_t max_lifetime_s;
	struct config_process process;
};

MUST_USE outcome signer_config_load(const char *path, struct signer_config *c, struct fault *f);
void signer_config_free(struct signer_config *c);
/* Caller frees; NULL when out of memory. */
char *signer_config_print(const struct signer_config *c);

struct signer_keys {
	struct issuer device, unattested; /* unattested.key is NULL where that profile is off */
	EVP_PKEY **ear_keys;
	size_t ear_key_count;
	uint8_t salt[SALT_SIZE];
};

/* Loads what the configuration names; refuses an issuing
 * certificate that has expired, warns 30 days before. */
MUST_USE outcome signer_keys_load(const struct signer_config *c, int64_t now, struct signer_keys *out,
				  struct fault *f);
void signer_keys_free(struct signer_keys *k);

#endif
