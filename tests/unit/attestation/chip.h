/*
 * chip.h - devices for tests: a RoT key, a record, evidence.
 */
#ifndef MOORING_TEST_CHIP_H
#define MOORING_TEST_CHIP_H

#include "attestation/record.h"
#include "common/crypto/csr.h"
#include "common/evidence/evidence.h"

#include <stdlib.h>
#include <string.h>

struct chip {
	EVP_PKEY *rot, *key; /* root of trust; to be certified */
	struct record record;
	struct psa_claims claims; /* change them to make other evidence */
};

static inline struct chip chip_make(void)
{
	struct chip c = {.rot = p256_key_generate(), .key = p256_key_generate()};
	static const uint8_t measured[32] = {0x11}, signer[32] = {0x22};
	if (!evidence_instance_id(c.rot, c.record.instance_id))
		abort();
	c.record.has_implementation = true;
	memset(c.record.implementation_id, 0xa5, IMPLEMENTATION_ID_SIZE);
	c.record.public_key_size = ec_key_to_spki(c.rot, c.record.public_key, sizeof c.record.public_key);
	strcpy(c.record.batch, "B1");
	strcpy(c.record.model, "thermo-1");
	c.record.evidence = 1u << EVIDENCE_PSA_TOKEN | 1u << EVIDENCE_COSE_CSR;
	c.claims = (struct psa_claims){.client_id = -1, .lifecycle = 0x3000, .component_count = 1};
	memcpy(c.claims.instance_id, c.record.instance_id, INSTANCE_ID_SIZE);
	memcpy(c.claims.implementation_id, c.record.implementation_id, IMPLEMENTATION_ID_SIZE);
	c.claims.components[0] = (struct sw_component){.value = {measured, 32}, .signer = {signer, 32}};
	return c;
}

static inline void chip_free(struct chip *c)
{
	EVP_PKEY_free(c->rot);
	EVP_PKEY_free(c->key);
}

/* One line of an import, without a newline; caller frees. */
static inline char *chip_line(const struct chip *c)
{
	json_t *o = record_json(&c->record);
	json_object_del(o, "state");
	json_object_del(o, "created");
	char *line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return line;
}

/* A token of the 2023 profile, signed by `signer`; caller buf_free. */
static inline struct buf chip_psa(struct chip *c, const uint8_t nonce[BINDING_SIZE], EVP_PKEY *signer)
{
	static const uint8_t es256[] = {0xa1, 0x01, 0x26};
	struct buf payload = {0}, out = {0};
	struct fault f;
	memcpy(c->claims.nonce, nonce, BINDING_SIZE);
	evidence_build_psa_payload(&payload, &c->claims);
	if (!cose_sign(&out, bytes_of(es256, sizeof es256), buf_view(&payload), signer, &f).ok)
		abort();
	buf_free(&payload);
	return out;
}

/* A certificate request for `key`, signed by `signer`; caller buf_free. */
static inline struct buf chip_csr(EVP_PKEY *key, EVP_PKEY *signer)
{
	struct buf info = {0}, out = {0};
	uint8_t spki[SPKI_MAX], digest[SHA256_SIZE], signature[ECDSA_SIGNATURE_MAX + 16];
	struct fault f;
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	if (!csr_build_info("thermometer", bytes_of(spki, n), &info, &f).ok)
		abort();
	sha256(buf_view(&info), digest);
	n = ecdsa_sign_digest_der(signer, digest, signature, sizeof signature);
	if (!csr_build(buf_view(&info), bytes_of(signature, n), &out, &f).ok)
		abort();
	buf_free(&info);
	return out;
}

/* The request signed by the RoT key; caller buf_free. */
static inline struct buf chip_cose(struct chip *c, const uint8_t nonce[BINDING_SIZE], struct bytes csr,
				   EVP_PKEY *signer)
{
	struct buf header = {0}, out = {0};
	struct fault f;
	evidence_build_cose_csr_header(&header, c->record.instance_id, nonce);
	if (!cose_sign(&out, buf_view(&header), csr, signer, &f).ok)
		abort();
	buf_free(&header);
	return out;
}

#endif
