#include "stage_statement.h"

#include <string.h>

/* {1: -7} */
static const uint8_t es256_header[] = {0xa1, 0x01, 0x26};

void stage_countersigned(const struct stage_statement *s, const uint8_t line[KEY_ID_SIZE],
			 const uint8_t nonce[STAGE_NONCE_SIZE], uint8_t out[SHA256_SIZE])
{
	static const char label[] = "mooring-stage/1";
	const uint8_t batch_size = (uint8_t)strlen(s->batch), stage = (uint8_t)s->stage;
	const uint8_t seq[4] = {(uint8_t)(s->seq >> 24), (uint8_t)(s->seq >> 16), (uint8_t)(s->seq >> 8),
				(uint8_t)s->seq};
	const struct bytes parts[] = {
		bytes_of(label, sizeof label),	   bytes_of(s->programme, PROGRAMME_ID_SIZE),
		bytes_of(line, KEY_ID_SIZE),	   bytes_of(&batch_size, 1),
		bytes_of(s->batch, batch_size),	   bytes_of(&stage, 1),
		bytes_of(seq, sizeof seq),	   bytes_of(s->previous, SHA256_SIZE),
		bytes_of(nonce, STAGE_NONCE_SIZE),
	};
	sha256_parts(parts, sizeof parts / sizeof *parts, out);
}

static outcome verify_signature(const uint8_t digest[SHA256_SIZE], struct bytes signature,
				struct bytes rot_spki, bool allow_test_keys, struct fault *f)
{
	const struct cose_sign1 c = {
		.protected_header = bytes_of(es256_header, sizeof es256_header),
		.payload = bytes_of(digest, SHA256_SIZE),
		.signature = signature,
		.alg = COSE_ES256,
	};
	uint8_t hash[SHA256_SIZE];
	sha256(rot_spki, hash);
	if (!allow_test_keys && evidence_is_test_key(hash))
		return refuse(f, REASON_TEST_KEY,
			      "the device's key is a published test key: anyone can sign with it");
	EVP_PKEY *rot = ec_key_borrow(rot_spki);
	return rot ? cose_verify(&c, rot, f) : refuse(f, REASON_SIGNATURE, "the RoT key is not on P-256");
}

static outcome verify_token(const uint8_t digest[SHA256_SIZE], struct bytes token, struct bytes rot_spki,
			    bool allow_test_keys, struct fault *f)
{
	struct evidence e;
	outcome o = evidence_parse(EVIDENCE_PSA_TOKEN, token, &e, f);
	if (o.ok && !bytes_equal(e.nonce, bytes_of(digest, SHA256_SIZE)))
		return refuse(f, REASON_NONCE_MISMATCH,
			      "the token's nonce is not the hash of what the line is about to sign");
	return o.ok ? evidence_verify(&e, rot_spki, allow_test_keys, f) : o;
}

/* What remains of its own: the two that have another remedy than a new countersignature. */
static enum reason reason_of(enum reason inner)
{
	return inner == REASON_TEST_KEY || inner == REASON_NO_MEMORY ? inner : REASON_COUNTERSIGNATURE;
}

outcome stage_countersignature_verify(const uint8_t digest[SHA256_SIZE], struct bytes signature,
				      const uint8_t rot_key[P256_POINT_SIZE], bool allow_test_keys,
				      struct fault *f)
{
	uint8_t spki[P256_SPKI_SIZE];
	struct fault own = {0};
	provenance_spki(rot_key, spki);
	struct bytes rot_spki = bytes_of(spki, sizeof spki);
	outcome o = signature.n == P256_SIGNATURE_SIZE
			    ? verify_signature(digest, signature, rot_spki, allow_test_keys, &own)
			    : verify_token(digest, signature, rot_spki, allow_test_keys, &own);
	return o.ok ? o : refuse(f, reason_of(own.reason), "countersignature: %s", own.text);
}

outcome stage_countersign(const uint8_t digest[SHA256_SIZE], EVP_PKEY *rot_key,
			  uint8_t out[P256_SIGNATURE_SIZE], struct fault *f)
{
	struct buf object = {0};
	if (ec_key_bits(rot_key) != 256)
		return refuse(f, REASON_CRYPTO, "the RoT key is not on P-256");
	outcome o = cose_sign(&object, bytes_of(es256_header, sizeof es256_header),
			      bytes_of(digest, SHA256_SIZE), rot_key, f);
	/* a COSE_Sign1 ends with its signature */
	if (o.ok)
		memcpy(out, object.p + object.n - P256_SIGNATURE_SIZE, P256_SIGNATURE_SIZE);
	buf_free(&object);
	return o;
}
