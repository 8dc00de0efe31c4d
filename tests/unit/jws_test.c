#include "common/crypto/jws.h"

#include "vectors.h"

/* header.payload signed as they stand, so that any header can be tried. */
static struct bytes sign_parts(const char *header, const char *payload, EVP_PKEY *key)
{
	char text[2048];
	uint8_t signature[ECDSA_SIGNATURE_MAX];
	struct buf b = {0};
	base64url_encode(bytes_str(header), text);
	buf_str(&b, text);
	buf_byte(&b, '.');
	base64url_encode(bytes_str(payload), text);
	buf_str(&b, text);
	size_t n = ecdsa_sign_raw(key, buf_view(&b), signature);
	base64url_encode(bytes_of(signature, n), text);
	buf_byte(&b, '.');
	buf_str(&b, text);
	struct bytes copy = heap_copy(buf_view(&b));
	buf_free(&b);
	return copy;
}

static outcome verify(struct bytes jws, EVP_PKEY *key, struct fault *f)
{
	json_t *payload = NULL;
	*f = (struct fault){0};
	outcome o = jws_verify(jws, &key, 1, &payload, f);
	assert_true(o.ok == (payload != NULL));
	json_decref(payload);
	return o;
}

static void test_what_is_signed_verifies_under_any_pinned_key(void **state)
{
	(void)state;
	EVP_PKEY *keys[2] = {p256_key_generate(), p256_key_generate()}, *other = p256_key_generate();
	json_t *in = json_pack("{si ss}", "n", 7, "s", "\xc3\xbc"), *out = NULL;
	struct fault f;
	char *text;
	accepted(jws_sign(in, keys[1], "key-1", "JWT", &text, &f), &f, "signing");
	accepted(jws_verify(bytes_str(text), keys, 2, &out, &f), &f, "second key");
	assert_true(json_equal(in, out));
	json_decref(out);
	refused_for(verify(bytes_str(text), other, &f), &f, REASON_EAR_SIGNATURE, "another key");
	refused_for(jws_verify(bytes_str(text), keys, 0, &out, &f), &f, REASON_EAR_SIGNATURE, "no key");
	free(text);
	json_decref(in);
	for (int i = 0; i < 2; i++)
		EVP_PKEY_free(keys[i]);
	EVP_PKEY_free(other);
}

static const struct {
	const char *header, *payload;
	enum reason reason;
} cases[] = {
	{"{\"alg\":\"ES256\"}", "{\"a\":1}", REASON_NONE},
	{"{\"alg\":\"ES256\",\"typ\":\"JWT\",\"x\":1}", "{}", REASON_NONE},
	{"{\"alg\":\"none\"}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"es256\"}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES384\"}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"HS256\"}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":[\"ES256\"]}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"[]", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\",\"crit\":[]}", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\"} x", "{\"a\":1}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\"}", "[1]", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\"}", "{\"a\":1,\"a\":2}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\"}", "{\"a\":1}{", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\"}", "{\"a\":\"\xff\"}", REASON_EAR_MALFORMED},
	{"{\"alg\":\"ES256\"}", "", REASON_EAR_MALFORMED},
};

static void test_headers_and_payloads_off_the_rules_are_refused(void **state)
{
	(void)state;
	EVP_PKEY *key = p256_key_generate();
	struct fault f;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes jws = sign_parts(cases[i].header, cases[i].payload, key);
		outcome o = verify(jws, key, &f);
		if (cases[i].reason == REASON_NONE)
			accepted(o, &f, cases[i].header);
		else
			refused_for(o, &f, cases[i].reason, cases[i].header);
		heap_free(jws);
	}
	EVP_PKEY_free(key);
}

static void check_text(const char *text, EVP_PKEY *key, enum reason reason)
{
	struct fault f;
	struct bytes copy = heap_copy(bytes_str(text));
	refused_for(verify(copy, key, &f), &f, reason, text);
	heap_free(copy);
}

static void test_other_serialisations_are_refused(void **state)
{
	(void)state;
	EVP_PKEY *key = p256_key_generate();
	check_text("", key, REASON_EAR_MALFORMED);
	check_text(".", key, REASON_EAR_MALFORMED);
	check_text("..", key, REASON_EAR_MALFORMED);
	check_text("...", key, REASON_EAR_MALFORMED);
	check_text("eyJhbGciOiJFUzI1NiJ9", key, REASON_EAR_MALFORMED);
	check_text("eyJhbGciOiJFUzI1NiJ9.e30", key, REASON_EAR_MALFORMED);
	check_text("eyJhbGciOiJFUzI1NiJ9.e30.", key, REASON_EAR_MALFORMED);
	check_text("eyJhbGciOiJFUzI1NiJ9.e30.AAAA", key, REASON_EAR_MALFORMED);
	check_text("eyJhbGciOiJFUzI1NiJ9=.e30.AAAA", key, REASON_EAR_MALFORMED);
	check_text("{\"payload\":\"e30\"}", key, REASON_EAR_MALFORMED);
	EVP_PKEY_free(key);
}

static void test_size_has_a_limit(void **state)
{
	(void)state;
	static char text[JWS_MAX + 2];
	EVP_PKEY *key = p256_key_generate();
	memset(text, 'A', sizeof text - 1);
	check_text(text, key, REASON_EAR_MALFORMED);
	EVP_PKEY_free(key);
}

static void test_no_changed_or_shortened_text_is_accepted(void **state)
{
	(void)state;
	EVP_PKEY *key = p256_key_generate();
	struct fault f;
	struct bytes jws = sign_parts("{\"alg\":\"ES256\"}", "{\"a\":1}", key);
	uint8_t *p = (uint8_t *)(uintptr_t)jws.p;
	accepted(verify(jws, key, &f), &f, "unchanged");
	for (size_t i = 0; i < jws.n; i++) {
		assert_false(verify(bytes_of(jws.p, i), key, &f).ok);
		for (int bit = 0; bit < 8; bit++) {
			p[i] ^= (uint8_t)(1 << bit);
			if (verify(jws, key, &f).ok)
				fail_msg("bit %d of byte %zu changed and still accepted", bit, i);
			p[i] ^= (uint8_t)(1 << bit);
		}
	}
	heap_free(jws);
	EVP_PKEY_free(key);
}

static void test_a_key_of_another_curve_neither_signs_nor_verifies(void **state)
{
	(void)state;
	EVP_PKEY *p384 = EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "EC", "P-384"), *key = p256_key_generate();
	json_t *payload = json_object();
	struct fault f;
	char *text;
	refused_for(jws_sign(payload, p384, NULL, NULL, &text, &f), &f, REASON_CRYPTO, "P-384");
	assert_null(text);
	accepted(jws_sign(payload, key, NULL, NULL, &text, &f), &f, "no kid, no type");
	refused_for(verify(bytes_str(text), p384, &f), &f, REASON_EAR_SIGNATURE, "P-384");
	free(text);
	json_decref(payload);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_signed_verifies_under_any_pinned_key),
		cmocka_unit_test(test_headers_and_payloads_off_the_rules_are_refused),
		cmocka_unit_test(test_other_serialisations_are_refused),
		cmocka_unit_test(test_size_has_a_limit),
		cmocka_unit_test(test_no_changed_or_shortened_text_is_accepted),
		cmocka_unit_test(test_a_key_of_another_curve_neither_signs_nor_verifies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
