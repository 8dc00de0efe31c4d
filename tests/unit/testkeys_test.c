#include "common/evidence/evidence.h"

#include "vectors.h"

#include <ctype.h>
#include <ftw.h>
#include <jansson.h>
#include <openssl/pem.h>

static size_t json_keys, pem_keys, text_keys;

static void check_listed(EVP_PKEY *key, const char *where)
{
	uint8_t spki[SPKI_MAX], hash[SHA256_SIZE], instance[INSTANCE_ID_SIZE];
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	assert_true(n > 0);
	sha256(bytes_of(spki, n), hash);
	if (!evidence_is_test_key(hash))
		fail_msg("%s: this published key is not on the list", where);
	assert_true(evidence_instance_id(key, instance) && evidence_is_test_instance(instance));
	assert_true(evidence_instance_id_old(key, instance) && evidence_is_test_instance(instance));
}

/* A public key whose coordinates replace those of a fresh key of the same curve. */
static EVP_PKEY *key_of_coordinates(const char *curve, const char *x, const char *y)
{
	uint8_t spki[SPKI_MAX], raw[2][66];
	size_t nx, ny;
	EVP_PKEY *fresh = EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "EC", curve);
	size_t n = ec_key_to_spki(fresh, spki, sizeof spki);
	EVP_PKEY_free(fresh);
	assert_true(base64url_decode(x, strlen(x), raw[0], sizeof raw[0], &nx));
	assert_true(base64url_decode(y, strlen(y), raw[1], sizeof raw[1], &ny));
	assert_true(nx == ny && n > 2 * nx);
	memcpy(spki + n - 2 * nx, raw[0], nx);
	memcpy(spki + n - nx, raw[1], nx);
	return ec_key_from_spki(bytes_of(spki, n));
}

/* JSON Web Keys, and the like, anywhere in a document. */
static void check_json(json_t *value, const char *where)
{
	size_t index;
	const char *name, *curve = json_string_value(json_object_get(value, "crv"));
	const char *x = json_string_value(json_object_get(value, "x")),
		   *y = json_string_value(json_object_get(value, "y"));
	json_t *child;
	if (curve && x && y) {
		EVP_PKEY *key = key_of_coordinates(curve, x, y);
		if (!key)
			fail_msg("%s: no key of curve %s", where, curve);
		check_listed(key, where);
		EVP_PKEY_free(key);
		json_keys++;
	}
	json_object_foreach(value, name, child)
		check_json(child, where);
	json_array_foreach(value, index, child)
		check_json(child, where);
}

static void check_private_pem(struct bytes text, const char *where)
{
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, crypto_ctx(), NULL);
	if (key) {
		check_listed(key, where);
		pem_keys++;
	}
	EVP_PKEY_free(key);
	BIO_free(bio);
}

/* Base64 of a P-256 SubjectPublicKeyInfo wherever it stands: PEM, JSON, YAML with spelled line ends. */
static void check_text(const char *text, const char *where)
{
	enum { P256_SPKI_SIZE = 91 };
	for (const char *at = text; (at = strstr(at, "MFkwEwYHKoZIzj0")); at++) {
		char base64[BASE64_SIZE(P256_SPKI_SIZE)];
		uint8_t spki[P256_SPKI_SIZE];
		size_t n = 0, got;
		for (const char *p = at; n < 122 && *p && *p != '-'; p += p[0] == '\\' ? 2 : 1)
			if (isalnum((unsigned char)*p) || strchr("+/_", *p) ||
			    (*p == '-' && isalnum((unsigned char)p[1])))
				base64[n++] = *p == '+' ? '-' : *p == '/' ? '_' : *p;
		if (!base64url_decode(base64, n, spki, sizeof spki, &got) || got != sizeof spki)
			continue;
		EVP_PKEY *key = ec_key_from_spki(bytes_of(spki, got));
		assert_non_null(key);
		check_listed(key, where);
		EVP_PKEY_free(key);
		text_keys++;
	}
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)ftw;
	if (type != FTW_F || strstr(path, "/derived/csr/") || strstr(path, "/derived/psa/"))
		return 0;
	struct buf text = read_path(path);
	json_t *document = strstr(path, ".json") ? json_loadb((const char *)text.p, text.n, 0, NULL) : NULL;
	check_json(document, path);
	json_decref(document);
	if (strstr(path, ".pem"))
		check_private_pem(buf_view(&text), path);
	buf_byte(&text, 0);
	for (size_t at = 0; at < text.n; at += strlen((const char *)text.p + at) + 1)
		check_text((const char *)text.p + at, path);
	buf_free(&text);
	return 0;
}

static void test_every_key_published_with_the_vectors_is_on_the_list(void **state)
{
	(void)state;
	need_third_party();
	char root[512];
	assert_int_equal(nftw(third_party("", root), visit, 16, FTW_PHYS), 0);
	assert_true(json_keys >= 15);
	assert_true(pem_keys >= 1);
	assert_true(text_keys >= 5);
}

static void test_the_hashes_in_the_field_are_on_the_list(void **state)
{
	(void)state;
	static const char *const listed[] = {
		"7b1a17147ca907e16cad79901fef13991ec6206e3d148b657068ad6c4cba4626",
		"45d852b8ab34e60e66d904c289f945edadf3de2446e8eaf61df17333ac5fd8e2",
		"5a2ee506e027a7d8bafe7a5dc83d1d5e64f068bd838fd9030cee8be9f635c23a",
		"0928f896cb02326566530a62a1e36329a12d0a4a308f4fc81e8ff5560bca6bca",
		"51b944cdfa544d4c3273aa6bf350625a7dd53bbb6a71723274f538b19a207760",
		"66e2b23c32c650217f99e11fb60b51ea72c6667c6dfd1238364435e62d659d5b",
	};
	uint8_t hash[SHA256_SIZE];
	size_t n;
	for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
		assert_true(hex_decode(listed[i], 64, hash, sizeof hash, &n));
		assert_true(evidence_is_test_key(hash));
		hash[0] ^= 1;
		assert_false(evidence_is_test_key(hash));
	}
}

static void test_a_fresh_key_is_not_on_the_list(void **state)
{
	(void)state;
	uint8_t spki[SPKI_MAX], hash[SHA256_SIZE], instance[INSTANCE_ID_SIZE];
	EVP_PKEY *key = p256_key_generate();
	sha256(bytes_of(spki, ec_key_to_spki(key, spki, sizeof spki)), hash);
	assert_false(evidence_is_test_key(hash));
	assert_true(evidence_instance_id(key, instance));
	assert_false(evidence_is_test_instance(instance));
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key_published_with_the_vectors_is_on_the_list),
		cmocka_unit_test(test_the_hashes_in_the_field_are_on_the_list),
		cmocka_unit_test(test_a_fresh_key_is_not_on_the_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
