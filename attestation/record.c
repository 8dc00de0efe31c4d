#include "record.h"

#include "common/json_read.h"

#include <string.h>

static const enum evidence_type types[] = {EVIDENCE_PSA_TOKEN, EVIDENCE_COSE_CSR};
enum { TYPE_COUNT = sizeof types / sizeof *types };

static const char name_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool record_name_ok(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n < RECORD_NAME_SIZE && strspn(name, name_alphabet) == n;
}

bool record_instance_id(const char *hex, uint8_t out[INSTANCE_ID_SIZE])
{
	size_t n;
	return hex_decode(hex, strlen(hex), out, INSTANCE_ID_SIZE, &n) && n == INSTANCE_ID_SIZE &&
	       out[0] == 1;
}

static outcome bad(struct fault *f, const char *what)
{
	return refuse(f, REASON_BAD_FIELD, "%s", what);
}

static outcome read_instance(const json_t *v, struct record *out, struct fault *f)
{
	const char *text = json_string_value(v);
	if (!text || !record_instance_id(text, out->instance_id))
		return bad(f, "instance_id: not the hexadecimal form of 01 and 32 bytes");
	return DONE;
}

static outcome read_implementation(const json_t *v, struct record *out, struct fault *f)
{
	out->has_implementation = json_read_hex(v, out->implementation_id, IMPLEMENTATION_ID_SIZE);
	return out->has_implementation ? DONE
				       : bad(f, "implementation_id: not the hexadecimal form of 32 bytes");
}

static outcome read_key(const json_t *v, struct record *out, struct fault *f)
{
	if (!json_read_base64(v, out->public_key, sizeof out->public_key, &out->public_key_size))
		return bad(f, "public_key: not the base64 form of a SubjectPublicKeyInfo");
	return DONE;
}

static outcome read_name(const json_t *v, const char *field, char out[RECORD_NAME_SIZE], struct fault *f)
{
	const char *text = json_string_value(v);
	if (!text || !record_name_ok(text))
		return refuse(f, REASON_BAD_FIELD, "%s: not 1 to 64 of [A-Za-z0-9._-]", field);
	memcpy(out, text, strlen(text) + 1);
	return DONE;
}

static outcome read_batch(const json_t *v, struct record *out, struct fault *f)
{
	return read_name(v, "batch", out->batch, f);
}

static outcome read_model(const json_t *v, struct record *out, struct fault *f)
{
	return read_name(v, "model", out->model, f);
}

static outcome read_evidence(const json_t *v, struct record *out, struct fault *f)
{
	size_t count = json_array_size(v);
	for (size_t i = 0; i < count; i++) {
		const char *name = json_string_value(json_array_get(v, i));
		enum evidence_type type = name ? evidence_type_find(name) : 0;
		if (!type || out->evidence & 1u << type)
			return bad(f,
				   "evidence: each of psa-token and cose-csr at most once, and nothing else");
		out->evidence |= 1u << type;
	}
	return out->evidence ? DONE : bad(f, "evidence: not a list of psa-token, cose-csr");
}

static const struct field {
	const char *name;
	bool required;
	outcome (*read)(const json_t *v, struct record *out, struct fault *f);
} fields[] = {
	{"instance_id", true, read_instance}, {"implementation_id", false, read_implementation},
	{"public_key", true, read_key},	      {"batch", true, read_batch},
	{"model", true, read_model},	      {"evidence", true, read_evidence},
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static outcome read_fields(const json_t *top, struct record *out, struct fault *f)
{
	size_t known = 0;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const json_t *v = json_object_get(top, fields[i].name);
		if (!v && fields[i].required)
			return refuse(f, REASON_BAD_FIELD, "%s: missing", fields[i].name);
		if (!v)
			continue;
		known++;
		outcome r = fields[i].read(v, out, f);
		if (!r.ok)
			return r;
	}
	if (json_object_size(top) != known)
		return bad(f, "a member that a device record does not have");
	if (out->evidence & 1u << EVIDENCE_PSA_TOKEN && !out->has_implementation)
		return bad(f, "implementation_id: missing, and psa-token needs it");
	return DONE;
}

/* The point is on its curve, and nobody published the private half. */
static outcome check_key(const struct record *r, bool allow_test_keys, struct fault *f)
{
	uint8_t hash[SHA256_SIZE];
	struct bytes spki = bytes_of(r->public_key, r->public_key_size);
	if (!ec_spki_on_curve(spki))
		return bad(f, "public_key: not a point of P-256, P-384 or P-521, uncompressed (RFC 5480 2)");
	sha256(spki, hash);
	if (!allow_test_keys && evidence_is_test_key(hash))
		return refuse(f, REASON_TEST_KEY,
			      "public_key: a published test key: anyone can sign with it");
	return DONE;
}

outcome record_parse(struct bytes json, bool allow_test_keys, struct record *out, struct fault *f)
{
	json_t *top;
	*out = (struct record){0};
	outcome r = json_read_object(json, "the record", &top, f);
	if (r.ok)
		r = read_fields(top, out, f);
	json_decref(top);
	return r.ok ? check_key(out, allow_test_keys, f) : r;
}

bool record_same(const struct record *a, const struct record *b)
{
	return !memcmp(a->instance_id, b->instance_id, INSTANCE_ID_SIZE) &&
	       a->has_implementation == b->has_implementation &&
	       !memcmp(a->implementation_id, b->implementation_id, IMPLEMENTATION_ID_SIZE) &&
	       bytes_equal(bytes_of(a->public_key, a->public_key_size),
			   bytes_of(b->public_key, b->public_key_size)) &&
	       !strcmp(a->batch, b->batch) && !strcmp(a->model, b->model) && a->evidence == b->evidence;
}

static json_t *evidence_json(unsigned evidence)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < TYPE_COUNT; i++)
		if (evidence & 1u << types[i] &&
		    json_array_append_new(list, json_string(evidence_type_name(types[i])))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

json_t *record_json(const struct record *r)
{
	char instance[INSTANCE_ID_HEX], implementation[HEX_SIZE(IMPLEMENTATION_ID_SIZE)],
		key[BASE64_SIZE(RECORD_KEY_MAX)];
	hex_encode(bytes_of(r->instance_id, INSTANCE_ID_SIZE), instance);
	hex_encode(bytes_of(r->implementation_id, IMPLEMENTATION_ID_SIZE), implementation);
	base64_encode(bytes_of(r->public_key, r->public_key_size), key);
	return json_pack("{ss ss* ss ss ss so ss sI}", "instance_id", instance, "implementation_id",
			 r->has_implementation ? implementation : NULL, "public_key", key, "batch", r->batch,
			 "model", r->model, "evidence", evidence_json(r->evidence), "state",
			 r->suspended ? "suspended" : "active", "created", (json_int_t)r->created);
}
