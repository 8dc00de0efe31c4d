#include "ear.h"

#include <string.h>

enum { REASON_TEXT_MAX = 63, VALUE_UNEXPECTED = 1 };

/* The two spellings. A result that claims one profile is read in that profile's words only. */
struct spelling {
	const char *profile;
	const char *status;
	const char *vector;
	bool real_times; /* Veraison's Go encoder wrote 1.6e+09 */
};

static const struct spelling spellings[] = {
	{"tag:ietf.org,2026:rats/ear#03", "ear_status", "ear_trustworthiness_vector", false},
	{"tag:github.com,2023:veraison/ear", "ear.status", "ear.trustworthiness-vector", true},
};

/* Claims that Veraison defined. Ours have its names; the draft's examples spell them with underscores. */
static const char *const annotated_evidence[] = {"ear.veraison.annotated-evidence",
						 "ear_veraison_annotated_evidence"};
static const char *const key_attestation[] = {"ear.veraison.key-attestation", "ear_veraison_key_attestation"};
static const char own_reason[] = "mooring_reason";
static const char instance_claim[] = "psa-instance-id";

static const struct {
	const char *name;
	int value;
} tiers[] = {
	{"none", 0},
	{"affirming", EAR_AFFIRMING},
	{"warning", EAR_WARNING},
	{"contraindicated", EAR_CONTRAINDICATED},
};

static const char *const vector_labels[] = {
	"instance-identity", "configuration",  "executables",	 "file-system",
	"hardware",	     "runtime-opaque", "storage-opaque", "sourced-data",
};
enum { VECTOR_COUNT = sizeof vector_labels / sizeof *vector_labels };

/* What a result says, before any of it is checked. */
struct claims {
	const struct spelling *spelling;
	int64_t issued_at, not_after, not_before;
	bool has_nonce;
	uint8_t nonce[BINDING_SIZE];
	int outer_status; /* of the whole result; affirming where absent */
	int bad_value;	  /* a trustworthiness value that speaks against the device */
	const char *bad_label;
	uint8_t attested_spki[SPKI_MAX];
	size_t attested_spki_size; /* 0 where no key is attested */
};

static outcome malformed(struct fault *f, const char *what)
{
	return refuse(f, REASON_EAR_MALFORMED, "draft-ietf-rats-ear-04: %s", what);
}

static outcome read_profile(const json_t *payload, struct claims *c, struct fault *f)
{
	const char *profile = json_string_value(json_object_get(payload, "eat_profile"));
	for (size_t i = 0; profile && i < sizeof spellings / sizeof *spellings; i++)
		if (!strcmp(profile, spellings[i].profile))
			c->spelling = &spellings[i];
	return c->spelling ? DONE : malformed(f, "eat_profile is missing or not one that is known here");
}

/* A NumericDate in whole seconds; *out keeps what it held where an optional one is absent. */
static outcome read_time(const json_t *payload, const char *name, bool required, struct claims *c,
			 int64_t *out, struct fault *f)
{
	const json_t *value = json_object_get(payload, name);
	double real = json_real_value(value);
	if (!value && !required)
		return DONE;
	if (json_is_integer(value))
		*out = json_integer_value(value);
	else if (json_is_real(value) && c->spelling->real_times && real >= 0 && real < 1e12 &&
		 (double)(int64_t)real == real)
		*out = (int64_t)real;
	else
		return malformed(f, "iat is missing, or a time is no whole number of seconds");
	return *out >= 0 ? DONE : malformed(f, "a time lies before 1970");
}

static void read_nonce(const json_t *payload, struct claims *c)
{
	const json_t *value = json_object_get(payload, "eat_nonce");
	size_t n;
	c->has_nonce = json_is_string(value) &&
		       base64url_decode(json_string_value(value), json_string_length(value), c->nonce,
					sizeof c->nonce, &n) &&
		       n == sizeof c->nonce;
}

/* A tier, by its name or its number. */
static bool read_tier(const json_t *value, int *out)
{
	const char *name = json_string_value(value);
	for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
		*out = tiers[i].value;
		if (name ? !strcmp(name, tiers[i].name)
			 : json_is_integer(value) && json_integer_value(value) == *out)
			return true;
	}
	return false;
}

/* Values speak against the device from 32 up and below 0; 1 says that the evidence was not understood. */
static bool speaks_against(json_int_t value)
{
	return value < 0 || value == VALUE_UNEXPECTED || value >= EAR_WARNING;
}

static bool is_vector_label(const char *label)
{
	for (size_t i = 0; i < VECTOR_COUNT; i++)
		if (!strcmp(label, vector_labels[i]))
			return true;
	return false;
}

static outcome read_vector(json_t *vector, struct claims *c, struct fault *f)
{
	const char *label;
	json_t *value;
	if (vector && !json_is_object(vector))
		return malformed(f, "the trustworthiness vector is no object");
	json_object_foreach(vector, label, value) {
		if (!is_vector_label(label))
			return malformed(f, "the trustworthiness vector holds a label that is not known");
		if (!json_is_integer(value) || json_integer_value(value) < -128 ||
		    json_integer_value(value) > 127)
			return malformed(f, "a trustworthiness value is no integer of -128 to 127");
		if (speaks_against(json_integer_value(value))) {
			c->bad_value = (int)json_integer_value(value);
			c->bad_label = label;
		}
	}
	return DONE;
}

/* An extension in either spelling: an object, NULL where absent. */
static outcome read_extension(const json_t *submod, const char *const names[2], const json_t **out,
			      struct fault *f)
{
	const json_t *a = json_object_get(submod, names[0]), *b = json_object_get(submod, names[1]);
	*out = a ? a : b;
	if ((a && b) || (*out && !json_is_object(*out)))
		return malformed(f, "an extension is there twice, or no object");
	return DONE;
}

static outcome read_instance(const json_t *submod, struct ear *out, struct fault *f)
{
	const json_t *annotated;
	size_t n;
	outcome o = read_extension(submod, annotated_evidence, &annotated, f);
	const json_t *value = json_object_get(annotated, instance_claim);
	if (!o.ok || !value)
		return o;
	out->has_instance_id = json_is_string(value) &&
			       base64_decode(json_string_value(value), json_string_length(value),
					     out->instance_id, sizeof out->instance_id, &n) &&
			       n == sizeof out->instance_id;
	return out->has_instance_id ? DONE : malformed(f, "psa-instance-id is no base64 of 33 bytes");
}

static outcome read_attested_key(const json_t *submod, struct claims *c, struct fault *f)
{
	const json_t *attestation;
	outcome o = read_extension(submod, key_attestation, &attestation, f);
	const json_t *key = json_object_get(attestation, "akpub");
	if (!o.ok || !attestation)
		return o;
	if (!json_is_string(key) ||
	    !base64url_decode(json_string_value(key), json_string_length(key), c->attested_spki,
			      sizeof c->attested_spki, &c->attested_spki_size) ||
	    c->attested_spki_size == 0)
		return malformed(f, "the key attestation holds no akpub in base64url");
	return DONE;
}

/* A reason code goes into the operator's log: codes are all it can be. */
static outcome read_reason(const json_t *submod, struct ear *out, struct fault *f)
{
	const json_t *value = json_object_get(submod, own_reason);
	const char *text = json_string_value(value);
	if (!value)
		return DONE;
	if (!text || strlen(text) > REASON_TEXT_MAX ||
	    text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return malformed(f, "mooring_reason is no reason code");
	strcpy(out->reason, text);
	return DONE;
}

static outcome read_submod(const json_t *submod, struct claims *c, struct ear *out, struct fault *f)
{
	if (!json_is_object(submod))
		return malformed(f, "the submodule is no object");
	if (!read_tier(json_object_get(submod, c->spelling->status), &out->status))
		return malformed(f, "the submodule's status is missing or no tier");
	outcome o = read_vector(json_object_get(submod, c->spelling->vector), c, f);
	if (o.ok)
		o = read_instance(submod, out, f);
	if (o.ok)
		o = read_attested_key(submod, c, f);
	return o.ok ? read_reason(submod, out, f) : o;
}

static outcome read_claims(json_t *payload, struct claims *c, struct ear *out, struct fault *f)
{
	outcome o = read_profile(payload, c, f);
	if (o.ok)
		o = read_time(payload, "iat", true, c, &c->issued_at, f);
	if (o.ok)
		o = read_time(payload, "exp", false, c, &c->not_after, f);
	if (o.ok)
		o = read_time(payload, "nbf", false, c, &c->not_before, f);
	if (!o.ok)
		return o;
	out->issued_at = c->issued_at;
	read_nonce(payload, c);
	json_t *outer = json_object_get(payload, c->spelling->status),
	       *submods = json_object_get(payload, "submods");
	if (outer && !read_tier(outer, &c->outer_status))
		return malformed(f, "the status of the whole is no tier");
	if (!json_is_object(submods) || json_object_size(submods) != 1)
		return malformed(f, "submods does not hold exactly one submodule");
	return read_submod(json_object_iter_value(json_object_iter(submods)), c, out, f);
}

static outcome check_freshness(const struct claims *c, const struct ear_expect *expect, struct fault *f)
{
	int64_t now = expect->now;
	if (!c->has_nonce ||
	    !bytes_equal_ct(bytes_of(c->nonce, BINDING_SIZE), bytes_of(expect->binding, BINDING_SIZE)))
		return refuse(f, REASON_EAR_NONCE,
			      "draft-ietf-rats-ear-04: eat_nonce is not the binding of this request");
	if (c->issued_at > now + EAR_SKEW_S || c->issued_at < now - EAR_AGE_MAX_S)
		return refuse(f, REASON_EAR_AGE, "the result was issued %lld s ago; -%d to %d are accepted",
			      (long long)(now - c->issued_at), EAR_SKEW_S, EAR_AGE_MAX_S);
	if (c->not_after <= now || c->not_before > now + EAR_SKEW_S)
		return refuse(f, REASON_EAR_AGE, "RFC 7519 4.1.4, 4.1.5: the result is outside its validity");
	return DONE;
}

static outcome check_appraisal(const struct claims *c, const struct ear_expect *expect, const struct ear *ear,
			       struct fault *f)
{
	if (ear->status != EAR_AFFIRMING || c->outer_status != EAR_AFFIRMING)
		return refuse(f, REASON_EAR_STATUS, "the verifier's status is %d, not affirming%s%s",
			      ear->status != EAR_AFFIRMING ? ear->status : c->outer_status,
			      *ear->reason ? ": " : "", ear->reason);
	if (c->bad_label)
		return refuse(f, REASON_EAR_STATUS, "the status is affirming, but %s is %d", c->bad_label,
			      c->bad_value);
	if (c->attested_spki_size &&
	    !bytes_equal(bytes_of(c->attested_spki, c->attested_spki_size), expect->csr_spki))
		return refuse(f, REASON_EAR_KEY,
			      "the attested key is not the key of the certificate request");
	return DONE;
}

outcome ear_check(struct bytes jwt, const struct ear_expect *expect, struct ear *out, struct fault *f)
{
	struct claims c = {.not_after = INT64_MAX, .outer_status = EAR_AFFIRMING};
	json_t *payload = NULL;
	*out = (struct ear){0};
	outcome o = jws_verify(jwt, expect->keys, expect->key_count, &payload, f);
	if (o.ok)
		o = read_claims(payload, &c, out, f);
	if (o.ok)
		o = check_freshness(&c, expect, f);
	if (o.ok)
		o = check_appraisal(&c, expect, out, f);
	json_decref(payload);
	return o;
}

static json_t *build_vector(const struct ear_appraisal *a)
{
	/* AR4SI 2.3.4: 99 everywhere says that nothing about the evidence could be verified. */
	if (a->reason != REASON_NONE)
		return json_pack("{si si si}", "instance-identity", 99, "executables", 99, "hardware", 99);
	return json_pack("{si si si}", "instance-identity", EAR_AFFIRMING, "executables", EAR_AFFIRMING,
			 "hardware", EAR_AFFIRMING);
}

/* Adds {outer: {inner: text}}. */
static bool add_nested(json_t *submod, const char *outer, const char *inner, const char *text)
{
	return json_object_set_new(submod, outer, json_pack("{ss}", inner, text)) == 0;
}

static json_t *build_submod(const struct ear_appraisal *a)
{
	char instance[BASE64_SIZE(INSTANCE_ID_SIZE)], key[BASE64_SIZE(SPKI_MAX)];
	bool affirming = a->reason == REASON_NONE;
	json_t *submod =
		json_pack("{ss so}", spellings[0].status, affirming ? "affirming" : "contraindicated",
			  spellings[0].vector, build_vector(a));
	bool ok = submod != NULL;
	if (ok && a->instance_id) {
		base64_encode(bytes_of(a->instance_id, INSTANCE_ID_SIZE), instance);
		ok = add_nested(submod, annotated_evidence[0], instance_claim, instance);
	}
	if (ok && a->attested_spki.n && a->attested_spki.n <= SPKI_MAX) {
		base64url_encode(a->attested_spki, key);
		ok = add_nested(submod, key_attestation[0], "akpub", key);
	}
	if (ok && !affirming)
		ok = json_object_set_new(submod, own_reason, json_string(reason_code(a->reason))) == 0;
	if (!ok) {
		json_decref(submod);
		submod = NULL;
	}
	return submod;
}

outcome ear_build(const struct ear_appraisal *a, EVP_PKEY *key, const char *kid, char **jwt, struct fault *f)
{
	char nonce[BASE64_SIZE(BINDING_SIZE)];
	base64url_encode(bytes_of(a->nonce, sizeof a->nonce), nonce);
	json_t *payload =
		json_pack("{ss sI ss s{ss ss} s{so}}", "eat_profile", spellings[0].profile, "iat",
			  (json_int_t)a->now, "eat_nonce", nonce, "ear_verifier_id", "developer",
			  a->verifier ? a->verifier : "mooring", "build", "mooring-attestd", "submods",
			  a->type == EVIDENCE_COSE_CSR ? "COSE_CSR" : "PSA_IOT", build_submod(a));
	*jwt = NULL;
	outcome o = payload ? jws_sign(payload, key, kid, "JWT", jwt, f)
			    : refuse(f, REASON_NO_MEMORY, "no memory for a result");
	json_decref(payload);
	return o;
}
