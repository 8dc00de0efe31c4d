#include "common/crypto/crypto.h"

#include "vectors.h"

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>
#include <pthread.h>

static const struct {
	const char *name;
	int bits;
	size_t signature;
} curves[] = {{"P-256", 256, 64}, {"P-384", 384, 96}, {"P-521", 521, 132}};
enum { CURVES = sizeof curves / sizeof *curves };

static EVP_PKEY *generate(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "EC", curve);
	assert_non_null(key);
	return key;
}

static void test_public_keys_go_to_spki_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < CURVES; i++) {
		uint8_t spki[SPKI_MAX], *theirs = NULL;
		EVP_PKEY *key = generate(curves[i].name);
		size_t n = ec_key_to_spki(key, spki, sizeof spki);
		assert_int_equal(i2d_PUBKEY(key, &theirs), n);
		assert_memory_equal(theirs, spki, n);
		assert_int_equal(ec_key_to_spki(key, spki, n - 1), 0);
		EVP_PKEY *again = ec_key_from_spki(bytes_of(spki, n));
		assert_int_equal(EVP_PKEY_eq(key, again), 1);
		assert_int_equal(ec_key_bits(again), curves[i].bits);
		EVP_PKEY_free(again);
		EVP_PKEY_free(key);
		OPENSSL_free(theirs);
	}
}

static void test_points_off_the_curve_and_other_lengths_are_no_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < CURVES; i++) {
		uint8_t spki[SPKI_MAX];
		EVP_PKEY *key = generate(curves[i].name);
		size_t n = ec_key_to_spki(key, spki, sizeof spki);
		for (size_t at = 0; at < n; at++) {
			spki[at] ^= 1;
			assert_null(ec_key_from_spki(bytes_of(spki, n)));
			spki[at] ^= 1;
			assert_null(ec_key_from_spki(bytes_of(spki, at)));
		}
		assert_null(ec_key_from_spki(bytes_of(spki, n + 1)));
		memset(spki + n - 64, 0xff, 64);
		assert_null(ec_key_from_spki(bytes_of(spki, n)));
		assert_int_equal(ERR_peek_error(), 0);
		EVP_PKEY_free(key);
	}
}

static void test_signatures_verify_under_their_key_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < CURVES; i++) {
		uint8_t raw[ECDSA_SIGNATURE_MAX];
		struct bytes message = bytes_str("message");
		EVP_PKEY *key = generate(curves[i].name), *other = generate(curves[i].name);
		size_t n = ecdsa_sign_raw(key, message, raw);
		assert_int_equal(n, curves[i].signature);
		assert_true(ecdsa_verify_raw(key, message, bytes_of(raw, n)));
		assert_false(ecdsa_verify_raw(other, message, bytes_of(raw, n)));
		assert_false(ecdsa_verify_raw(key, bytes_str("massage"), bytes_of(raw, n)));
		assert_false(ecdsa_verify_raw(key, message, bytes_of(raw, n - 1)));
		memset(raw, 0, n);
		assert_false(ecdsa_verify_raw(key, message, bytes_of(raw, n)));
		memset(raw, 0xff, n);
		assert_false(ecdsa_verify_raw(key, message, bytes_of(raw, n)));
		EVP_PKEY_free(key);
		EVP_PKEY_free(other);
	}
}

static void test_der_signatures_are_canonical(void **state)
{
	(void)state;
	uint8_t hash[SHA256_SIZE], der[82];
	struct bytes message = bytes_str("message");
	EVP_PKEY *key = p256_key_generate();
	sha256(message, hash);
	size_t n = ecdsa_sign_digest_der(key, hash, der, sizeof der - 2);
	assert_true(ecdsa_verify_der(key, 256, message, bytes_of(der, n)));
	assert_false(ecdsa_verify_der(key, 384, message, bytes_of(der, n)));
	assert_false(ecdsa_verify_der(key, 256, message, bytes_of(der, n - 1)));
	der[n] = 0;
	assert_false(ecdsa_verify_der(key, 256, message, bytes_of(der, n + 1)));
	memmove(der + 3, der + 2, n - 2);
	der[2] = der[1];
	der[1] = 0x81; /* the same length in the long form */
	assert_false(ecdsa_verify_der(key, 256, message, bytes_of(der, n + 1)));
	assert_false(ecdsa_verify_der(key, 256, message, bytes_of(der, 0)));
	EVP_PKEY_free(key);
}

/* More keys than a thread keeps, in turns: each verifies what is its own, whatever it kept before. */
static void test_a_known_key_verifies_its_own_alone(void **state)
{
	(void)state;
	enum { KEYS = 300, TURNS = 2 };
	uint8_t points[KEYS][P256_POINT_SIZE], signatures[KEYS][ECDSA_SIGNATURE_MAX];
	const uint8_t no_point[P256_POINT_SIZE] = {1};
	struct bytes message = bytes_str("message");
	for (size_t i = 0; i < KEYS; i++) {
		uint8_t spki[SPKI_MAX];
		EVP_PKEY *key = p256_key_generate();
		size_t n = ec_key_to_spki(key, spki, sizeof spki);
		memcpy(points[i], spki + n - P256_POINT_SIZE, P256_POINT_SIZE);
		assert_int_equal(ecdsa_sign_raw(key, message, signatures[i]), P256_SIGNATURE_SIZE);
		EVP_PKEY_free(key);
	}
	for (size_t i = 0; i < TURNS * KEYS; i++) {
		struct bytes own = bytes_of(signatures[i % KEYS], P256_SIGNATURE_SIZE);
		struct bytes other = bytes_of(signatures[(i + 1) % KEYS], P256_SIGNATURE_SIZE);
		assert_null(p256_known_verifier(no_point));
		EVP_PKEY_CTX *verifier = p256_known_verifier(points[i % KEYS]);
		assert_false(p256_verify_known(verifier, message, other));
		assert_true(p256_verify_known(verifier, message, own));
		assert_false(p256_verify_known(verifier, bytes_str("massage"), own));
		assert_false(p256_verify_known(verifier, message, bytes_of(own.p, own.n - 1)));
		assert_ptr_equal(p256_known_verifier(points[i % KEYS]), verifier);
		assert_true(p256_verify_known(verifier, message, own));
	}
}

static void test_a_key_that_is_not_ours_neither_encodes_nor_verifies(void **state)
{
	(void)state;
	static const char *const others[] = {"secp256k1", "brainpoolP256r1", "P-224"};
	uint8_t spki[SPKI_MAX], raw[64] = {1};
	for (size_t i = 0; i < 3; i++) {
		EVP_PKEY *key = generate(others[i]);
		assert_int_equal(ec_key_bits(key), 0);
		assert_int_equal(ec_key_to_spki(key, spki, sizeof spki), 0);
		assert_false(ecdsa_verify_raw(key, bytes_str("x"), bytes_of(raw, sizeof raw)));
		EVP_PKEY_free(key);
	}
}

static void *use_a_key(void *arg)
{
	struct bytes *spki = arg;
	bool ok = true;
	for (int i = 0; i < 20; i++) {
		EVP_PKEY *key = ec_key_from_spki(*spki);
		ok = ok && key && ec_key_bits(key) == 256;
		EVP_PKEY_free(key);
	}
	return ok ? arg : NULL;
}

static void test_each_thread_has_its_own(void **state)
{
	(void)state;
	pthread_t threads[4];
	uint8_t raw[SPKI_MAX];
	EVP_PKEY *key = p256_key_generate();
	struct bytes spki = bytes_of(raw, ec_key_to_spki(key, raw, sizeof raw));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_a_key, &spki), 0);
	for (int i = 0; i < 4; i++) {
		void *result;
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_non_null(result);
	}
	EVP_PKEY_free(key);
}

/* RFC 4231 4.2, 4.3, 4.7: the last key is longer than a block. */
static void test_hmac_is_the_rfcs(void **state)
{
	(void)state;
	uint8_t short_key[20], long_key[131], mac[SHA256_SIZE];
	char text[HEX_SIZE(SHA256_SIZE)];
	memset(short_key, 0x0b, sizeof short_key);
	memset(long_key, 0xaa, sizeof long_key);
	const struct {
		struct bytes key;
		const char *message, *mac;
	} cases[] = {
		{{short_key, sizeof short_key},
		 "Hi There",
		 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{bytes_str("Jefe"), "what do ya want for nothing?",
		 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{{long_key, sizeof long_key},
		 "Test Using Larger Than Block-Size Key - Hash Key First",
		 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		hmac_sha256(cases[i].key, bytes_str(cases[i].message), mac);
		hex_encode(bytes_of(mac, sizeof mac), text);
		assert_string_equal(text, cases[i].mac);
	}
}

static void test_hmac_is_openssls_for_every_length(void **state)
{
	(void)state;
	uint8_t key[130], message[130], ours[SHA256_SIZE], theirs[SHA256_SIZE];
	crypto_random(key, sizeof key);
	crypto_random(message, sizeof message);
	for (size_t n = 0; n <= sizeof key; n++) {
		unsigned size = sizeof theirs;
		assert_non_null(HMAC(EVP_sha256(), key, (int)n, message, sizeof message - n, theirs, &size));
		hmac_sha256(bytes_of(key, n), bytes_of(message, sizeof message - n), ours);
		assert_memory_equal(ours, theirs, sizeof ours);
	}
}

/* Every byte is written, beyond what one system call has to give as well, and never the same ones. */
static void test_random_bytes_fill_any_length(void **state)
{
	(void)state;
	static uint8_t a[100000], b[sizeof a];
	size_t zeros = 0;
	crypto_random(a, sizeof a);
	crypto_random(b, sizeof b);
	for (size_t i = 0; i + 8 <= sizeof a; i += 8)
		zeros += !memcmp(a + i, (const uint8_t[8]){0}, 8);
	assert_int_equal(zeros, 0);
	assert_memory_not_equal(a, b, 16);
	assert_memory_not_equal(a + sizeof a - 16, b + sizeof b - 16, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac_is_the_rfcs),
		cmocka_unit_test(test_hmac_is_openssls_for_every_length),
		cmocka_unit_test(test_random_bytes_fill_any_length),
		cmocka_unit_test(test_public_keys_go_to_spki_and_back),
		cmocka_unit_test(test_points_off_the_curve_and_other_lengths_are_no_keys),
		cmocka_unit_test(test_signatures_verify_under_their_key_alone),
		cmocka_unit_test(test_a_known_key_verifies_its_own_alone),
		cmocka_unit_test(test_der_signatures_are_canonical),
		cmocka_unit_test(test_a_key_that_is_not_ours_neither_encodes_nor_verifies),
		cmocka_unit_test(test_each_thread_has_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
