/* Loading issuing keys, and signing with them. */
#include "ca_fixture.h"

#include "common/file.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ca ca;
static char folder[] = "/tmp/issuer_test.XXXXXX";
static char key_path[64], cert_path[64];

static void save(EVP_PKEY *key, X509 *cert)
{
	struct fault f = {0};
	struct buf der = {0}, pem = {0};
	done(key_save_private_pem(key_path, key, &f), &f);
	assert_true(cert_to_der(cert, &der) && cert_to_pem(buf_view(&der), &pem));
	done(file_replace(cert_path, buf_view(&pem), 0644, &f), &f);
	buf_free(&der);
	buf_free(&pem);
}

static int setup(void **state)
{
	(void)state;
	make_ca(&ca);
	if (!mkdtemp(folder))
		return -1;
	snprintf(key_path, sizeof key_path, "%s/ca.key", folder);
	snprintf(cert_path, sizeof cert_path, "%s/ca.pem", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free_ca(&ca);
	unlink(key_path);
	unlink(cert_path);
	return rmdir(folder);
}

static void test_a_key_is_loaded_by_path_and_by_uri(void **state)
{
	(void)state;
	char uri[96], authority[96];
	struct fault f = {0};
	save(ca.device.key, ca.device_cert);
	snprintf(uri, sizeof uri, "file:%s", key_path);
	snprintf(authority, sizeof authority, "file://%s", key_path);
	const char *const forms[] = {key_path, uri, authority};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct issuer issuer;
		done(issuer_load(forms[i], cert_path, &issuer, &f), &f);
		assert_true(bytes_equal(buf_view(&issuer.subject), buf_view(&ca.device.subject)));
		assert_int_equal(issuer.not_after, ca.device.not_after);
		assert_int_equal(issuer.key_id_size, KEY_ID_SIZE);
		issuer_free(&issuer);
	}
}

static void test_what_is_no_issuer_is_refused(void **state)
{
	(void)state;
	struct issuer issuer;
	struct fault f = {0};
	struct plan plan = device_plan(&ca);
	struct buf der = {0};
	save(ca.root.key, ca.device_cert);
	refused(issuer_load(key_path, cert_path, &issuer, &f), &f, REASON_CONFIG,
		"not the key of the issuing certificate");
	done(certificate_issue(&plan, &ca.device, NOW, &der, &f), &f);
	X509 *leaf = cert_from_der(buf_view(&der));
	save(ca.device.key, leaf);
	refused(issuer_load(key_path, cert_path, &issuer, &f), &f, REASON_CONFIG, "may not sign");
	X509_free(leaf);
	buf_free(&der);
	save(ca.device.key, ca.device_cert);
	assert_int_equal(chmod(key_path, 0640), 0);
	refused(issuer_load(key_path, cert_path, &issuer, &f), &f, REASON_IO, "chmod 600");
	refused(issuer_load("/nonexistent", cert_path, &issuer, &f), &f, REASON_IO, "/nonexistent");
	refused(issuer_load("file:/nonexistent", cert_path, &issuer, &f), &f, REASON_IO, "/nonexistent");
	refused(issuer_load("nosuch:object=k", cert_path, &issuer, &f), &f, REASON_CONFIG,
		"provider \"nosuch\"");
	assert_int_equal(chmod(cert_path, 0600), 0);
	refused(issuer_load(cert_path, cert_path, &issuer, &f), &f, REASON_CRYPTO, cert_path);
}

/* A key that wants a pass phrase must not stop a daemon at a prompt. */
static void test_an_encrypted_key_is_refused_without_a_prompt(void **state)
{
	(void)state;
	EVP_PKEY *key = NULL;
	struct fault f = {0};
	char *text;
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(
		PEM_write_bio_PKCS8PrivateKey(bio, ca.device.key, EVP_aes_256_cbc(), "secret", 6, NULL, NULL),
		1);
	long n = BIO_get_mem_data(bio, &text);
	done(file_replace(key_path, bytes_of(text, (size_t)n), 0600, &f), &f);
	BIO_free(bio);
	refused(key_load_uri(key_path, &key, &f), &f, REASON_CRYPTO, key_path);
	assert_null(key);
}

/* Issuers of the larger curves sign with their digests. */
static void test_each_curve_signs_with_its_digest(void **state)
{
	(void)state;
	static const struct {
		const char *curve;
		int algorithm;
	} cases[] = {{"P-256", NID_ecdsa_with_SHA256},
		     {"P-384", NID_ecdsa_with_SHA384},
		     {"P-521", NID_ecdsa_with_SHA512}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct issuer root = {0};
		struct fault f = {0};
		uint8_t room[SPKI_MAX];
		struct buf name = {0};
		EVP_PKEY *key = EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "EC", cases[i].curve);
		struct bytes spki = bytes_of(room, ec_key_to_spki(key, room, sizeof room));
		done(certificate_name("Root", "OEM", &name, &f), &f);
		done(issuer_make_root(key, buf_view(&name), NOW - BACKDATE_S, NOW + 20LL * 365 * DAY, &root,
				      &f),
		     &f);
		X509 *cert = issue_ca("root", &root, buf_view(&name), spki);
		assert_int_equal(X509_get_signature_nid(cert), cases[i].algorithm);
		assert_int_equal(X509_verify(cert, key), 1);
		X509_free(cert);
		issuer_free(&root);
		buf_free(&name);
	}
}

static void test_other_kinds_of_key_do_not_sign(void **state)
{
	(void)state;
	static const char *const kinds[] = {"ED25519", "RSA"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct issuer root;
		struct fault f = {0};
		EVP_PKEY *key = strcmp(kinds[i], "RSA")
					? EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "ED25519")
					: EVP_PKEY_Q_keygen(crypto_ctx(), NULL, "RSA", (size_t)2048);
		assert_non_null(key);
		refused(issuer_make_root(key, bytes_str("x"), NOW, NOW + DAY, &root, &f), &f, REASON_CRYPTO,
			"P-256");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_is_loaded_by_path_and_by_uri),
		cmocka_unit_test(test_what_is_no_issuer_is_refused),
		cmocka_unit_test(test_an_encrypted_key_is_refused_without_a_prompt),
		cmocka_unit_test(test_each_curve_signs_with_its_digest),
		cmocka_unit_test(test_other_kinds_of_key_do_not_sign),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
