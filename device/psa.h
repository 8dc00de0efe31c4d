/*
 * psa.h - the normal world's view of the secure world: PSA functions by their own names.
 *
 * Each is one call over the socket. May be used from any thread; calls wait for each other.
 */
#ifndef MOORING_PSA_H
#define MOORING_PSA_H

#include "common/crypto/crypto.h"
#include "common/evidence/evidence.h"
#include "psa_protocol.h"
#include "psa_stage.h"

struct psa;

/* Takes over the socket, and waits for the greeting of the secure world: REASON_IO with its words where it
 * could not start. */
MUST_USE outcome psa_open(int fd, struct psa **out, struct fault *f);
void psa_close(struct psa *psa);

/* A persistent P-256 key that may sign SHA-256 hashes and nothing else. When it returns, the key is on disk.
 * PSA_ERROR_ALREADY_EXISTS: this id has one. */
MUST_USE enum psa_status psa_generate_key(struct psa *psa, uint32_t key);
/* The uncompressed point, SEC 1 2.3.3. PSA_ERROR_INVALID_HANDLE where there is no such key. */
MUST_USE enum psa_status psa_export_public_key(struct psa *psa, uint32_t key, uint8_t point[PSA_POINT_SIZE]);
/* ECDSA as r || s. */
MUST_USE enum psa_status psa_sign_hash(struct psa *psa, uint32_t key, const uint8_t hash[PSA_HASH_SIZE],
				       uint8_t signature[PSA_SIGNATURE_SIZE]);
MUST_USE enum psa_status psa_destroy_key(struct psa *psa, uint32_t key);
/* PSA attestation token whose nonce is the challenge, signed by the RoT key. Appends it. */
MUST_USE enum psa_status
psa_initial_attest_get_token(struct psa *psa, const uint8_t challenge[PSA_CHALLENGE_SIZE], struct buf *token);
/* The CSR as payload of a COSE_Sign1 by the RoT key, with the challenge as nonce. PSA_ERROR_NOT_PERMITTED
 * unless the CSR is for a key of this secure world. Appends it. */
MUST_USE enum psa_status psa_cose_sign_csr(struct psa *psa, const uint8_t challenge[PSA_CHALLENGE_SIZE],
					   struct bytes csr, struct buf *evidence);

/* Who this Root of Trust is: the instance ID that its tokens carry, and its public key as X || Y. */
MUST_USE enum psa_status psa_rot_identity(struct psa *psa, uint8_t instance_id[INSTANCE_ID_SIZE],
					  uint8_t key[P256_POINT_SIZE]);
/* The RoT key's signature for a stage of the device's making, over a digest that the secure world composes. */
MUST_USE enum psa_status psa_stage_countersign(struct psa *psa, const struct psa_stage *stage,
					       uint8_t signature[PSA_SIGNATURE_SIZE]);

/* SubjectPublicKeyInfo of a key (91 bytes for P-256). */
MUST_USE outcome psa_key_spki(struct psa *psa, uint32_t key, uint8_t spki[SPKI_MAX], size_t *n,
			      struct fault *f);
/* The DER form of psa_sign_hash's signature. */
MUST_USE outcome psa_sign_hash_der(struct psa *psa, uint32_t key, const uint8_t hash[PSA_HASH_SIZE],
				   struct buf *der, struct fault *f);
/* Refuses with the name of call and status. */
outcome psa_fault(struct fault *f, const char *call, enum psa_status status);

#endif
