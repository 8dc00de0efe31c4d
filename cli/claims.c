#include "claims.h"

#include "text.h"
#include "common/cbor/cose.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CWT_CLAIMS = 15, DER_SEQUENCE = 0x30 };

enum { NOTE_SIZE = 64 };

static json_t *hex_json(struct bytes b)
{
	char *text = malloc(HEX_SIZE(b.n));
	if (!text)
		return NULL;
	hex_encode(b, text);
	json_t *v = json_string(text);
	free(text);
	return v;
}

/* Any item: numbers as numbers, byte strings and what has parts in hexadecimal. */
static json_t *read_value(struct cbor_reader *value, char *note)
{
	struct cbor_reader ahead = *value;
	struct cbor_item item;
	struct bytes whole;
	if (!cbor_skip(value, &whole, NULL).ok || !cbor_next(&ahead, &item, NULL).ok)
		return NULL;
	switch (item.type) {
	case CBOR_UINT:
		return json_integer((json_int_t)item.number);
	case CBOR_NINT:
		return json_integer(-1 - (json_int_t)item.number);
	case CBOR_TSTR:
		return json_stringn((const char *)item.bytes.p, item.bytes.n);
	case CBOR_BSTR:
		snprintf(note, NOTE_SIZE, "%zu bytes", item.bytes.n);
		return hex_json(item.bytes);
	default:
		snprintf(note, NOTE_SIZE, "CBOR, %zu bytes", whole.n);
		return hex_json(whole);
	}
}

/* RFC 9783 4.3.1: the high byte names the state, the low one is the maker's. */
static json_t *read_lifecycle(struct cbor_reader *value, char *note)
{
	static const char *const states[] = {
		"unknown",	     "assembly and test",	  "PSA RoT provisioning", "secured",
		"non-PSA-RoT debug", "recoverable PSA-RoT debug", "decommissioned",
	};
	char hex[24];
	int64_t v;
	if (!cbor_int(value, &v, NULL).ok)
		return NULL;
	uint64_t state = (uint64_t)v >> 12;
	snprintf(note, NOTE_SIZE, "%s", (v & 0xf00) == 0 && state < 7 ? states[state] : "not a state");
	snprintf(hex, sizeof hex, "0x%04" PRIx64, (uint64_t)v);
	return json_string(hex);
}

static json_t *read_client(struct cbor_reader *value, char *note)
{
	int64_t v;
	if (!cbor_int(value, &v, NULL).ok)
		return NULL;
	snprintf(note, NOTE_SIZE, "%s",
		 v < 0 ? "asked for by the normal world" : "asked for by a secure partition");
	return json_integer(v);
}

/* Labels of RFC 9783 and of the two encodings before it; of RFC 9711 for the claims of a signed request. */
static const struct {
	int64_t label[3];
	const char *name;
	json_t *(*read)(struct cbor_reader *value, char *note);
} names[] = {
	{{265, -75000, 0}, "profile", read_value},
	{{10, -75008, 0}, "nonce", read_value},
	{{256, -75009, 0}, "instance ID", read_value},
	{{2396, -75003, 0}, "implementation ID", read_value},
	{{2394, -75001, 0}, "client ID", read_client},
	{{2395, -75002, 0}, "security lifecycle", read_lifecycle},
	{{268, 2397, -75004}, "boot seed", read_value},
	{{2398, -75005, 0}, "certification", read_value},
	{{2400, -75010, 0}, "verifier", read_value},
};
enum { COMPONENTS = 2399, COMPONENTS_PROFILE_1 = -75006 };

/* ---- software components ---- */

static outcome component_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	static const struct {
		int64_t label;
		const char *name;
	} fields[] = {{1, "type"}, {2, "measurement"}, {4, "version"}, {5, "signer ID"}, {6, "description"}};
	char note[NOTE_SIZE] = "", other[24];
	snprintf(other, sizeof other, "%" PRId64, label.number);
	const char *name = other;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (cbor_label_is(label, fields[i].label))
			name = fields[i].name;
	json_t *v = read_value(value, note);
	if (!v || json_object_set_new(arg, name, v))
		return refuse(f, REASON_CBOR_TYPE, "a field of a software component cannot be read");
	return DONE;
}

static outcome read_components(struct cbor_reader *value, json_t *components, struct fault *f)
{
	struct cbor_item item;
	outcome o = cbor_expect(value, CBOR_ARRAY, &item, f);
	for (uint64_t i = 0; o.ok && i < item.number; i++) {
		json_t *component = json_object();
		json_array_append_new(components, component);
		o = cbor_map(value, component_field, component, f);
	}
	return o;
}

/* ---- claims ---- */

/* Takes `value` over, and takes each member over whether or not the one before could be set. */
static outcome add_claim(json_t *claims, struct cbor_label label, const char *name, const char *note,
			 json_t *value, struct fault *f)
{
	json_t *claim = json_object();
	json_t *key = label.text.p ? json_stringn((const char *)label.text.p, label.text.n)
				   : json_integer(label.number);
	bool failed = json_object_set_new(claim, "label", key) != 0;
	failed |= json_object_set_new(claim, "name", json_string(name)) != 0;
	failed |= json_object_set_new(claim, "value", value) != 0;
	failed |= json_object_set_new(claim, "note", json_string(note)) != 0;
	if (failed) {
		json_decref(claim);
		return refuse(f, REASON_CBOR_TYPE, "claim %s cannot be read", name);
	}
	json_array_append_new(claims, claim);
	return DONE;
}

static outcome claim_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	char note[NOTE_SIZE] = "";
	if (cbor_label_is(label, COMPONENTS) || cbor_label_is(label, COMPONENTS_PROFILE_1))
		return read_components(value, json_object_get(arg, "components"), f);
	json_t *claims = json_object_get(arg, "claims");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t k = 0; k < 3 && names[i].label[k]; k++)
			if (cbor_label_is(label, names[i].label[k])) {
				json_t *v = names[i].read(value, note);
				return add_claim(claims, label, names[i].name, note, v, f);
			}
	json_t *v = read_value(value, note);
	return add_claim(claims, label, "not known here", note, v, f);
}

static outcome header_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	return cbor_label_is(label, CWT_CLAIMS) ? cbor_map(value, claim_field, arg, f)
						: cbor_skip(value, NULL, f);
}

static const char *algorithm_name(int64_t alg)
{
	switch (alg) {
	case COSE_ES256:
		return "ES256 (ECDSA P-256, SHA-256)";
	case COSE_ESP256:
		return "ESP256 (ECDSA P-256, SHA-256)";
	case COSE_ES384:
		return "ES384 (ECDSA P-384, SHA-384)";
	case COSE_ES512:
		return "ES512 (ECDSA P-521, SHA-512)";
	}
	return "not known here";
}

bool claims_are_of_csr(struct bytes evidence)
{
	struct cose_sign1 cose;
	return cose_parse(evidence, &cose, NULL).ok && cose.payload.n && cose.payload.p[0] == DER_SEQUENCE;
}

json_t *claims_read(struct bytes evidence)
{
	struct cose_sign1 cose;
	json_t *out = json_pack("{s:[], s:[]}", "claims", "components");
	if (!out || !cose_parse(evidence, &cose, NULL).ok)
		return out;
	bool csr = claims_are_of_csr(evidence);
	struct cbor_reader r = cbor_reader(csr ? cose.protected_header : cose.payload);
	json_object_set_new(out, "algorithm", json_string(algorithm_name(cose.alg)));
	outcome o = cbor_map(&r, csr ? header_field : claim_field, out, NULL);
	json_object_set_new(out, "readable", json_boolean(o.ok));
	return out;
}

/* ---- for people ---- */

static void print_value(const json_t *value)
{
	if (json_is_integer(value))
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		text_print(json_string_value(value));
}

static void print_claim(const json_t *claim, bool colour)
{
	const char *note = json_string_value(json_object_get(claim, "note"));
	printf("  %-20s", json_string_value(json_object_get(claim, "name")));
	print_value(json_object_get(claim, "value"));
	if (note && note[0]) {
		fputs("  ", stdout);
		text_print_colour(colour, DIM, note);
	}
	putchar('\n');
}

static void print_component(size_t number, json_t *component)
{
	const char *key;
	json_t *value;
	printf("  software %zu\n", number);
	json_object_foreach(component, key, value) {
		printf("    %-18s", key);
		print_value(value);
		putchar('\n');
	}
}

void claims_print(const json_t *claims, bool colour)
{
	size_t i;
	json_t *item;
	const char *algorithm = json_string_value(json_object_get(claims, "algorithm"));
	printf("  %-20s%s\n", "signature", algorithm ? algorithm : "no COSE_Sign1 that can be read");
	json_array_foreach(json_object_get(claims, "claims"), i, item)
		print_claim(item, colour);
	json_array_foreach(json_object_get(claims, "components"), i, item)
		print_component(i + 1, item);
}
