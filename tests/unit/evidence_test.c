#include "common/evidence/evidence.h"

#include "vectors.h"

#include <openssl/pem.h>

static EVP_PKEY *iak;
static uint8_t binding[BINDING_SIZE];
static struct buf csr;

/* "NAME = HEX" of binding.txt: the value after the last '=' of the line that starts with `name`. */
static void read_golden(const char *name, uint8_t *out, size_t n)
{
	struct buf text = read_path(DERIVED "binding.txt");
	const char *line = strstr((const char *)text.p, name);
	assert_non_null(line);
	const char *end = strchr(line, '\n'), *p = line;
	for (const char *c = line; c < end; c++)
		if (c[0] == '=' && c[1] == ' ')
			p = c + 2;
	size_t got;
	assert_true(hex_decode(p, (size_t)(end - p), out, n, &got));
	assert_int_equal(got, n);
	buf_free(&text);
}

static int setup(void **state)
{
	(void)state;
	iak = read_public_key(DERIVED "iak_pub.pem");
	read_golden("B mode 'C'", binding, sizeof binding);
	csr = read_path(DERIVED "csr/ok-p256.der");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(iak);
	buf_free(&csr);
	return 0;
}

/* All that the gateway and the attestation service ask of evidence, in one. */
static outcome appraise(enum evidence_type type, struct bytes in, EVP_PKEY *rot, bool allow_test_keys,
			struct fault *f)
{
	struct evidence e;
	*f = (struct fault){0};
	outcome o = evidence_parse(type, in, &e, f);
	if (o.ok)
		o = evidence_verify(&e, spki_of(rot), allow_test_keys, f);
	return o.ok ? evidence_check_binding(&e, binding, buf_view(&csr), f) : o;
}

/* What the manifest calls a refusal, and our reasons for it. */
static const struct {
	const char *manifest;
	enum reason reasons[2];
} refusals[] = {
	{"alg-not-allowed", {REASON_COSE_ALG}},
	{"no-protected-alg", {REASON_COSE_NO_ALG}},
	{"no-protected-alg|unprotected-alg", {REASON_COSE_NO_ALG}},
	{"unprotected-alg", {REASON_COSE_NO_ALG}},
	{"crit", {REASON_COSE_CRIT}},
	{"mac0-not-supported", {REASON_COSE_MAC0}},
	{"not-tagged-sign1", {REASON_COSE_STRUCTURE}},
	{"payload-not-bstr", {REASON_COSE_STRUCTURE}},
	{"not-map", {REASON_CBOR_TYPE}},
	{"signature-invalid", {REASON_SIGNATURE}},
	{"bad-signature-length", {REASON_COSE_SIGNATURE_LENGTH}},
	{"truncated|string-overrun|container-overrun", {REASON_CBOR_TRUNCATED, REASON_CBOR_OVERRUN}},
	{"trailing-bytes", {REASON_CBOR_TRAILING}},
	{"indefinite-length", {REASON_CBOR_INDEFINITE}},
	{"duplicate-label", {REASON_CBOR_DUPLICATE}},
	{"string-overrun", {REASON_CBOR_OVERRUN}},
	{"container-overrun", {REASON_CBOR_OVERRUN}},
	{"too-many-entries", {REASON_CBOR_TOO_MANY}},
	{"reserved-ai", {REASON_CBOR_RESERVED}},
	{"unknown-profile", {REASON_PROFILE}},
	{"lifecycle-not-secured", {REASON_LIFECYCLE}},
	{"nonce-missing", {REASON_CLAIM_MISSING}},
	{"claim-type", {REASON_CLAIM_TYPE}},
	{"nonce-length", {REASON_CLAIM_RANGE}},
	{"nonce-mismatch", {REASON_NONCE_MISMATCH}},
	{"instance-id-format", {REASON_CLAIM_RANGE}},
	{"implementation-id-format", {REASON_CLAIM_RANGE}},
	{"implementation-id-missing", {REASON_CLAIM_MISSING}},
	{"client-id-range", {REASON_CLAIM_RANGE}},
	{"client-id-missing", {REASON_CLAIM_MISSING}},
	{"boot-seed-length", {REASON_CLAIM_RANGE}},
	{"sw-components-empty", {REASON_SW_COMPONENTS}},
	{"measurement-missing", {REASON_SW_COMPONENTS}},
	{"signer-id-missing", {REASON_SW_COMPONENTS}},
	{"evidence-size", {REASON_EVIDENCE_SIZE}},
};

static void check_refusal(const char *file, const char *manifest, outcome o, const struct fault *f)
{
	/* ES384 is an algorithm of ours: without the key at hand, the signature's length is what is wrong. */
	if (!strcmp(file, "psa/alg-es384.cbor"))
		manifest = "bad-signature-length";
	/* Twice our limit, which shows before what is inside: cbor_test reads its claims. */
	if (!strcmp(file, "psa/many-claims.cbor"))
		manifest = "evidence-size";
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		if (strcmp(refusals[i].manifest, manifest) != 0)
			continue;
		bool second = f->reason != REASON_NONE && f->reason == refusals[i].reasons[1];
		refused_for(o, f, second ? f->reason : refusals[i].reasons[0], file);
		return;
	}
	fail_msg("%s: the manifest's reason %s is in no row of this test", file, manifest);
}

/* One row: file, ACCEPT or REJECT, reason or profile, size. */
static void check_row(char *row)
{
	char path[300];
	struct fault f;
	const char *file = strtok(row, "\t"), *expected = strtok(NULL, "\t"), *reason = strtok(NULL, "\t");
	assert_non_null(reason);
	snprintf(path, sizeof path, DERIVED "%s", file);
	struct buf token = read_path(path);
	struct bytes in = heap_copy(buf_view(&token));
	outcome o = appraise(EVIDENCE_PSA_TOKEN, in, iak, true, &f);
	if (!strcmp(expected, "ACCEPT")) {
		struct evidence e;
		accepted(o, &f, file);
		accepted(evidence_parse(EVIDENCE_PSA_TOKEN, in, &e, &f), &f, file);
		assert_string_equal(evidence_profile_name(e.profile), reason);
		refused_for(appraise(EVIDENCE_PSA_TOKEN, in, iak, false, &f), &f, REASON_TEST_KEY, file);
	} else {
		check_refusal(file, reason, o, &f);
	}
	heap_free(in);
	buf_free(&token);
}

static void test_every_token_is_taken_or_refused_as_the_manifest_says(void **state)
{
	(void)state;
	struct buf text = read_path(DERIVED "psa-manifest.tsv");
	size_t rows = 0;
	char *save = NULL;
	for (char *line = strtok_r((char *)text.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, "psa/", 4)) {
			check_row(line);
			rows++;
		}
	assert_int_equal(rows, 58);
	buf_free(&text);
}

static const char *const good[] = {DERIVED "psa/ok-tfm.cbor", DERIVED "psa/ok-iot1.cbor",
				   DERIVED "psa/ok-psa200.cbor"};

static void test_claims_are_what_the_token_says(void **state)
{
	(void)state;
	struct buf token = read_path(good[0]);
	struct evidence e;
	struct fault f;
	uint8_t instance[INSTANCE_ID_SIZE];
	read_golden("instance id TF-M>=2.2", instance, sizeof instance);
	accepted(evidence_parse(EVIDENCE_PSA_TOKEN, buf_view(&token), &e, &f), &f, good[0]);
	assert_int_equal(e.profile, PROFILE_TFM_2023);
	assert_memory_equal(e.nonce.p, binding, sizeof binding);
	assert_memory_equal(e.instance_id, instance, sizeof instance);
	assert_int_equal(e.lifecycle >> 8, 0x30);
	assert_true(e.client_id != 0);
	assert_true(e.component_count > 0);
	assert_true(e.components[0].value.n == 32 && e.components[0].signer.n == 32);
	buf_free(&token);
}

static void test_no_part_of_a_token_is_a_token(void **state)
{
	(void)state;
	struct fault f;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct buf token = read_path(good[i]);
		for (size_t n = 0; n < token.n; n++) {
			struct bytes part = heap_copy(bytes_of(token.p, n));
			outcome o = appraise(EVIDENCE_PSA_TOKEN, part, iak, true, &f);
			refused_for(o, &f,
				    f.reason == REASON_CBOR_OVERRUN ? REASON_CBOR_OVERRUN
								    : REASON_CBOR_TRUNCATED,
				    good[i]);
			heap_free(part);
		}
		buf_free(&token);
	}
}

static void flip_every_byte(enum evidence_type type, struct bytes in, EVP_PKEY *rot)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	struct bytes copy = heap_copy(in);
	uint8_t *p = (uint8_t *)(uintptr_t)copy.p;
	struct fault f;
	for (size_t i = 0; i < in.n; i++)
		for (size_t m = 0; m < sizeof masks; m++) {
			p[i] ^= masks[m];
			if (appraise(type, copy, rot, true, &f).ok)
				fail_msg("byte %zu changed by %02x and still accepted", i, masks[m]);
			assert_true(f.reason != REASON_NONE);
			p[i] ^= masks[m];
		}
	accepted(appraise(type, copy, rot, true, &f), &f, "unchanged");
	heap_free(copy);
}

static void test_no_changed_token_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct buf token = read_path(good[i]);
		flip_every_byte(EVIDENCE_PSA_TOKEN, buf_view(&token), iak);
		buf_free(&token);
	}
}

static void test_the_key_must_fit_the_algorithm(void **state)
{
	(void)state;
	struct buf token = read_path(good[0]);
	struct fault f;
	EVP_PKEY *p384 = EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "EC", "P-384");
	refused_for(appraise(EVIDENCE_PSA_TOKEN, buf_view(&token), p384, true, &f), &f, REASON_COSE_ALG,
		    "P-384 key, ES256");
	EVP_PKEY_free(p384);
	buf_free(&token);
}

/* A device of our own: key, and evidence for the golden binding. */
struct device {
	EVP_PKEY *key;
	uint8_t instance[INSTANCE_ID_SIZE];
	struct buf evidence;
};

static void device_make(struct device *d)
{
	*d = (struct device){.key = p256_key_generate()};
	assert_non_null(d->key);
	assert_true(evidence_instance_id(d->key, d->instance));
}

static void device_free(struct device *d)
{
	EVP_PKEY_free(d->key);
	buf_free(&d->evidence);
}

static void sign_with_header(struct device *d, struct bytes header, struct bytes payload)
{
	struct fault f;
	d->evidence.n = 0;
	accepted(cose_sign(&d->evidence, header, payload, d->key, &f), &f, "signing");
}

static void sign_csr(struct device *d, struct bytes payload)
{
	struct buf header = {0};
	evidence_build_cose_csr_header(&header, d->instance, binding);
	sign_with_header(d, buf_view(&header), payload);
	buf_free(&header);
}

static void test_a_signed_request_is_accepted(void **state)
{
	(void)state;
	struct device d;
	struct evidence e;
	struct fault f;
	device_make(&d);
	sign_csr(&d, buf_view(&csr));
	struct bytes in = buf_view(&d.evidence);
	accepted(appraise(EVIDENCE_COSE_CSR, in, d.key, false, &f), &f, "cose-csr");
	accepted(evidence_parse(EVIDENCE_COSE_CSR, in, &e, &f), &f, "cose-csr");
	assert_memory_equal(e.instance_id, d.instance, sizeof d.instance);
	assert_true(bytes_equal(e.cose.payload, buf_view(&csr)));
	flip_every_byte(EVIDENCE_COSE_CSR, in, d.key);
	for (size_t n = 0; n < in.n; n++)
		assert_false(appraise(EVIDENCE_COSE_CSR, bytes_of(in.p, n), d.key, false, &f).ok);
	device_free(&d);
}

static void test_a_signed_request_is_refused_for_another_request_or_binding(void **state)
{
	(void)state;
	struct device d, other;
	struct evidence e;
	struct fault f;
	uint8_t wrong[BINDING_SIZE];
	struct buf other_csr = read_path(DERIVED "csr/ok-p256-other.der");
	device_make(&d);
	device_make(&other);
	sign_csr(&d, buf_view(&csr));
	accepted(evidence_parse(EVIDENCE_COSE_CSR, buf_view(&d.evidence), &e, &f), &f, "cose-csr");
	refused_for(evidence_check_binding(&e, binding, buf_view(&other_csr), &f), &f, REASON_PAYLOAD_NOT_CSR,
		    "other request");
	memcpy(wrong, binding, sizeof wrong);
	wrong[31] ^= 1;
	refused_for(evidence_check_binding(&e, wrong, buf_view(&csr), &f), &f, REASON_NONCE_MISMATCH,
		    "other binding");
	refused_for(evidence_verify(&e, spki_of(other.key), false, &f), &f, REASON_SIGNATURE,
		    "other device's key");
	refused_for(appraise(EVIDENCE_PSA_TOKEN, buf_view(&d.evidence), d.key, false, &f), &f,
		    REASON_CBOR_TYPE, "a signed request sent as a token");
	device_free(&other);
	device_free(&d);
	buf_free(&other_csr);
}

/* Protected headers in CBOR, hexadecimal; N and U stand for nonce and UEID. */
static const struct {
	const char *what, *hex;
	enum reason reason;
} bad_headers[] = {
	{"no CWT claims", "a10126", REASON_CLAIM_MISSING},
	{"no nonce", "a201260fa1190100U", REASON_CLAIM_MISSING},
	{"no UEID", "a201260fa10aN", REASON_CLAIM_MISSING},
	{"nonce twice", "a201260fa30aN0aN190100U", REASON_CBOR_DUPLICATE},
	{"nonce twice, spelled longer", "a201260fa30aN1a0000000aN190100U", REASON_CBOR_DUPLICATE},
	{"nonce as an array", "a201260fa20a81N190100U", REASON_CLAIM_TYPE},
	{"nonce of 8 bytes", "a201260fa20a480102030405060708190100U", REASON_CLAIM_RANGE},
	{"UEID as text", "a201260fa20aN1901006161", REASON_CLAIM_TYPE},
	{"UEID of 3 bytes", "a201260fa20aN19010043010203", REASON_CLAIM_RANGE},
	{"CWT claims as an array", "a201260f80", REASON_CBOR_TYPE},
	{"other content type", "a3012603617a0fa20aN190100U", REASON_COSE_STRUCTURE},
	{"content type as a number", "a301260319011e0fa20aN190100U", REASON_COSE_STRUCTURE},
};

static void add_header(struct buf *b, const char *hex, const struct device *d)
{
	for (; *hex; hex++) {
		uint8_t byte;
		size_t n;
		if (*hex == 'N') {
			cbor_put_bstr(b, bytes_of(binding, sizeof binding));
		} else if (*hex == 'U') {
			cbor_put_bstr(b, bytes_of(d->instance, sizeof d->instance));
		} else {
			assert_true(hex_decode(hex++, 2, &byte, 1, &n));
			buf_byte(b, byte);
		}
	}
}

/* By hand: cose_sign would refuse to sign some of these. */
static void test_a_signed_request_with_a_wrong_header_is_refused(void **state)
{
	(void)state;
	static const uint8_t signature[P256_SIGNATURE_SIZE];
	struct device d;
	struct fault f;
	device_make(&d);
	for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
		struct buf header = {0}, in = {0};
		add_header(&header, bad_headers[i].hex, &d);
		cbor_put_tag(&in, 18);
		cbor_put_array(&in, 4);
		cbor_put_bstr(&in, buf_view(&header));
		cbor_put_map(&in, 0);
		cbor_put_bstr(&in, buf_view(&csr));
		cbor_put_bstr(&in, bytes_of(signature, sizeof signature));
		refused_for(appraise(EVIDENCE_COSE_CSR, buf_view(&in), d.key, true, &f), &f,
			    bad_headers[i].reason, bad_headers[i].what);
		buf_free(&header);
		buf_free(&in);
	}
	device_free(&d);
}

static void test_a_token_built_here_is_accepted(void **state)
{
	(void)state;
	static const uint8_t hash[32] = {7}, alg_es256[] = {0xa1, 0x01, 0x26};
	struct device d;
	struct buf payload = {0};
	struct evidence e;
	struct fault f;
	struct psa_claims claims = {
		.client_id = -7, .lifecycle = 0x3000, .implementation_id = {9}, .component_count = 1};
	device_make(&d);
	memcpy(claims.nonce, binding, sizeof binding);
	memcpy(claims.instance_id, d.instance, sizeof d.instance);
	claims.components[0] = (struct sw_component){.type = bytes_str("NSPE"),
						     .value = bytes_of(hash, 32),
						     .version = bytes_str("1.2.3"),
						     .signer = bytes_of(hash, 32)};
	evidence_build_psa_payload(&payload, &claims);
	sign_with_header(&d, bytes_of(alg_es256, sizeof alg_es256), buf_view(&payload));
	accepted(appraise(EVIDENCE_PSA_TOKEN, buf_view(&d.evidence), d.key, false, &f), &f, "our token");
	accepted(evidence_parse(EVIDENCE_PSA_TOKEN, buf_view(&d.evidence), &e, &f), &f, "our token");
	assert_int_equal(e.client_id, -7);
	assert_int_equal(e.component_count, 1);
	assert_true(bytes_equal(e.components[0].version, bytes_str("1.2.3")));
	for (size_t i = 0; i < 32; i++)
		claims.implementation_id[i] = (uint8_t)(0xaa + 0x11 * (i / 8));
	payload.n = 0;
	evidence_build_psa_payload(&payload, &claims);
	sign_with_header(&d, bytes_of(alg_es256, sizeof alg_es256), buf_view(&payload));
	refused_for(appraise(EVIDENCE_PSA_TOKEN, buf_view(&d.evidence), d.key, false, &f), &f,
		    REASON_TEST_KEY, "dummy implementation ID");
	buf_free(&payload);
	device_free(&d);
}

static void test_instance_ids_are_those_of_TF_M(void **state)
{
	(void)state;
	uint8_t expected[INSTANCE_ID_SIZE], got[INSTANCE_ID_SIZE];
	read_golden("instance id TF-M>=2.2", expected, sizeof expected);
	assert_true(evidence_instance_id(iak, got));
	assert_memory_equal(got, expected, sizeof got);
	assert_true(evidence_is_test_instance(got));
	read_golden("instance id TF-M<=2.1", expected, sizeof expected);
	assert_true(evidence_instance_id_old(iak, got));
	assert_memory_equal(got, expected, sizeof got);
	assert_true(evidence_is_test_instance(got));
	got[0] = 2;
	assert_false(evidence_is_test_instance(got));
	got[0] = 1;
	got[32] ^= 1;
	assert_false(evidence_is_test_instance(got));
}

static void test_a_request_for_the_device_key_itself_is_refused(void **state)
{
	(void)state;
	struct device d, other;
	uint8_t old[INSTANCE_ID_SIZE];
	struct fault f;
	device_make(&d);
	device_make(&other);
	assert_true(evidence_instance_id_old(d.key, old));
	accepted(evidence_check_key_not_rot(d.instance, spki_of(other.key), &f), &f, "another key");
	refused_for(evidence_check_key_not_rot(d.instance, spki_of(d.key), &f), &f, REASON_CSR_KEY_IS_ROT,
		    "new derivation");
	refused_for(evidence_check_key_not_rot(old, spki_of(d.key), &f), &f, REASON_CSR_KEY_IS_ROT,
		    "old derivation");
	device_free(&d);
	device_free(&other);
}

static void test_types_have_names_and_media_types(void **state)
{
	(void)state;
	assert_int_equal(evidence_type_find("psa-token"), EVIDENCE_PSA_TOKEN);
	assert_int_equal(evidence_type_find("cose-csr"), EVIDENCE_COSE_CSR);
	assert_int_equal(evidence_type_find("tpm2"), 0);
	assert_string_equal(evidence_type_name(EVIDENCE_COSE_CSR), "cose-csr");
	assert_int_equal(evidence_type_of_media(evidence_media_type(EVIDENCE_PSA_TOKEN)), EVIDENCE_PSA_TOKEN);
	assert_int_equal(evidence_type_of_media(evidence_media_type(EVIDENCE_COSE_CSR)), EVIDENCE_COSE_CSR);
	assert_int_equal(evidence_type_of_media(
				 "application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\""),
			 EVIDENCE_PSA_TOKEN);
	assert_int_equal(evidence_type_of_media("application/json"), 0);
	assert_int_equal(evidence_type_of_media(""), 0);
	struct evidence e;
	struct fault f;
	refused_for(evidence_parse((enum evidence_type)9, buf_view(&csr), &e, &f), &f, REASON_EVIDENCE_TYPE,
		    "type 9");
}

static void test_evidence_larger_than_the_limit_is_refused(void **state)
{
	(void)state;
	static const uint8_t zeros[EVIDENCE_MAX + 1];
	struct evidence e;
	struct fault f;
	refused_for(evidence_parse(EVIDENCE_PSA_TOKEN, bytes_of(zeros, sizeof zeros), &e, &f), &f,
		    REASON_EVIDENCE_SIZE, "4097");
}

static void test_the_token_of_rfc_9783_verifies(void **state)
{
	(void)state;
	need_third_party();
	char path[512];
	struct buf token = read_third_party("rfc9783/psa-sign1.cbor"),
		   mac = read_third_party("rfc9783/psa-mac0.cbor");
	EVP_PKEY *key = NULL;
	struct evidence e;
	struct fault f;
	BIO *pem = BIO_new_file(third_party("rfc9783/tfm-es-iak.pem", path), "r");
	key = PEM_read_bio_PrivateKey_ex(pem, NULL, NULL, NULL, crypto_ctx(), NULL);
	assert_non_null(key);
	accepted(evidence_parse(EVIDENCE_PSA_TOKEN, buf_view(&token), &e, &f), &f, "RFC 9783 A.1");
	assert_int_equal(e.profile, PROFILE_TFM_2023);
	assert_int_equal(e.client_id, 2147483647);
	accepted(evidence_verify(&e, spki_of(key), true, &f), &f, "RFC 9783 A.1");
	refused_for(evidence_verify(&e, spki_of(key), false, &f), &f, REASON_TEST_KEY, "RFC 9783 A.1");
	refused_for(evidence_check_binding(&e, binding, buf_view(&csr), &f), &f, REASON_NONCE_MISMATCH,
		    "RFC 9783 A.1");
	refused_for(evidence_parse(EVIDENCE_PSA_TOKEN, buf_view(&mac), &e, &f), &f, REASON_COSE_MAC0,
		    "RFC 9783 A.2");
	EVP_PKEY_free(key);
	BIO_free(pem);
	buf_free(&token);
	buf_free(&mac);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_token_is_taken_or_refused_as_the_manifest_says),
		cmocka_unit_test(test_claims_are_what_the_token_says),
		cmocka_unit_test(test_no_part_of_a_token_is_a_token),
		cmocka_unit_test(test_no_changed_token_is_accepted),
		cmocka_unit_test(test_the_key_must_fit_the_algorithm),
		cmocka_unit_test(test_a_signed_request_is_accepted),
		cmocka_unit_test(test_a_signed_request_is_refused_for_another_request_or_binding),
		cmocka_unit_test(test_a_signed_request_with_a_wrong_header_is_refused),
		cmocka_unit_test(test_a_token_built_here_is_accepted),
		cmocka_unit_test(test_instance_ids_are_those_of_TF_M),
		cmocka_unit_test(test_a_request_for_the_device_key_itself_is_refused),
		cmocka_unit_test(test_types_have_names_and_media_types),
		cmocka_unit_test(test_evidence_larger_than_the_limit_is_refused),
		cmocka_unit_test(test_the_token_of_rfc_9783_verifies),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
