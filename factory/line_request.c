#include "line_request.h"

#include "common/json_read.h"

#include <string.h>

static const char LABEL[] = "mooring-line-request/1"; /* signed with its NUL */
static const char *const members[] = {"programme", "line_key", "signature", NULL};

struct signed_part {
	uint8_t label[sizeof LABEL];
	uint8_t programme[PROGRAMME_ID_SIZE];
	uint8_t key[P256_POINT_SIZE];
};

static struct bytes signed_bytes(struct signed_part *s, const uint8_t *programme, const uint8_t *key)
{
	memcpy(s->label, LABEL, sizeof s->label);
	memcpy(s->programme, programme, sizeof s->programme);
	memcpy(s->key, key, sizeof s->key);
	return bytes_of(s, sizeof *s);
}

outcome line_request_write(struct buf *out, const uint8_t programme[PROGRAMME_ID_SIZE], EVP_PKEY *key,
			   struct fault *f)
{
	struct signed_part s;
	uint8_t point[P256_POINT_SIZE], signature[ECDSA_SIGNATURE_MAX];
	char programme_hex[HEX_SIZE(PROGRAMME_ID_SIZE)], key_hex[HEX_SIZE(P256_POINT_SIZE)];
	char signature_hex[HEX_SIZE(P256_SIGNATURE_SIZE)];
	if (!provenance_point(key, point))
		return refuse(f, REASON_CRYPTO, "the line's key is not on P-256");
	if (ecdsa_sign_raw(key, signed_bytes(&s, programme, point), signature) != P256_SIGNATURE_SIZE)
		return crypto_fault(f, "the line's key did not sign");
	hex_encode(bytes_of(programme, PROGRAMME_ID_SIZE), programme_hex);
	hex_encode(bytes_of(point, sizeof point), key_hex);
	hex_encode(bytes_of(signature, P256_SIGNATURE_SIZE), signature_hex);
	buf_printf(out, "{\"programme\":\"%s\",\"line_key\":\"%s\",\"signature\":\"%s\"}\n", programme_hex,
		   key_hex, signature_hex);
	return out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for a request") : DONE;
}

static outcome check(const char *what, const struct line_request *r, const uint8_t *signature,
		     struct fault *f)
{
	struct signed_part s;
	EVP_PKEY *key = p256_key_from_point(r->key, r->key + P256_POINT_SIZE / 2);
	bool good = key && ecdsa_verify_raw(key, signed_bytes(&s, r->programme, r->key),
					    bytes_of(signature, P256_SIGNATURE_SIZE));
	EVP_PKEY_free(key);
	if (good)
		return DONE;
	return refuse(f, REASON_PROVENANCE_SIGNATURE,
		      "%s: whoever asks has not shown that the key is theirs: the signature does not verify",
		      what);
}

outcome line_request_read(struct bytes in, const char *what, struct line_request *out, struct fault *f)
{
	json_t *o = NULL;
	uint8_t signature[P256_SIGNATURE_SIZE];
	outcome r = json_read_object(in, what, &o, f);
	if (r.ok)
		r = json_read_members(o, members, f);
	if (r.ok && (!json_read_hex(json_object_get(o, "programme"), out->programme, sizeof out->programme) ||
		     !json_read_hex(json_object_get(o, "line_key"), out->key, sizeof out->key) ||
		     !json_read_hex(json_object_get(o, "signature"), signature, sizeof signature)))
		r = refuse(f, REASON_BAD_FIELD,
			   "%s: programme, line_key and signature are 32, 128 and 128 hex digits", what);
	json_decref(o);
	return r.ok ? check(what, out, signature, f) : r;
}
