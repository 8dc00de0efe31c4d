#include "jws.h"

#include <stdlib.h>
#include <string.h>

static outcome malformed(struct fault *f, const char *what)
{
	return refuse(f, REASON_EAR_MALFORMED, "RFC 7515 5.2: %s", what);
}

struct compact {
	struct bytes header, payload, signature;
	struct bytes signed_part; /* header "." payload */
};

/* RFC 7515 7.1: three parts, two dots. */
static bool split(struct bytes in, struct compact *out)
{
	const uint8_t *end = in.p + in.n;
	const uint8_t *first = in.n ? memchr(in.p, '.', in.n) : NULL;
	const uint8_t *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return false;
	out->header = bytes_of(in.p, (size_t)(first - in.p));
	out->payload = bytes_of(first + 1, (size_t)(second - first - 1));
	out->signature = bytes_of(second + 1, (size_t)(end - second - 1));
	out->signed_part = bytes_of(in.p, (size_t)(second - in.p));
	return true;
}

/* RFC 7515 2: base64url without padding. */
static bool decode(struct bytes text, uint8_t *out, size_t room, size_t *n)
{
	return !(text.n && memchr(text.p, '=', text.n)) &&
	       base64url_decode((const char *)text.p, text.n, out, room, n);
}

static json_t *decode_object(struct bytes text)
{
	json_t *object = NULL;
	size_t n;
	uint8_t *raw = text.n && text.n <= JWS_MAX ? malloc(text.n) : NULL;
	if (raw && decode(text, raw, text.n, &n))
		object = json_loadb((const char *)raw, n, JSON_REJECT_DUPLICATES, NULL);
	free(raw);
	if (object && !json_is_object(object)) {
		json_decref(object);
		object = NULL;
	}
	return object;
}

static outcome check_header(struct bytes text, struct fault *f)
{
	json_t *header = decode_object(text);
	const char *alg = json_string_value(json_object_get(header, "alg"));
	outcome o = DONE;
	if (!header)
		o = malformed(f, "the header is no base64url of a JSON object");
	else if (!alg || strcmp(alg, "ES256") != 0)
		o = malformed(f, "alg is not ES256");
	else if (json_object_get(header, "crit"))
		o = malformed(f, "crit names extensions that are not understood");
	json_decref(header);
	return o;
}

static outcome check_signature(const struct compact *c, EVP_PKEY *const *keys, size_t count, struct fault *f)
{
	uint8_t signature[P256_SIGNATURE_SIZE];
	size_t n;
	if (!decode(c->signature, signature, sizeof signature, &n) || n != sizeof signature)
		return malformed(f, "the signature is no base64url of 64 bytes");
	for (size_t i = 0; i < count; i++)
		if (ec_key_bits(keys[i]) == 256 &&
		    ecdsa_verify_raw(keys[i], c->signed_part, bytes_of(signature, n)))
			return DONE;
	return refuse(f, REASON_EAR_SIGNATURE,
		      "RFC 7515 5.2: the signature verifies under none of the %zu pinned keys", count);
}

outcome jws_verify(struct bytes compact, EVP_PKEY *const *keys, size_t count, json_t **payload,
		   struct fault *f)
{
	struct compact c;
	*payload = NULL;
	if (compact.n > JWS_MAX)
		return refuse(f, REASON_EAR_MALFORMED, "the JWS is larger than %d bytes", JWS_MAX);
	if (!split(compact, &c))
		return malformed(f, "no compact serialisation of three parts");
	outcome o = check_header(c.header, f);
	if (o.ok)
		o = check_signature(&c, keys, count, f);
	if (!o.ok)
		return o;
	*payload = decode_object(c.payload);
	return *payload ? DONE
			: malformed(f,
				    "the payload is no base64url of one JSON object without duplicate names");
}

static void add_encoded(struct buf *b, struct bytes raw)
{
	char *text = malloc(BASE64_SIZE(raw.n));
	if (text) {
		base64url_encode(raw, text);
		buf_str(b, text);
	}
	b->failed |= !text;
	free(text);
}

static void add_json(struct buf *b, const json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	if (text)
		add_encoded(b, bytes_str(text));
	b->failed |= !text;
	free(text);
}

static void add_header(struct buf *b, const char *kid, const char *type)
{
	json_t *header = json_pack("{ss ss* ss*}", "alg", "ES256", "kid", kid, "typ", type);
	add_json(b, header);
	json_decref(header);
}

outcome jws_sign(const json_t *payload, EVP_PKEY *key, const char *kid, const char *type, char **out,
		 struct fault *f)
{
	struct buf b = {0};
	uint8_t signature[ECDSA_SIGNATURE_MAX];
	*out = NULL;
	add_header(&b, kid, type);
	buf_byte(&b, '.');
	add_json(&b, payload);
	if (b.failed) {
		buf_free(&b);
		return refuse(f, REASON_NO_MEMORY, "no memory for a JWS");
	}
	size_t n = ec_key_bits(key) == 256 ? ecdsa_sign_raw(key, buf_view(&b), signature) : 0;
	if (n == 0) {
		buf_free(&b);
		return crypto_fault(f, "signing a JWS with ES256");
	}
	buf_byte(&b, '.');
	add_encoded(&b, bytes_of(signature, n));
	*out = buf_take_str(&b);
	return *out ? DONE : refuse(f, REASON_NO_MEMORY, "no memory for a JWS");
}
