#include "provenance_internal.h"

#include <string.h>

/* {1: -7, 4: h'...'} up to the key id (RFC 9052 3.1). */
static const uint8_t header_prefix[] = {0xa2, 0x01, 0x26, 0x04, 0x40 | KEY_ID_SIZE};
enum { HEADER_SIZE = sizeof header_prefix + KEY_ID_SIZE };

/* DER of a SubjectPublicKeyInfo of P-256 before its coordinates (RFC 5480 2). */
static const uint8_t spki_prefix[P256_SPKI_SIZE - P256_POINT_SIZE] = {
	0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
	0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
};

/* ---- the signature's form ---- */

enum { SCALAR_SIZE = P256_SIGNATURE_SIZE / 2 };

/* n, the order of P-256, and (n - 1) / 2 (SP 800-186 3.2.1.3). */
static const uint8_t order[SCALAR_SIZE] = {
	0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};
static const uint8_t half_order[SCALAR_SIZE] = {
	0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
};

/* (r, s) and (r, n - s) verify alike, and anyone can make the one of the other: an object would have two names,
 * and a line that signed once would seem to have signed twice. */
static bool is_smaller_form(const uint8_t s[SCALAR_SIZE])
{
	return memcmp(s, half_order, SCALAR_SIZE) <= 0;
}

static void make_smaller_form(uint8_t s[SCALAR_SIZE])
{
	int borrow = 0;
	if (is_smaller_form(s))
		return;
	for (size_t i = SCALAR_SIZE; i-- > 0;) {
		int digit = order[i] - s[i] - borrow;
		borrow = digit < 0;
		s[i] = (uint8_t)digit;
	}
}

/* ---- envelope ---- */

static size_t bstr_size(size_t n)
{
	return n + (n < 24 ? 1 : n < 256 ? 2 : 3);
}

/* All lengths are definite, so one that is encoded in more bytes than it needs, or an unprotected header that
 * is not empty, shows in the sum. */
static bool envelope_is_shortest(const struct cose_sign1 *c, size_t size)
{
	enum { TAG_ARRAY_AND_EMPTY_MAP = 3 };
	return size == TAG_ARRAY_AND_EMPTY_MAP + bstr_size(c->protected_header.n) + bstr_size(c->payload.n) +
			       bstr_size(c->signature.n);
}

outcome provenance_open(struct bytes in, struct provenance_object *out, struct fault *f)
{
	struct cose_sign1 *c = &out->cose;
	*out = (struct provenance_object){0};
	if (in.n > PROVENANCE_OBJECT_MAX)
		return refuse(f, REASON_CHAIN_MALFORMED, "an object of %zu bytes; %d are the most", in.n,
			      PROVENANCE_OBJECT_MAX);
	outcome o = cose_parse(in, c, f);
	if (!o.ok)
		return o;
	if (c->protected_header.n != HEADER_SIZE ||
	    memcmp(c->protected_header.p, header_prefix, sizeof header_prefix) != 0)
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "the protected header is not {1: -7, 4: a key id of %d bytes}", KEY_ID_SIZE);
	if (!envelope_is_shortest(c, in.n))
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "RFC 8949 4.2.1: the envelope is not in its shortest form, or its unprotected "
			      "header is not empty");
	if (!is_smaller_form(c->signature.p + SCALAR_SIZE))
		return refuse(f, REASON_CHAIN_MALFORMED,
			      "SEC 1 4.1.3: of the signatures (r, s) and (r, n - s) this is the one with the "
			      "larger s");
	memcpy(out->key_id, c->protected_header.p + sizeof header_prefix, KEY_ID_SIZE);
	sha256(in, out->sha256);
	return DONE;
}

outcome provenance_verify(const struct provenance_object *o, const uint8_t point[P256_POINT_SIZE],
			  struct fault *f)
{
	struct fault own = {0};
	uint8_t key_id[KEY_ID_SIZE];
	provenance_key_id(point, key_id);
	if (memcmp(o->key_id, key_id, KEY_ID_SIZE) != 0)
		return refuse(f, REASON_PROVENANCE_SIGNATURE, "the key id is not this key's");
	EVP_PKEY_CTX *verifier = p256_known_verifier(point);
	if (!verifier)
		return refuse(f, REASON_PROVENANCE_SIGNATURE, "the key's point is not on P-256");
	if (cose_verify_known(&o->cose, verifier, &own).ok)
		return DONE;
	return refuse(f, own.reason == REASON_NO_MEMORY ? REASON_NO_MEMORY : REASON_PROVENANCE_SIGNATURE,
		      "%s", own.text);
}

outcome provenance_seal(struct buf *out, struct bytes payload, EVP_PKEY *key, struct fault *f)
{
	uint8_t point[P256_POINT_SIZE], header[HEADER_SIZE];
	if (!provenance_point(key, point))
		return refuse(f, REASON_CRYPTO, "the key that signs is not on P-256");
	memcpy(header, header_prefix, sizeof header_prefix);
	provenance_key_id(point, header + sizeof header_prefix);
	outcome o = cose_sign(out, bytes_of(header, sizeof header), payload, key, f);
	/* a COSE_Sign1 ends with its signature, and a signature with s */
	if (o.ok)
		make_smaller_form(out->p + out->n - SCALAR_SIZE);
	return o;
}

/* ---- payload ---- */

outcome provenance_one_form(struct bytes in, const struct buf *written, const char *what, struct fault *f)
{
	if (written->failed)
		return refuse(f, REASON_NO_MEMORY, "no memory to write a %s", what);
	if (!bytes_equal(in, buf_view(written)))
		return refuse(f, REASON_CHAIN_MALFORMED, "RFC 8949 4.2.1: %s: not in deterministic encoding",
			      what);
	return DONE;
}

/* The member as its limit counts it. */
static int64_t measure(const struct cbor_fields_row *row, const char *member)
{
	int64_t number;
	struct bytes view;
	switch (row->type) {
	case CBOR_FIELD_UINT:
		memcpy(&number, member, sizeof number);
		return number;
	case CBOR_FIELD_BYTES:
	case CBOR_FIELD_TEXT_VIEW:
		memcpy(&view, member, sizeof view);
		return (int64_t)view.n;
	case CBOR_FIELD_TEXT:
		return (int64_t)strlen(member);
	case CBOR_FIELD_FIXED:
		break;
	}
	return (int64_t)row->size;
}

static outcome check_limits(const struct provenance_format *format, uint32_t keys, const void *wire,
			    struct fault *f)
{
	for (size_t i = 0; i < format->fields.count; i++) {
		const struct cbor_fields_row *row = &format->fields.rows[i];
		const struct provenance_limit *limit = &format->limits[i];
		if (!(keys & CBOR_FIELD_BIT(i))) {
			if (!(format->optional & CBOR_FIELD_BIT(i)))
				return refuse(f, REASON_CHAIN_MALFORMED, "%s: no %s (key %zu)", format->name,
					      limit->name, i);
			continue;
		}
		int64_t size = measure(row, (const char *)wire + row->offset);
		if (size < limit->least || size > limit->most)
			return refuse(f, REASON_CHAIN_MALFORMED,
				      "%s: %s (key %zu) is not from %lld to %lld%s", format->name,
				      limit->name, i, (long long)limit->least, (long long)limit->most,
				      row->type == CBOR_FIELD_UINT ? "" : " bytes");
	}
	return DONE;
}

/* Keys 0 and 1 of a map come first, and with their values take a byte each. */
static enum provenance_type payload_type(struct bytes payload)
{
	static const uint8_t version[] = {0, PROVENANCE_FORMAT_VERSION, 1};
	enum { VERSION_AT = 1, TYPE_AT = VERSION_AT + sizeof version };
	if (payload.n <= TYPE_AT || memcmp(payload.p + VERSION_AT, version, sizeof version) != 0 ||
	    payload.p[TYPE_AT] > PROVENANCE_REGISTER_HEAD)
		return (enum provenance_type)0;
	return (enum provenance_type)payload.p[TYPE_AT];
}

outcome provenance_read(struct bytes in, const struct provenance_format *format, void *wire, uint32_t *seen,
			struct provenance_object *object, struct fault *f)
{
	struct buf written = {0};
	outcome o = provenance_open(in, object, f);
	if (o.ok && payload_type(object->cose.payload) != format->type)
		return refuse(f, REASON_CHAIN_MALFORMED, "this is no %s of version %d", format->name,
			      PROVENANCE_FORMAT_VERSION);
	if (o.ok)
		o = cbor_fields_read(object->cose.payload, &format->fields, wire, seen, f);
	if (o.ok)
		o = check_limits(format, *seen, wire, f);
	if (!o.ok)
		return o;
	cbor_fields_write(&written, &format->fields, *seen, wire);
	o = provenance_one_form(object->cose.payload, &written, format->name, f);
	buf_free(&written);
	return o;
}

outcome provenance_write(struct buf *out, const struct provenance_format *format, uint32_t optional,
			 void *wire, EVP_PKEY *key, struct fault *f)
{
	struct buf payload = {0};
	struct provenance_head head = {PROVENANCE_FORMAT_VERSION, format->type};
	uint32_t keys = (CBOR_FIELD_BIT(format->fields.count) - 1) & (~format->optional | optional);
	memcpy(wire, &head, sizeof head);
	outcome o = check_limits(format, keys, wire, f);
	if (!o.ok)
		return o;
	cbor_fields_write(&payload, &format->fields, keys, wire);
	if (payload.failed)
		o = refuse(f, REASON_NO_MEMORY, "no memory for a %s", format->name);
	else
		o = provenance_seal(out, buf_view(&payload), key, f);
	buf_free(&payload);
	return o;
}

enum provenance_type provenance_type_of(struct bytes in)
{
	struct provenance_object o;
	return provenance_open(in, &o, NULL).ok ? payload_type(o.cose.payload) : (enum provenance_type)0;
}

/* ---- keys and names ---- */

bool provenance_point(EVP_PKEY *key, uint8_t point[P256_POINT_SIZE])
{
	uint8_t spki[SPKI_MAX];
	struct bytes at = ec_spki_point(bytes_of(spki, ec_key_to_spki(key, spki, sizeof spki)));
	if (at.n != 1 + P256_POINT_SIZE)
		return false;
	memcpy(point, at.p + 1, P256_POINT_SIZE);
	return true;
}

void provenance_spki(const uint8_t point[P256_POINT_SIZE], uint8_t out[P256_SPKI_SIZE])
{
	memcpy(out, spki_prefix, sizeof spki_prefix);
	memcpy(out + sizeof spki_prefix, point, P256_POINT_SIZE);
}

bool provenance_point_on_curve(const uint8_t point[P256_POINT_SIZE])
{
	uint8_t spki[P256_SPKI_SIZE];
	provenance_spki(point, spki);
	return ec_spki_on_curve(bytes_of(spki, sizeof spki));
}

void provenance_key_id(const uint8_t point[P256_POINT_SIZE], uint8_t out[KEY_ID_SIZE])
{
	uint8_t spki[P256_SPKI_SIZE], hash[SHA256_SIZE];
	provenance_spki(point, spki);
	sha256(bytes_of(spki, sizeof spki), hash);
	memcpy(out, hash, KEY_ID_SIZE);
}

bool provenance_batch_valid(const char *batch)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(batch);
	return n > 0 && n < BATCH_SIZE && strspn(batch, allowed) == n;
}

bool provenance_name_valid(const char *name)
{
	if (!*name || !bytes_are_utf8(bytes_str(name)))
		return false;
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return true;
}

void provenance_dev(const uint8_t programme[PROGRAMME_ID_SIZE], const uint8_t instance_id[INSTANCE_ID_SIZE],
		    uint8_t out[DEV_SIZE])
{
	const struct bytes parts[] = {bytes_of(programme, PROGRAMME_ID_SIZE),
				      bytes_of(instance_id, INSTANCE_ID_SIZE)};
	sha256_parts(parts, 2, out);
}

void provenance_start(const uint8_t programme[PROGRAMME_ID_SIZE], const uint8_t dev[DEV_SIZE],
		      uint8_t out[SHA256_SIZE])
{
	static const char label[] = "mooring-provenance/1";
	const struct bytes parts[] = {bytes_of(label, sizeof label), bytes_of(programme, PROGRAMME_ID_SIZE),
				      bytes_of(dev, DEV_SIZE)};
	sha256_parts(parts, 3, out);
}
