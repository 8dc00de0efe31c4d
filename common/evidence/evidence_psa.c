#include "evidence_internal.h"

#include <string.h>

/* What a claim is called, where it stands in each encoding, and how its value is read. */
struct claim {
	const char *name;
	int64_t key[3]; /* PSA_IOT_PROFILE_1, http://arm.com/psa/2.0.0, RFC 9783 */
	bool required[3];
	outcome (*read)(struct evidence *e, struct cbor_reader *value, struct fault *f);
};

enum { KEY_PROFILE = 265, KEY_PROFILE_1 = -75000, KEY_PROFILE_1_FIRST = -75010 };
enum {
	COMPONENT_TYPE = 1,
	COMPONENT_VALUE = 2,
	COMPONENT_VERSION = 4,
	COMPONENT_SIGNER = 5,
	COMPONENT_DESCRIPTION = 6
};
enum { LIFECYCLE_SECURED = 0x30, BOOT_SEED_MIN = 8, BOOT_SEED_MAX = 32 };

static const struct {
	enum evidence_profile profile;
	int64_t key;
	const char *text;
} profiles[] = {
	{PROFILE_PSA_IOT_1, KEY_PROFILE_1, "PSA_IOT_PROFILE_1"},
	{PROFILE_PSA_2_0_0, KEY_PROFILE, "http://arm.com/psa/2.0.0"},
	{PROFILE_TFM_2023, KEY_PROFILE, "tag:psacertified.org,2023:psa#tfm"},
};

const char *evidence_profile_name(enum evidence_profile profile)
{
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
		if (profiles[i].profile == profile)
			return profiles[i].text;
	return "none";
}

static bool is_digest_size(size_t n)
{
	return n == 32 || n == 48 || n == 64;
}

static outcome read_nonce(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	outcome o = evidence_take(value, CBOR_BSTR, "nonce", &item, f);
	if (o.ok && !is_digest_size(item.bytes.n))
		return refuse(f, REASON_CLAIM_RANGE,
			      "RFC 9783 4.1.1: a nonce of %zu bytes; 32, 48 and 64 are allowed",
			      item.bytes.n);
	e->nonce = item.bytes;
	return o;
}

static outcome read_client(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	if (!cbor_int(value, &e->client_id, NULL).ok)
		return refuse(f, REASON_CLAIM_TYPE, "RFC 9783 4.1.2: the client ID is no integer");
	if (e->client_id == 0 || e->client_id < INT32_MIN || e->client_id > INT32_MAX)
		return refuse(f, REASON_CLAIM_RANGE, "RFC 9783 4.1.2: the client ID is 0 or beyond 32 bits");
	return DONE;
}

static outcome read_instance(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	return evidence_read_instance(value, e->instance_id, f);
}

static outcome read_implementation(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	outcome o = evidence_take(value, CBOR_BSTR, "implementation ID", &item, f);
	if (!o.ok)
		return o;
	if (item.bytes.n != sizeof e->implementation_id)
		return refuse(f, REASON_CLAIM_RANGE,
			      "RFC 9783 4.2.2: an implementation ID of %zu bytes; it has 32", item.bytes.n);
	memcpy(e->implementation_id, item.bytes.p, sizeof e->implementation_id);
	return DONE;
}

/* The one life cycle in which a report can be trusted without opting into debug (RFC 9783 4.3.1). */
static outcome read_lifecycle(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	outcome o = evidence_take(value, CBOR_UINT, "security lifecycle", &item, f);
	if (!o.ok)
		return o;
	if (item.number >> 8 != LIFECYCLE_SECURED)
		return refuse(f, REASON_LIFECYCLE,
			      "RFC 9783 4.3.1: life cycle 0x%llx is not SECURED (0x3000 to 0x30ff)",
			      (unsigned long long)item.number);
	e->lifecycle = (uint16_t)item.number;
	return DONE;
}

static outcome read_boot_seed(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	outcome o = evidence_take(value, CBOR_BSTR, "boot seed", &item, f);
	size_t least = e->profile == PROFILE_PSA_IOT_1 ? BOOT_SEED_MAX : BOOT_SEED_MIN;
	if (o.ok && (item.bytes.n < least || item.bytes.n > BOOT_SEED_MAX))
		return refuse(f, REASON_CLAIM_RANGE, "RFC 9783 4.3.2: a boot seed of %zu bytes",
			      item.bytes.n);
	e->boot_seed = item.bytes;
	return o;
}

/* RFC 9783 4.2.3: EAN-13 and a version; profile 1 knew the bare EAN-13. */
static bool is_certification_reference(struct bytes s, bool bare_allowed)
{
	for (size_t i = 0; i < s.n; i++)
		if (i == 13 ? s.p[i] != '-' : s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n == 19 || (bare_allowed && s.n == 13);
}

static outcome read_certification(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	outcome o = evidence_take(value, CBOR_TSTR, "certification reference", &item, f);
	if (o.ok && !is_certification_reference(item.bytes, e->profile == PROFILE_PSA_IOT_1))
		return refuse(f, REASON_CLAIM_RANGE,
			      "RFC 9783 4.2.3: the certification reference is no EAN-13 and version");
	return o;
}

static outcome read_verification_service(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	(void)e;
	return evidence_take(value, CBOR_TSTR, "verification service indicator", &item, f);
}

static outcome component_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct sw_component *c = arg;
	struct {
		int64_t key;
		enum cbor_type type;
		struct bytes *to;
	} fields[] = {
		{COMPONENT_TYPE, CBOR_TSTR, &c->type},
		{COMPONENT_VALUE, CBOR_BSTR, &c->value},
		{COMPONENT_VERSION, CBOR_TSTR, &c->version},
		{COMPONENT_SIGNER, CBOR_BSTR, &c->signer},
		{COMPONENT_DESCRIPTION, CBOR_TSTR, &c->description},
	};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		if (!cbor_label_is(label, fields[i].key))
			continue;
		struct cbor_item item;
		outcome o = evidence_take(value, fields[i].type, "software component", &item, f);
		*fields[i].to = item.bytes;
		return o;
	}
	return cbor_skip(value, NULL, f);
}

static outcome read_component(struct sw_component *c, struct cbor_reader *value, struct fault *f)
{
	outcome o = cbor_map(value, component_field, c, f);
	if (!o.ok)
		return o;
	if (!is_digest_size(c->value.n))
		return refuse(f, REASON_SW_COMPONENTS,
			      "RFC 9783 4.4.1.2: a software component without a measurement value of "
			      "32, 48 or 64 bytes");
	if (!is_digest_size(c->signer.n))
		return refuse(f, REASON_SW_COMPONENTS,
			      "RFC 9783 4.4.1.4: a software component without a signer ID of 32, 48 or "
			      "64 bytes");
	return DONE;
}

static outcome read_components(struct evidence *e, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	outcome o = evidence_take(value, CBOR_ARRAY, "software components", &item, f);
	if (!o.ok)
		return o;
	if (item.number == 0 || item.number > SW_COMPONENTS_MAX)
		return refuse(f, REASON_SW_COMPONENTS,
			      "RFC 9783 4.4.1: %llu software components; 1 to %d are accepted",
			      (unsigned long long)item.number, SW_COMPONENTS_MAX);
	for (e->component_count = 0; o.ok && e->component_count < item.number; e->component_count++)
		o = read_component(&e->components[e->component_count], value, f);
	return o;
}

/* RFC 9783 table 2, and the two encodings that deployed firmware still speaks. */
static const struct claim claims[] = {
	{"nonce", {-75008, 10, 10}, {true, true, true}, read_nonce},
	{"instance ID", {-75009, 256, 256}, {true, true, true}, read_instance},
	{"implementation ID", {-75003, 2396, 2396}, {true, true, true}, read_implementation},
	{"client ID", {-75001, 2394, 2394}, {true, true, true}, read_client},
	{"security lifecycle", {-75002, 2395, 2395}, {true, true, true}, read_lifecycle},
	{"boot seed", {-75004, 2397, 268}, {true, false, false}, read_boot_seed},
	{"certification reference", {-75005, 2398, 2398}, {false, false, false}, read_certification},
	{"software components", {-75006, 2399, 2399}, {true, true, true}, read_components},
	{"verification service indicator",
	 {-75010, 2400, 2400},
	 {false, false, false},
	 read_verification_service},
};
enum { CLAIM_COUNT = sizeof claims / sizeof *claims };

struct walk {
	struct evidence *e;
	bool seen[CLAIM_COUNT];
	bool has_profile_1_claims;
};

static outcome read_profile(struct evidence *e, int64_t key, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	if (!cbor_expect(value, CBOR_TSTR, &item, NULL).ok)
		return refuse(f, REASON_PROFILE, "RFC 9783 4.5.2: the profile is no text string");
	if (e->profile != PROFILE_NONE)
		return refuse(f, REASON_PROFILE, "RFC 9783 4.6: the token names two profiles");
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
		if (profiles[i].key == key && bytes_equal(item.bytes, bytes_str(profiles[i].text)))
			e->profile = profiles[i].profile;
	if (e->profile == PROFILE_NONE)
		return refuse(f, REASON_PROFILE,
			      "RFC 9783 4.5.2: the token's profile is not one that is accepted here");
	return DONE;
}

static outcome profile_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct walk *w = arg;
	if (cbor_label_is(label, KEY_PROFILE) || cbor_label_is(label, KEY_PROFILE_1))
		return read_profile(w->e, label.number, value, f);
	w->has_profile_1_claims |=
		!label.text.p && label.number >= KEY_PROFILE_1_FIRST && label.number < KEY_PROFILE_1;
	return cbor_skip(value, NULL, f);
}

/* Profile 1 may leave its name out; its claims then say which it is. */
static outcome find_profile(struct walk *w, struct fault *f)
{
	struct cbor_reader r = cbor_reader(w->e->cose.payload);
	outcome o = cbor_map(&r, profile_field, w, f);
	if (o.ok)
		o = cbor_end(&r, f);
	if (!o.ok || w->e->profile != PROFILE_NONE)
		return o;
	if (!w->has_profile_1_claims)
		return refuse(f, REASON_PROFILE, "RFC 9783 4.5.2: the token names no profile");
	w->e->profile = PROFILE_PSA_IOT_1;
	return DONE;
}

/* Claims that are not understood are passed over: RFC 9783 5.1.3. */
static outcome claim_field(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct walk *w = arg;
	for (size_t i = 0; i < CLAIM_COUNT; i++) {
		if (!cbor_label_is(label, claims[i].key[w->e->profile - PROFILE_PSA_IOT_1]))
			continue;
		w->seen[i] = true;
		return claims[i].read(w->e, value, f);
	}
	return cbor_skip(value, NULL, f);
}

outcome evidence_psa_read(struct evidence *e, struct fault *f)
{
	struct walk w = {.e = e};
	outcome o = find_profile(&w, f);
	if (!o.ok)
		return o;
	struct cbor_reader r = cbor_reader(e->cose.payload);
	o = cbor_map(&r, claim_field, &w, f);
	for (size_t i = 0; o.ok && i < CLAIM_COUNT; i++)
		if (claims[i].required[e->profile - PROFILE_PSA_IOT_1] && !w.seen[i])
			o = refuse(f, REASON_CLAIM_MISSING, "RFC 9783 4: the %s is missing", claims[i].name);
	return o;
}

static void put_component(struct buf *b, const struct sw_component *c)
{
	const struct {
		uint64_t key;
		bool is_text;
		struct bytes value;
	} fields[] = {
		{COMPONENT_TYPE, true, c->type},
		{COMPONENT_VALUE, false, c->value},
		{COMPONENT_VERSION, true, c->version},
		{COMPONENT_SIGNER, false, c->signer},
		{COMPONENT_DESCRIPTION, true, c->description},
	};
	size_t count = 0;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		count += fields[i].value.n != 0;
	cbor_put_map(b, count);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		if (fields[i].value.n == 0)
			continue;
		cbor_put_uint(b, fields[i].key);
		if (fields[i].is_text)
			cbor_put_text(b, fields[i].value);
		else
			cbor_put_bstr(b, fields[i].value);
	}
}

/* Keys in the order of their encodings (RFC 8949 4.2.1). */
void evidence_build_psa_payload(struct buf *payload, const struct psa_claims *c)
{
	cbor_put_map(payload, 8);
	cbor_put_uint(payload, 10);
	cbor_put_bstr(payload, bytes_of(c->nonce, sizeof c->nonce));
	cbor_put_uint(payload, 256);
	cbor_put_bstr(payload, bytes_of(c->instance_id, sizeof c->instance_id));
	cbor_put_uint(payload, KEY_PROFILE);
	cbor_put_tstr(payload, evidence_profile_name(PROFILE_TFM_2023));
	cbor_put_uint(payload, 268);
	cbor_put_bstr(payload, bytes_of(c->boot_seed, sizeof c->boot_seed));
	cbor_put_uint(payload, 2394);
	cbor_put_int(payload, c->client_id);
	cbor_put_uint(payload, 2395);
	cbor_put_uint(payload, c->lifecycle);
	cbor_put_uint(payload, 2396);
	cbor_put_bstr(payload, bytes_of(c->implementation_id, sizeof c->implementation_id));
	cbor_put_uint(payload, 2399);
	cbor_put_array(payload, c->component_count);
	for (size_t i = 0; i < c->component_count; i++)
		put_component(payload, &c->components[i]);
}
