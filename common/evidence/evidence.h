/*
 * evidence.h - attestation evidence (RFC 9334): PSA attestation tokens (RFC 9783, and the two encodings
 * before it) and COSE-signed CSRs. Parsed by the gateway before it asks anyone, appraised by the
 * attestation service with the same parser, printed by `mooringctl evidence check`.
 */
#ifndef MOORING_EVIDENCE_H
#define MOORING_EVIDENCE_H

#include "common/cbor/cose.h"
#include "binding.h"

enum { EVIDENCE_MAX = 4096, INSTANCE_ID_SIZE = 33, INSTANCE_ID_HEX = 67, SW_COMPONENTS_MAX = 16 };

enum evidence_type { EVIDENCE_PSA_TOKEN = 1, EVIDENCE_COSE_CSR = 2 };
enum evidence_profile { PROFILE_NONE, PROFILE_PSA_IOT_1, PROFILE_PSA_2_0_0, PROFILE_TFM_2023 };

struct sw_component {
	struct bytes type, value, version, signer, description; /* views; n = 0 where absent */
};

/* Views into the evidence, which must outlive it. */
struct evidence {
	enum evidence_type type;
	struct cose_sign1 cose;
	uint8_t instance_id[INSTANCE_ID_SIZE]; /* UEID: 01 || 32 bytes */
	struct bytes nonce;		       /* the nonce claim: B */
	/* psa-token only */
	enum evidence_profile profile;
	uint8_t implementation_id[32];
	int64_t client_id;
	uint16_t lifecycle;
	struct bytes boot_seed;
	struct sw_component components[SW_COMPONENTS_MAX];
	size_t component_count;
};

/* "psa-token" / "cose-csr" and back; 0 where unknown. */
const char *evidence_type_name(enum evidence_type type);
enum evidence_type evidence_type_find(const char *name);
/* Media types of the challenge-response API: application/psa-attestation-token and
 * application/vnd.mooring.cose-csr+cose (also the long PSA forms on input). */
const char *evidence_media_type(enum evidence_type type);
enum evidence_type evidence_type_of_media(const char *media_type);
const char *evidence_profile_name(enum evidence_profile profile);

/* Format and claim rules, no keys: everything that can be refused without knowing the device. Life cycle
 * 0x3000-0x30ff only. */
MUST_USE outcome evidence_parse(enum evidence_type type, struct bytes in, struct evidence *out,
				struct fault *f);
/* The nonce claim equals B in constant time; for cose-csr the payload is the CSR, byte for byte. */
MUST_USE outcome evidence_check_binding(const struct evidence *e, const uint8_t b[BINDING_SIZE],
					struct bytes csr, struct fault *f);
/* The signature under the RoT public key (a SubjectPublicKeyInfo), and the key not a published test key unless
 * allowed. */
MUST_USE outcome evidence_verify(const struct evidence *e, struct bytes rot_spki, bool allow_test_keys,
				 struct fault *f);

/* Published test keys: TF-M's dummy IAK and those of the test vectors, by SHA-256 of the SPKI. */
bool evidence_is_test_key(const uint8_t spki_sha256[SHA256_SIZE]);
/* The instance ID is one that TF-M derives from such a key, in either derivation. */
bool evidence_is_test_instance(const uint8_t instance_id[INSTANCE_ID_SIZE]);
/* REASON_CSR_KEY_IS_ROT where the instance ID is derived from the key to certify, in either of TF-M's
 * derivations. */
MUST_USE outcome evidence_check_key_not_rot(const uint8_t instance_id[INSTANCE_ID_SIZE],
					    struct bytes csr_spki, struct fault *f);

/* Instance ID of a key: 01 || SHA-256(COSE_Key) as TF-M since 2.2 makes it. */
MUST_USE bool evidence_instance_id(EVP_PKEY *rot, uint8_t out[INSTANCE_ID_SIZE]);
/* 01 || SHA-256(04 || X || Y), as TF-M before 2.2 made it. */
MUST_USE bool evidence_instance_id_old(EVP_PKEY *rot, uint8_t out[INSTANCE_ID_SIZE]);

/* Device side: the protected header and payload of what the RoT key signs. */
void evidence_build_cose_csr_header(struct buf *protected_header, const uint8_t instance_id[INSTANCE_ID_SIZE],
				    const uint8_t b[BINDING_SIZE]);
struct psa_claims {
	uint8_t instance_id[INSTANCE_ID_SIZE];
	uint8_t implementation_id[32];
	uint8_t nonce[BINDING_SIZE];
	int64_t client_id;
	uint16_t lifecycle;
	uint8_t boot_seed[32];
	struct sw_component components[SW_COMPONENTS_MAX];
	size_t component_count;
};
/* Claims of the 2023 TF-M profile, as a payload to sign. */
void evidence_build_psa_payload(struct buf *payload, const struct psa_claims *claims);

#endif
