#include "secure_rot.h"

#include "common/crypto/csr.h"
#include "common/file.h"
#include "common/json_read.h"
#include "common/log.h"
#include "common/version.h"
#include "psa_stage.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

enum { IDENTITY_MAX = 8192, LIFECYCLE_SECURED = 0x3000, CLIENT_NORMAL_WORLD = -1 };

static outcome take_hex(const json_t *identity, const char *name, uint8_t *out, size_t size, const char *path,
			struct fault *f)
{
	if (!json_read_hex(json_object_get(identity, name), out, size))
		return refuse(f, REASON_BAD_FIELD, "%s: %s: not the hex of %zu bytes", path, name, size);
	return DONE;
}

static outcome read_identity(struct secure_rot *rot, const char *path, struct fault *f)
{
	struct buf text = {0};
	json_t *identity = NULL;
	outcome r = file_read_secret(path, IDENTITY_MAX, &text, f);
	if (r.ok)
		r = json_read_object(buf_view(&text), path, &identity, f);
	if (r.ok)
		r = take_hex(identity, "instance_id", rot->claims.instance_id, INSTANCE_ID_SIZE, path, f);
	if (r.ok)
		r = take_hex(identity, "implementation_id", rot->claims.implementation_id, 32, path, f);
	if (r.ok)
		r = take_hex(identity, "software_signer", rot->signer, sizeof rot->signer, path, f);
	json_decref(identity);
	buf_free(&text);
	return r;
}

outcome secure_rot_open(struct secure_rot *rot, const char *folder, const uint8_t measurement[SHA256_SIZE],
			struct fault *f)
{
	char path[4096];
	*rot = (struct secure_rot){0};
	snprintf(path, sizeof path, "%s/rot.key", folder);
	outcome r = key_load_private_pem(path, &rot->key, f);
	if (r.ok && ec_key_bits(rot->key) != 256)
		r = refuse(f, REASON_CRYPTO, "%s: not a P-256 key", path);
	snprintf(path, sizeof path, "%s/identity.json", folder);
	if (r.ok)
		r = read_identity(rot, path, f);
	if (!r.ok) {
		secure_rot_close(rot);
		return r;
	}
	memcpy(rot->measurement, measurement, sizeof rot->measurement);
	rot->claims.client_id = CLIENT_NORMAL_WORLD;
	rot->claims.lifecycle = LIFECYCLE_SECURED;
	crypto_random(rot->claims.boot_seed, sizeof rot->claims.boot_seed);
	rot->claims.components[0] = (struct sw_component){
		.type = bytes_str("NSPE"),
		.value = {rot->measurement, sizeof rot->measurement},
		.version = bytes_str(MOORING_VERSION),
		.signer = {rot->signer, sizeof rot->signer},
	};
	rot->claims.component_count = 1;
	return DONE;
}

void secure_rot_close(struct secure_rot *rot)
{
	EVP_PKEY_free(rot->key);
	rot->key = NULL;
}

static enum psa_status signed_status(outcome signed_ok, const struct buf *out, const struct fault *f)
{
	if (out->failed)
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	if (!signed_ok.ok)
		log_fault(LOG_LEVEL_ERROR, NULL, f, "the RoT key did not sign");
	return signed_ok.ok ? PSA_SUCCESS : PSA_ERROR_GENERIC_ERROR;
}

/* Protected header {1: -7}, as TF-M writes it (RFC 9052 3.1). */
static void put_es256_header(struct buf *out)
{
	cbor_put_map(out, 1);
	cbor_put_int(out, 1);
	cbor_put_int(out, COSE_ES256);
}

enum psa_status secure_rot_token(struct secure_rot *rot, struct bytes challenge, struct buf *token)
{
	struct buf header = {0}, payload = {0};
	struct fault f;
	memcpy(rot->claims.nonce, challenge.p, sizeof rot->claims.nonce);
	put_es256_header(&header);
	evidence_build_psa_payload(&payload, &rot->claims);
	token->failed |= header.failed || payload.failed;
	outcome r = cose_sign(token, buf_view(&header), buf_view(&payload), rot->key, &f);
	buf_free(&header);
	buf_free(&payload);
	return signed_status(r, token, &f);
}

/* The RoT key vouches only for keys that cannot leave this world. */
static bool is_for_own_key(const struct secure_keys *keys, struct bytes der)
{
	struct csr csr;
	struct fault f;
	if (!csr_parse(der, true, &csr, &f).ok) {
		log_fault(LOG_LEVEL_WARN, NULL, &f, "a CSR was not signed");
		return false;
	}
	bool own = secure_keys_hold(keys, csr.spki);
	return own;
}

enum psa_status secure_rot_sign_csr(const struct secure_rot *rot, const struct secure_keys *keys,
				    struct bytes challenge, struct bytes csr, struct buf *evidence)
{
	struct buf header = {0};
	struct fault f;
	if (!is_for_own_key(keys, csr))
		return PSA_ERROR_NOT_PERMITTED;
	evidence_build_cose_csr_header(&header, rot->claims.instance_id, challenge.p);
	evidence->failed |= header.failed;
	outcome r = cose_sign(evidence, buf_view(&header), csr, rot->key, &f);
	buf_free(&header);
	return signed_status(r, evidence, &f);
}

enum psa_status secure_rot_identity(const struct secure_rot *rot, struct buf *out)
{
	uint8_t spki[SPKI_MAX];
	size_t n = ec_key_to_spki(rot->key, spki, sizeof spki);
	if (n < PSA_POINT_SIZE)
		return PSA_ERROR_GENERIC_ERROR;
	buf_add(out, rot->claims.instance_id, INSTANCE_ID_SIZE);
	/* The point is what a SubjectPublicKeyInfo ends with (RFC 5480 2.2). */
	buf_add(out, spki + n - PSA_POINT_SIZE, PSA_POINT_SIZE);
	return PSA_SUCCESS;
}

enum psa_status secure_rot_countersign(const struct secure_rot *rot, struct bytes stage,
				       struct buf *signature)
{
	struct psa_stage s;
	uint8_t digest[SHA256_SIZE], out[P256_SIGNATURE_SIZE];
	struct fault f;
	if (!psa_stage_decode(stage, &s))
		return PSA_ERROR_INVALID_ARGUMENT;
	stage_countersigned(&s.statement, s.line, s.nonce, digest);
	outcome r = stage_countersign(digest, rot->key, out, &f);
	if (r.ok)
		buf_add(signature, out, sizeof out);
	return signed_status(r, signature, &f);
}
