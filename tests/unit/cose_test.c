#include "common/cbor/cose.h"

#include "vectors.h"

#include <jansson.h>
#include <openssl/rsa.h>

static const uint8_t es256[] = {0xa1, 0x01, 0x26};
static const uint8_t es384[] = {0xa1, 0x01, 0x38, 0x22};
static const uint8_t es512[] = {0xa1, 0x01, 0x38, 0x23};
static const uint8_t esp256[] = {0xa1, 0x01, 0x28};

static EVP_PKEY *generate(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "EC", curve);
	assert_non_null(key);
	return key;
}

static outcome check(struct bytes in, EVP_PKEY *key, struct fault *f)
{
	struct cose_sign1 c;
	*f = (struct fault){0};
	outcome o = cose_parse(in, &c, f);
	return o.ok ? cose_verify(&c, key, f) : o;
}

static const struct {
	const char *curve;
	const uint8_t *header;
	size_t n;
	size_t signature;
} algorithms[] = {
	{"P-256", es256, sizeof es256, 64},
	{"P-256", esp256, sizeof esp256, 64},
	{"P-384", es384, sizeof es384, 96},
	{"P-521", es512, sizeof es512, 132},
};

static void test_what_is_signed_verifies_with_each_algorithm(void **state)
{
	(void)state;
	struct fault f;
	for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
		EVP_PKEY *key = generate(algorithms[i].curve), *other = generate(algorithms[i].curve);
		struct buf out = {0};
		struct cose_sign1 c;
		struct bytes header = bytes_of(algorithms[i].header, algorithms[i].n);
		accepted(cose_sign(&out, header, bytes_str("payload"), key, &f), &f, algorithms[i].curve);
		accepted(check(buf_view(&out), key, &f), &f, algorithms[i].curve);
		accepted(cose_parse(buf_view(&out), &c, &f), &f, algorithms[i].curve);
		assert_true(bytes_equal(c.payload, bytes_str("payload")));
		assert_int_equal(c.signature.n, algorithms[i].signature);
		refused_for(check(buf_view(&out), other, &f), &f, REASON_SIGNATURE, "another key");
		buf_free(&out);
		EVP_PKEY_free(key);
		EVP_PKEY_free(other);
	}
}

static void test_signing_refuses_a_header_that_says_something_else(void **state)
{
	(void)state;
	static const uint8_t no_alg[] = {0xa0};
	struct buf out = {0};
	struct fault f;
	EVP_PKEY *key = generate("P-256");
	refused_for(cose_sign(&out, bytes_of(es384, sizeof es384), bytes_str("x"), key, &f), &f,
		    REASON_COSE_ALG, "ES384");
	refused_for(cose_sign(&out, bytes_of(no_alg, 1), bytes_str("x"), key, &f), &f, REASON_COSE_ALG,
		    "no alg");
	assert_int_equal(out.n, 0);
	EVP_PKEY_free(key);
}

/* P stands for a protected header {1: -7}, S for a signature of 64 zero bytes. */
static const struct {
	const char *what, *hex;
	enum reason reason;
} bad[] = {
	{"untagged", "84Pa04100S", REASON_COSE_STRUCTURE},
	{"tag 98", "d86284Pa04100S", REASON_COSE_STRUCTURE},
	{"CWT tag around it", "d83dd284Pa04100S", REASON_COSE_STRUCTURE},
	{"tag 17", "d184Pa04100S", REASON_COSE_MAC0},
	{"array of three", "d283Pa04100", REASON_COSE_STRUCTURE},
	{"array of five", "d285Pa04100S00", REASON_COSE_STRUCTURE},
	{"protected is a map", "d284a10126a04100S", REASON_COSE_STRUCTURE},
	{"protected holds an array", "d2844180a04100S", REASON_CBOR_TYPE},
	{"protected with more behind it", "d28444a1012600a04100S", REASON_CBOR_TRAILING},
	{"protected cut off", "d28442a101a04100S", REASON_CBOR_OVERRUN},
	{"alg twice", "d28445a201260126a04100S", REASON_CBOR_DUPLICATE},
	{"alg in both headers", "d284Pa101264100S", REASON_CBOR_DUPLICATE},
	{"alg in both headers, spelled longer", "d284Pa11a00000001264100S", REASON_CBOR_DUPLICATE},
	{"a text label in both headers", "d28446a20126617800a16178004100S", REASON_CBOR_DUPLICATE},
	{"no alg, empty string", "d28440a04100S", REASON_COSE_NO_ALG},
	{"no alg, empty map", "d28441a0a04100S", REASON_COSE_NO_ALG},
	{"alg unprotected only", "d28440a101264100S", REASON_COSE_NO_ALG},
	{"alg as text", "d28447a101654553323536a04100S", REASON_CBOR_OVERRUN},
	{"alg as text, whole", "d28448a101654553323536a04100S", REASON_COSE_ALG},
	{"EdDSA", "d28443a10127a04100S", REASON_COSE_ALG},
	{"HMAC 256", "d28443a10105a04100S", REASON_COSE_ALG},
	{"RS256", "d28445a101390100a04100S", REASON_COSE_ALG},
	{"alg beyond 64 bits", "d2844ba1013bffffffffffffffffa04100S", REASON_COSE_ALG},
	{"crit", "d28447a2012602811863a04100S", REASON_COSE_CRIT},
	{"crit unprotected", "d284Pa10281014100S", REASON_COSE_CRIT},
	{"unprotected is an array", "d284P804100S", REASON_CBOR_TYPE},
	{"kid as text", "d284Pa10461314100S", REASON_CBOR_TYPE},
	{"payload nil", "d284Pa0f6S", REASON_COSE_STRUCTURE},
	{"payload as text", "d284Pa06100S", REASON_COSE_STRUCTURE},
	{"signature as text", "d284Pa041006161", REASON_COSE_STRUCTURE},
	{"no signature", "d284Pa0410040", REASON_COSE_SIGNATURE_LENGTH},
	{"signature of 3 bytes", "d284Pa0410043000000", REASON_COSE_SIGNATURE_LENGTH},
	{"64 bytes for ES384", "d28444a1013822a04100S", REASON_COSE_SIGNATURE_LENGTH},
	{"a byte behind it", "d284Pa04100S00", REASON_CBOR_TRAILING},
	{"all zero signature", "d284Pa04100S", REASON_SIGNATURE},
};

static struct bytes from_pattern(const char *p)
{
	static const uint8_t zeros[64];
	struct buf b = {0};
	uint8_t byte;
	size_t n;
	for (; *p; p++) {
		if (*p == 'P') {
			cbor_put_bstr(&b, bytes_of(es256, sizeof es256));
		} else if (*p == 'S') {
			cbor_put_bstr(&b, bytes_of(zeros, sizeof zeros));
		} else {
			assert_true(hex_decode(p++, 2, &byte, 1, &n));
			buf_byte(&b, byte);
		}
	}
	struct bytes copy = heap_copy(buf_view(&b));
	buf_free(&b);
	return copy;
}

static void test_other_structures_are_refused_for_their_reason(void **state)
{
	(void)state;
	struct fault f;
	EVP_PKEY *key = generate("P-256");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct bytes in = from_pattern(bad[i].hex);
		refused_for(check(in, key, &f), &f, bad[i].reason, bad[i].what);
		heap_free(in);
	}
	EVP_PKEY_free(key);
}

static void test_the_key_id_is_read_and_proves_nothing(void **state)
{
	(void)state;
	struct cose_sign1 c;
	struct fault f;
	struct bytes in = from_pattern("d284Pa1044231314100S");
	accepted(cose_parse(in, &c, &f), &f, "kid");
	assert_true(bytes_equal(c.unprotected_kid, bytes_str("11")));
	heap_free(in);
}

static void test_a_key_of_another_curve_is_refused(void **state)
{
	(void)state;
	struct buf out = {0};
	struct fault f;
	EVP_PKEY *key = generate("P-256"), *p384 = generate("P-384"), *rsa = EVP_RSA_gen(2048);
	accepted(cose_sign(&out, bytes_of(es256, sizeof es256), bytes_str("x"), key, &f), &f, "signing");
	refused_for(check(buf_view(&out), p384, &f), &f, REASON_COSE_ALG, "P-384");
	refused_for(check(buf_view(&out), rsa, &f), &f, REASON_COSE_ALG, "RSA");
	buf_free(&out);
	EVP_PKEY_free(key);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(rsa);
}

/* The public half of a COSE working group example's key. */
static EVP_PKEY *example_key(const json_t *key)
{
	uint8_t spki[SPKI_MAX];
	const char *curve = json_string_value(json_object_get(key, "crv"));
	const char *x = json_string_value(json_object_get(key, "x")),
		   *y = json_string_value(json_object_get(key, "y"));
	EVP_PKEY *fresh = generate(curve);
	size_t n = ec_key_to_spki(fresh, spki, sizeof spki), field = n > 150 ? 66 : n > 100 ? 48 : 32, got;
	EVP_PKEY_free(fresh);
	assert_true(base64url_decode(x, strlen(x), spki + n - 2 * field, field, &got) && got == field);
	assert_true(base64url_decode(y, strlen(y), spki + n - field, field, &got) && got == field);
	return ec_key_from_spki(bytes_of(spki, n));
}

static const struct {
	const char *file;
	enum reason reason;
} examples[] = {
	{"RFC8152/Appendix_C_2_1", REASON_NONE},
	{"ecdsa-examples/ecdsa-sig-01", REASON_NONE},
	{"ecdsa-examples/ecdsa-sig-02", REASON_NONE},
	{"ecdsa-examples/ecdsa-sig-03", REASON_NONE},
	{"ecdsa-examples/ecdsa-sig-04", REASON_COSE_SIGNATURE_LENGTH}, /* ES512 by a P-256 key */
	{"ecdsa-examples/ecdsa-01", REASON_COSE_STRUCTURE},	       /* COSE_Sign, not COSE_Sign1 */
	{"ecdsa-examples/ecdsa-02", REASON_COSE_STRUCTURE},
	{"ecdsa-examples/ecdsa-03", REASON_COSE_STRUCTURE},
	{"ecdsa-examples/ecdsa-04", REASON_COSE_STRUCTURE},
	{"sign1-tests/sign-pass-01", REASON_COSE_NO_ALG}, /* alg is in the unprotected header only */
	{"sign1-tests/sign-pass-02",
	 REASON_SIGNATURE}, /* signs external data, which our profile has none of */
	{"sign1-tests/sign-pass-03", REASON_COSE_STRUCTURE}, /* untagged */
	{"sign1-tests/sign-fail-01", REASON_COSE_STRUCTURE},
	{"sign1-tests/sign-fail-02", REASON_SIGNATURE},
	{"sign1-tests/sign-fail-03", REASON_COSE_ALG},
	{"sign1-tests/sign-fail-04", REASON_COSE_ALG},
	{"sign1-tests/sign-fail-06", REASON_SIGNATURE},
	{"sign1-tests/sign-fail-07", REASON_SIGNATURE},
};

static void check_example(const char *file, enum reason reason)
{
	char name[200];
	struct fault f;
	snprintf(name, sizeof name, "cose-wg/%s.json", file);
	struct buf text = read_third_party(name);
	json_t *root = json_loadb((const char *)text.p, text.n, 0, NULL),
	       *input = json_object_get(root, "input");
	json_t *sign1 = json_object_get(input, "sign0"), *many = json_object_get(input, "sign");
	json_t *key_json =
		json_object_get(sign1 ? sign1 : json_array_get(json_object_get(many, "signers"), 0), "key");
	const char *hex = json_string_value(json_object_get(json_object_get(root, "output"), "cbor"));
	uint8_t raw[1024];
	size_t n;
	assert_non_null(key_json);
	assert_true(hex && hex_decode(hex, strlen(hex), raw, sizeof raw, &n));
	EVP_PKEY *key = example_key(key_json);
	assert_non_null(key);
	outcome o = check(bytes_of(raw, n), key, &f);
	if (reason == REASON_NONE)
		accepted(o, &f, file);
	else
		refused_for(o, &f, reason, file);
	EVP_PKEY_free(key);
	json_decref(root);
	buf_free(&text);
}

static void test_the_working_groups_examples_are_taken_or_refused_as_their_row_says(void **state)
{
	(void)state;
	need_third_party();
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
		check_example(examples[i].file, examples[i].reason);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_signed_verifies_with_each_algorithm),
		cmocka_unit_test(test_signing_refuses_a_header_that_says_something_else),
		cmocka_unit_test(test_other_structures_are_refused_for_their_reason),
		cmocka_unit_test(test_the_key_id_is_read_and_proves_nothing),
		cmocka_unit_test(test_a_key_of_another_curve_is_refused),
		cmocka_unit_test(test_the_working_groups_examples_are_taken_or_refused_as_their_row_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
