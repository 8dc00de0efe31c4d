/*
 * secure_rot.h - the Root of Trust of one device: its key, its identity, and what the key signs.
 *
 * DIR/secure/rot.key and DIR/secure/identity.json, as the factory injected them:
 *   {"instance_id": hex of 33 bytes, "implementation_id": hex of 32, "software_signer": hex of 32, ...}
 */
#ifndef MOORING_SECURE_ROT_H
#define MOORING_SECURE_ROT_H

#include "common/crypto/crypto.h"
#include "common/evidence/evidence.h"
#include "psa_protocol.h"
#include "secure_keys.h"

struct secure_rot {
	EVP_PKEY *key;
	struct psa_claims claims; /* all but the nonce; the views are into the members below */
	uint8_t measurement[SHA256_SIZE];
	uint8_t signer[SHA256_SIZE];
};

/* `measurement` is that of the software that was started, taken before anything else ran. Makes this boot's
 * seed. */
MUST_USE outcome secure_rot_open(struct secure_rot *rot, const char *folder,
				 const uint8_t measurement[SHA256_SIZE], struct fault *f);
void secure_rot_close(struct secure_rot *rot);

/* Append the signed evidence. */
MUST_USE enum psa_status secure_rot_token(struct secure_rot *rot, struct bytes challenge, struct buf *token);
MUST_USE enum psa_status secure_rot_sign_csr(const struct secure_rot *rot, const struct secure_keys *keys,
					     struct bytes challenge, struct bytes csr, struct buf *evidence);
/* Appends instance ID and public key: PSA_ROT_IDENTITY_SIZE bytes. */
MUST_USE enum psa_status secure_rot_identity(const struct secure_rot *rot, struct buf *out);
/* Appends the countersignature for a stage; PSA_ERROR_INVALID_ARGUMENT where `stage` is none (psa_stage.h). */
MUST_USE enum psa_status secure_rot_countersign(const struct secure_rot *rot, struct bytes stage,
						struct buf *signature);

#endif
