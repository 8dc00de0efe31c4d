#include "common/evidence/ear.h"

#include "vectors.h"

enum { NOW = 1800000000 };

static EVP_PKEY *verifier, *attested;
static uint8_t attested_spki[SPKI_MAX];
static size_t attested_spki_size;
static uint8_t binding[BINDING_SIZE];
static uint8_t instance_id[INSTANCE_ID_SIZE] = {1, 2, 3};

static int setup(void **state)
{
	(void)state;
	verifier = p256_key_generate();
	attested = p256_key_generate();
	attested_spki_size = ec_key_to_spki(attested, attested_spki, sizeof attested_spki);
	for (size_t i = 0; i < sizeof binding; i++)
		binding[i] = (uint8_t)(200 + i);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(verifier);
	EVP_PKEY_free(attested);
	return 0;
}

static outcome check_at(const char *jwt, EVP_PKEY *key, int64_t now, struct ear *ear, struct fault *f)
{
	struct ear_expect expect = {
		.keys = &key, .key_count = 1, .csr_spki = {attested_spki, attested_spki_size}, .now = now};
	memcpy(expect.binding, binding, sizeof binding);
	*f = (struct fault){0};
	struct bytes in = heap_copy(bytes_str(jwt));
	outcome o = ear_check(in, &expect, ear, f);
	heap_free(in);
	return o;
}

/* RFC 7396: null removes, objects merge, all else replaces. */
static void merge(json_t *into, const json_t *patch)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)patch, name, value) {
		json_t *old = json_object_get(into, name);
		if (json_is_null(value))
			json_object_del(into, name);
		else if (json_is_object(value) && json_is_object(old))
			merge(old, value);
		else
			json_object_set(into, name, value);
	}
}

static char *sign(const json_t *payload, EVP_PKEY *key)
{
	char *jwt;
	struct fault f;
	accepted(jws_sign(payload, key, NULL, "JWT", &jwt, &f), &f, "signing");
	return jwt;
}

/* An affirming result in one of the spellings, changed by `patch`. */
static json_t *result(const char *base, const char *patch)
{
	char nonce[BASE64_SIZE(BINDING_SIZE)];
	json_t *payload = json_loads(base, 0, NULL), *change = json_loads(patch, 0, NULL);
	if (!payload || !change)
		fail_msg("not JSON: %s", patch);
	base64url_encode(bytes_of(binding, sizeof binding), nonce);
	json_object_set_new(payload, "eat_nonce", json_string(nonce));
	merge(payload, change);
	json_decref(change);
	return payload;
}

static const char draft[] =
	"{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#03\",\"iat\":1800000000,"
	"\"ear_verifier_id\":{\"developer\":\"d\",\"build\":\"b\"},\"submods\":{\"S\":{\"ear_status\":"
	"\"affirming\",\"ear_trustworthiness_vector\":{\"instance-identity\":2,\"hardware\":2}}}}";
static const char veraison[] =
	"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,"
	"\"ear.verifier-id\":{\"developer\":\"d\",\"build\":\"b\"},\"submods\":{\"PSA_IOT\":{"
	"\"ear.status\":\"affirming\",\"ear.trustworthiness-vector\":{\"instance-identity\":2,"
	"\"configuration\":0,\"executables\":3,\"file-system\":2,\"hardware\":2,\"runtime-opaque\":2,"
	"\"storage-opaque\":2,\"sourced-data\":31},\"ear.appraisal-policy-id\":\"policy:PSA_IOT\"}}}";

#define IN_DRAFT(x) "{\"submods\":{\"S\":" x "}}"
#define IN_VERAISON(x) "{\"submods\":{\"PSA_IOT\":" x "}}"
#define VECTOR(x) IN_DRAFT("{\"ear_trustworthiness_vector\":" x "}")
#define MALFORMED REASON_EAR_MALFORMED

static const struct {
	const char *base, *patch;
	enum reason reason; /* REASON_NONE: accepted */
} cases[] = {
	{draft, "{}", REASON_NONE},
	{veraison, "{}", REASON_NONE},
	{draft, IN_DRAFT("{\"ear_status\":2}"), REASON_NONE},
	{veraison, IN_VERAISON("{\"ear.status\":2}"), REASON_NONE},
	{draft, "{\"ear_status\":\"affirming\"}", REASON_NONE},
	{draft, "{\"ear_status\":2,\"exp\":1800000001,\"nbf\":1800000060,\"unknown\":[1]}", REASON_NONE},
	{veraison, "{\"iat\":1.8e9}", REASON_NONE},
	{draft, IN_DRAFT("{\"ear_trustworthiness_vector\":null}"), REASON_NONE},

	/* profile and spelling */
	{draft, "{\"eat_profile\":null}", MALFORMED},
	{draft, "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#99\"}", MALFORMED},
	{draft, "{\"eat_profile\":[\"tag:ietf.org,2026:rats/ear#03\"]}", MALFORMED},
	{draft, "{\"eat_profile\":\"tag:github.com,2023:veraison/ear\"}", MALFORMED},
	{veraison, "{\"eat_profile\":\"tag:ietf.org,2026:rats/ear#03\"}", MALFORMED},

	/* times */
	{draft, "{\"iat\":null}", MALFORMED},
	{draft, "{\"iat\":\"1800000000\"}", MALFORMED},
	{draft, "{\"iat\":1.8e9}", MALFORMED},
	{draft, "{\"iat\":-5}", MALFORMED},
	{veraison, "{\"iat\":1800000000.5}", MALFORMED},
	{veraison, "{\"iat\":1.8e300}", MALFORMED},
	{veraison, "{\"iat\":-1.0}", MALFORMED},
	{draft, "{\"exp\":\"never\"}", MALFORMED},
	{draft, "{\"iat\":1800000060}", REASON_NONE},
	{draft, "{\"iat\":1800000061}", REASON_EAR_AGE},
	{draft, "{\"iat\":1799999700}", REASON_NONE},
	{draft, "{\"iat\":1799999699}", REASON_EAR_AGE},
	{draft, "{\"iat\":9223372036854775807}", REASON_EAR_AGE},
	{draft, "{\"exp\":1800000000}", REASON_EAR_AGE},
	{draft, "{\"nbf\":1800000061}", REASON_EAR_AGE},

	/* the binding */
	{draft, "{\"eat_nonce\":null}", REASON_EAR_NONCE},
	{draft, "{\"eat_nonce\":\"\"}", REASON_EAR_NONCE},
	{draft, "{\"eat_nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", REASON_EAR_NONCE},
	{draft, "{\"eat_nonce\":7}", REASON_EAR_NONCE},
	{draft, "{\"eat_nonce\":[\"yMnKy8zNzs_Q0dLT1NXW19jZ2tvc3d7f4OHi4-Tl5uc\"]}", REASON_EAR_NONCE},
	{draft, "{\"eat_nonce\":\"yMnKy8zNzs_Q0dLT1NXW19jZ2tvc3d7f4OHi4-Tl5uc\"}", REASON_NONE},
	{draft, "{\"eat_nonce\":\"yMnKy8zNzs_Q0dLT1NXW19jZ2tvc3d7f4OHi4-Tl5uc=\"}", REASON_NONE},
	{draft, "{\"eat_nonce\":\"yMnKy8zNzs_Q0dLT1NXW19jZ2tvc3d7f4OHi4-Tl5udA\"}", REASON_EAR_NONCE},

	/* submodules */
	{draft, "{\"submods\":null}", MALFORMED},
	{draft, "{\"submods\":[]}", MALFORMED},
	{draft, "{\"submods\":{\"S\":null}}", MALFORMED},
	{draft, "{\"submods\":{\"S\":[]}}", MALFORMED},
	{draft, "{\"submods\":{\"T\":{\"ear_status\":\"affirming\"}}}", MALFORMED},

	/* status */
	{draft, IN_DRAFT("{\"ear_status\":null}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear_status\":\"Affirming\"}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear_status\":3}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear_status\":true}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear_status\":\"none\"}"), REASON_EAR_STATUS},
	{draft, IN_DRAFT("{\"ear_status\":0}"), REASON_EAR_STATUS},
	{draft, IN_DRAFT("{\"ear_status\":\"warning\"}"), REASON_EAR_STATUS},
	{draft, IN_DRAFT("{\"ear_status\":32}"), REASON_EAR_STATUS},
	{draft, IN_DRAFT("{\"ear_status\":\"contraindicated\"}"), REASON_EAR_STATUS},
	{veraison, IN_VERAISON("{\"ear.status\":\"contraindicated\"}"), REASON_EAR_STATUS},
	{draft, "{\"ear_status\":\"contraindicated\"}", REASON_EAR_STATUS},
	{draft, "{\"ear_status\":\"fine\"}", MALFORMED},

	/* trustworthiness vector */
	{draft, VECTOR("[2]"), MALFORMED},
	{draft, VECTOR("{\"hardware\":\"2\"}"), MALFORMED},
	{draft, VECTOR("{\"hardware\":2.0}"), MALFORMED},
	{draft, VECTOR("{\"hardware\":128}"), MALFORMED},
	{draft, VECTOR("{\"hardware\":-129}"), MALFORMED},
	{draft, VECTOR("{\"Hardware\":2}"), MALFORMED},
	{draft, VECTOR("{\"made-up\":2}"), MALFORMED},
	{draft, VECTOR("{\"hardware\":0}"), REASON_NONE},
	{draft, VECTOR("{\"hardware\":31}"), REASON_NONE},
	{draft, VECTOR("{\"hardware\":1}"), REASON_EAR_STATUS},
	{draft, VECTOR("{\"hardware\":32}"), REASON_EAR_STATUS},
	{draft, VECTOR("{\"hardware\":33}"), REASON_EAR_STATUS},
	{draft, VECTOR("{\"hardware\":96}"), REASON_EAR_STATUS},
	{draft, VECTOR("{\"hardware\":127}"), REASON_EAR_STATUS},
	{draft, VECTOR("{\"hardware\":-1}"), REASON_EAR_STATUS},
	{draft, VECTOR("{\"hardware\":-128}"), REASON_EAR_STATUS},

	/* extensions */
	{draft, IN_DRAFT("{\"ear.veraison.key-attestation\":{}}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.key-attestation\":\"x\"}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.key-attestation\":{\"akpub\":7}}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.key-attestation\":{\"akpub\":\"+\"}}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.key-attestation\":{\"akpub\":\"\"}}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.key-attestation\":{\"akpub\":\"MFkw\"}}"), REASON_EAR_KEY},
	{draft, IN_DRAFT("{\"ear_veraison_key_attestation\":{\"akpub\":\"MFkw\"}}"), REASON_EAR_KEY},
	{veraison, IN_VERAISON("{\"ear.veraison.key-attestation\":{\"akpub\":\"MFkw\"}}"), REASON_EAR_KEY},
	{draft, IN_DRAFT("{\"ear.veraison.annotated-evidence\":{},\"ear_veraison_annotated_evidence\":{}}"),
	 MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.annotated-evidence\":[]}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.annotated-evidence\":{\"x\":1}}"), REASON_NONE},
	{draft, IN_DRAFT("{\"ear.veraison.annotated-evidence\":{\"psa-instance-id\":7}}"), MALFORMED},
	{draft, IN_DRAFT("{\"ear.veraison.annotated-evidence\":{\"psa-instance-id\":\"AQID\"}}"), MALFORMED},
	{draft, IN_DRAFT("{\"mooring_reason\":7}"), MALFORMED},
	{draft, IN_DRAFT("{\"mooring_reason\":\"a\\nb\"}"), MALFORMED},
	{draft,
	 IN_DRAFT(
		 "{\"mooring_reason\":\"0123456789012345678901234567890123456789012345678901234567890123\"}"),
	 MALFORMED},
};

static void test_results_are_taken_or_refused_as_their_row_says(void **state)
{
	(void)state;
	struct ear ear;
	struct fault f;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *payload = result(cases[i].base, cases[i].patch);
		char *jwt = sign(payload, verifier);
		outcome o = check_at(jwt, verifier, NOW, &ear, &f);
		if (cases[i].reason == REASON_NONE)
			accepted(o, &f, cases[i].patch);
		else
			refused_for(o, &f, cases[i].reason, cases[i].patch);
		free(jwt);
		json_decref(payload);
	}
}

static void test_two_submodules_are_refused(void **state)
{
	(void)state;
	struct ear ear;
	struct fault f;
	json_t *payload = result(draft, "{\"submods\":{\"T\":{\"ear_status\":\"affirming\"}}}");
	assert_int_equal(json_object_size(json_object_get(payload, "submods")), 2);
	char *jwt = sign(payload, verifier);
	refused_for(check_at(jwt, verifier, NOW, &ear, &f), &f, REASON_EAR_MALFORMED, "two submodules");
	free(jwt);
	json_decref(payload);
}

static char *build(const struct ear_appraisal *v)
{
	char *jwt;
	struct fault f;
	accepted(ear_build(v, verifier, "k1", &jwt, &f), &f, "building");
	return jwt;
}

static void test_an_affirming_result_built_here_is_accepted(void **state)
{
	(void)state;
	struct ear ear;
	struct fault f;
	struct ear_appraisal v = {.type = EVIDENCE_COSE_CSR,
				  .instance_id = instance_id,
				  .now = NOW,
				  .attested_spki = {attested_spki, attested_spki_size},
				  .verifier = "example-rot-vendor"};
	memcpy(v.nonce, binding, sizeof binding);
	char *jwt = build(&v);
	accepted(check_at(jwt, verifier, NOW, &ear, &f), &f, "built here");
	assert_true(ear.has_instance_id);
	assert_memory_equal(ear.instance_id, instance_id, sizeof instance_id);
	assert_int_equal(ear.status, EAR_AFFIRMING);
	assert_int_equal(ear.issued_at, NOW);
	assert_string_equal(ear.reason, "");
	refused_for(check_at(jwt, attested, NOW, &ear, &f), &f, REASON_EAR_SIGNATURE,
		    "a key that is not pinned");
	assert_false(ear.has_instance_id);
	refused_for(check_at(jwt, verifier, NOW + 301, &ear, &f), &f, REASON_EAR_AGE, "301 s later");
	refused_for(check_at(jwt, verifier, NOW - 61, &ear, &f), &f, REASON_EAR_AGE, "61 s before");
	free(jwt);
	v.attested_spki.n--;
	jwt = build(&v);
	refused_for(check_at(jwt, verifier, NOW, &ear, &f), &f, REASON_EAR_KEY, "another key attested");
	free(jwt);
}

static void test_a_refusing_result_carries_the_verifiers_reason(void **state)
{
	(void)state;
	struct ear ear;
	struct fault f;
	struct ear_appraisal v = {.type = EVIDENCE_PSA_TOKEN, .now = NOW, .reason = REASON_DEVICE_SUSPENDED};
	memcpy(v.nonce, binding, sizeof binding);
	char *jwt = build(&v);
	refused_for(check_at(jwt, verifier, NOW, &ear, &f), &f, REASON_EAR_STATUS, "suspended");
	assert_int_equal(ear.status, EAR_CONTRAINDICATED);
	assert_string_equal(ear.reason, "device-suspended");
	assert_false(ear.has_instance_id);
	assert_non_null(strstr(f.text, "device-suspended"));
	free(jwt);
}

static void test_no_changed_or_shortened_result_is_accepted(void **state)
{
	(void)state;
	struct ear ear;
	struct fault f;
	struct ear_appraisal v = {.type = EVIDENCE_PSA_TOKEN, .instance_id = instance_id, .now = NOW};
	memcpy(v.nonce, binding, sizeof binding);
	char *jwt = build(&v);
	size_t n = strlen(jwt);
	for (size_t i = 0; i < n; i++) {
		char was = jwt[i];
		jwt[i] = was == 'A' ? 'B' : 'A';
		if (check_at(jwt, verifier, NOW, &ear, &f).ok)
			fail_msg("character %zu changed and still accepted", i);
		jwt[i] = '\0';
		if (check_at(jwt, verifier, NOW, &ear, &f).ok)
			fail_msg("cut at %zu and still accepted", i);
		jwt[i] = was;
	}
	accepted(check_at(jwt, verifier, NOW, &ear, &f), &f, "unchanged");
	free(jwt);
}

static void test_veraisons_result_verifies_but_is_bound_to_nothing(void **state)
{
	(void)state;
	need_third_party();
	char path[512];
	struct buf jwt = read_third_party("ear/ear.jwt");
	EVP_PKEY *key = read_public_key(third_party("ear/pkey.pem", path));
	struct ear ear;
	struct fault f;
	while (jwt.n && jwt.p[jwt.n - 1] == '\n')
		jwt.n--;
	buf_byte(&jwt, 0);
	refused_for(check_at((const char *)jwt.p, key, 1666529184, &ear, &f), &f, REASON_EAR_NONCE,
		    "ear.jwt");
	assert_int_equal(ear.status, EAR_AFFIRMING);
	assert_int_equal(ear.issued_at, 1666529184);
	refused_for(check_at((const char *)jwt.p, verifier, 1666529184, &ear, &f), &f, REASON_EAR_SIGNATURE,
		    "ear.jwt, other key");
	EVP_PKEY_free(key);
	buf_free(&jwt);
}

/* Documents of others, given our binding and the time, and signed anew. */
static const struct {
	const char *file;
	enum reason reason;
} documents[] = {
	{"ear/ear-claims.json", REASON_NONE},
	{"ear/ear-claims-tv-ok.json", REASON_NONE},
	{"ear/ear-claims-extension-ok.json", REASON_NONE},
	{"ear/ear-claims-key-attestation-ok.json", REASON_EAR_KEY},
	{"ear/ear-claims-key-attestation-ko.json", REASON_EAR_MALFORMED},
	{"ear/examples/ear-json-1.diag", REASON_EAR_STATUS},
	{"ear/examples/ear-json-2.diag", REASON_EAR_MALFORMED},
	{"ear/examples/ext-teep-json-1.diag", REASON_EAR_STATUS},
	{"ear/examples/ext-veraison-json-1.diag", REASON_EAR_STATUS},
	{"ear/examples/ext-veraison-json-2.diag", REASON_EAR_KEY},
};

static void test_documents_of_others_are_taken_or_refused_as_their_row_says(void **state)
{
	(void)state;
	need_third_party();
	struct ear ear;
	struct fault f;
	for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
		struct buf text = read_third_party(documents[i].file);
		buf_byte(&text, 0);
		json_t *payload = result((const char *)text.p, "{\"iat\":1800000000}");
		char *jwt = sign(payload, verifier);
		outcome o = check_at(jwt, verifier, NOW, &ear, &f);
		if (documents[i].reason == REASON_NONE)
			accepted(o, &f, documents[i].file);
		else
			refused_for(o, &f, documents[i].reason, documents[i].file);
		free(jwt);
		json_decref(payload);
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results_are_taken_or_refused_as_their_row_says),
		cmocka_unit_test(test_two_submodules_are_refused),
		cmocka_unit_test(test_an_affirming_result_built_here_is_accepted),
		cmocka_unit_test(test_a_refusing_result_carries_the_verifiers_reason),
		cmocka_unit_test(test_no_changed_or_shortened_result_is_accepted),
		cmocka_unit_test(test_veraisons_result_verifies_but_is_bound_to_nothing),
		cmocka_unit_test(test_documents_of_others_are_taken_or_refused_as_their_row_says),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
