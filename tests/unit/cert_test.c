#include "common/crypto/cert.h"

#include "vectors.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { NOW = 1800000000, DAY = 86400 };

/* What a certificate is made with; NULL = leave the extension out. */
struct recipe {
	const char *common_name; /* "" = none */
	const char *second_name;
	const char *basic, *usage, *extended, *authority;
	const char *other; /* "OID=value" in openssl's syntax */
	int64_t not_before, not_after;
};

static EVP_PKEY *ca_key, *leaf_key;
static X509 *ca;

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

static void add_name(X509_NAME *name, const char *value)
{
	if (value && *value)
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0);
}

static X509 *make(const struct recipe *r, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *cert = X509_new();
	X509 *by = issuer ? issuer : cert;
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	add_name(X509_get_subject_name(cert), r->common_name);
	add_name(X509_get_subject_name(cert), r->second_name);
	X509_set_issuer_name(cert, X509_get_subject_name(by));
	ASN1_TIME_set(X509_getm_notBefore(cert), r->not_before ? r->not_before : NOW - DAY);
	ASN1_TIME_set(X509_getm_notAfter(cert), r->not_after ? r->not_after : NOW + DAY);
	X509_set_pubkey(cert, key);
	add_extension(cert, by, NID_basic_constraints, r->basic);
	add_extension(cert, by, NID_key_usage, r->usage);
	add_extension(cert, by, NID_ext_key_usage, r->extended);
	add_extension(cert, by, NID_subject_key_identifier, "hash");
	add_extension(cert, by, NID_authority_key_identifier, r->authority);
	if (r->other) {
		ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
		ASN1_OBJECT *oid = OBJ_txt2obj(r->other, 1);
		ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05\x00", 2);
		X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
		X509_add_ext(cert, e, -1);
		X509_EXTENSION_free(e);
		ASN1_OCTET_STRING_free(value);
		ASN1_OBJECT_free(oid);
	}
	assert_true(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
	return cert;
}

static struct buf der_of(X509 *cert)
{
	struct buf der = {0};
	assert_true(cert_to_der(cert, &der));
	return der;
}

static const struct recipe ca_recipe = {
	.common_name = "CA", .basic = "critical,CA:TRUE,pathlen:0", .usage = "critical,keyCertSign,cRLSign"};

#define USUAL                                                                                                \
	.common_name = "thing", .basic = "critical,CA:FALSE", .usage = "critical,digitalSignature",          \
	.extended = "clientAuth", .authority = "keyid:always"

static int setup(void **state)
{
	(void)state;
	ca_key = p256_key_generate();
	leaf_key = p256_key_generate();
	ca = make(&ca_recipe, ca_key, NULL, ca_key);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(leaf_key);
	return 0;
}

static const struct {
	const char *what;
	struct recipe recipe;
	int purpose;
	enum reason reason;
} leaves[] = {
	{"a client certificate", {USUAL}, NID_client_auth, REASON_NONE},
	{"both usages",
	 {.common_name = "x", .basic = "CA:FALSE", .extended = "serverAuth,clientAuth"},
	 NID_client_auth,
	 REASON_NONE},
	{"no basic constraints",
	 {.common_name = "x", .extended = "clientAuth"},
	 NID_client_auth,
	 REASON_NONE},
	{"a client certificate for a server", {USUAL}, NID_server_auth, REASON_PEER_CERTIFICATE},
	{"no extended usage",
	 {.common_name = "x", .basic = "CA:FALSE"},
	 NID_client_auth,
	 REASON_PEER_CERTIFICATE},
	{"any extended usage",
	 {.common_name = "x", .extended = "anyExtendedKeyUsage"},
	 NID_client_auth,
	 REASON_PEER_CERTIFICATE},
	{"usage without signing",
	 {.common_name = "x", .usage = "keyAgreement", .extended = "clientAuth"},
	 NID_client_auth,
	 REASON_PEER_CERTIFICATE},
	{"a CA",
	 {.common_name = "x", .basic = "CA:TRUE", .extended = "clientAuth"},
	 NID_client_auth,
	 REASON_PEER_CERTIFICATE},
	{"signs certificates",
	 {.common_name = "x", .usage = "keyCertSign,digitalSignature", .extended = "clientAuth"},
	 NID_client_auth,
	 REASON_PEER_CERTIFICATE},
	{"critical and unknown",
	 {.common_name = "x", .extended = "clientAuth", .other = "1.3.6.1.4.1.99999.1"},
	 NID_client_auth,
	 REASON_PEER_CERTIFICATE},
	{"expired", {USUAL, .not_after = NOW - 1}, NID_client_auth, REASON_CERTIFICATE_EXPIRED},
	{"in its last second", {USUAL, .not_after = NOW}, NID_client_auth, REASON_NONE},
	{"in its first second", {USUAL, .not_before = NOW}, NID_client_auth, REASON_NONE},
	{"not yet valid", {USUAL, .not_before = NOW + 1}, NID_client_auth, REASON_PEER_CERTIFICATE},
};

static void test_leaves_are_taken_or_refused_as_their_row_says(void **state)
{
	(void)state;
	struct fault f;
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
		X509 *leaf = make(&leaves[i].recipe, leaf_key, ca, ca_key);
		outcome o = cert_verify(leaf, ca, NOW, leaves[i].purpose, &f);
		if (leaves[i].reason == REASON_NONE)
			accepted(o, &f, leaves[i].what);
		else
			refused_for(o, &f, leaves[i].reason, leaves[i].what);
		assert_int_equal(ERR_peek_error(), 0);
		X509_free(leaf);
	}
}

static void test_another_issuer_is_refused(void **state)
{
	(void)state;
	struct fault f;
	struct recipe other_name = ca_recipe;
	other_name.common_name = "other CA";
	EVP_PKEY *key = p256_key_generate();
	X509 *twin = make(&ca_recipe, key, NULL, key), *other = make(&other_name, ca_key, NULL, ca_key);
	X509 *leaf = make(&(struct recipe){USUAL}, leaf_key, ca, ca_key);
	X509 *under_leaf = make(&(struct recipe){USUAL}, key, leaf, leaf_key);
	X509 *forged = make(&(struct recipe){USUAL}, leaf_key, ca, key);
	refused_for(cert_verify(leaf, twin, NOW, NID_client_auth, &f), &f, REASON_PEER_CERTIFICATE,
		    "same name, other key");
	refused_for(cert_verify(leaf, other, NOW, NID_client_auth, &f), &f, REASON_PEER_CERTIFICATE,
		    "other name");
	refused_for(cert_verify(under_leaf, leaf, NOW, NID_client_auth, &f), &f, REASON_PEER_CERTIFICATE,
		    "issued by a leaf");
	refused_for(cert_verify(forged, ca, NOW, NID_client_auth, &f), &f, REASON_PEER_CERTIFICATE,
		    "signed by another key");
	assert_non_null(strstr(f.text, "signature"));
	X509_free(twin);
	X509_free(other);
	X509_free(under_leaf);
	X509_free(forged);
	X509_free(leaf);
	EVP_PKEY_free(key);
}

static void test_no_changed_certificate_is_accepted(void **state)
{
	(void)state;
	struct fault f;
	X509 *leaf = make(&(struct recipe){USUAL}, leaf_key, ca, ca_key);
	struct buf der = der_of(leaf);
	size_t parsed = 0;
	for (size_t i = 0; i < der.n; i++) {
		der.p[i] ^= 0x01;
		X509 *changed = cert_from_der(buf_view(&der));
		parsed += changed != NULL;
		if (changed && cert_verify(changed, ca, NOW, NID_client_auth, &f).ok)
			fail_msg("byte %zu changed and still accepted", i);
		X509_free(changed);
		der.p[i] ^= 0x01;
		assert_null(cert_from_der(bytes_of(der.p, i)));
		assert_int_equal(ERR_peek_error(), 0);
	}
	assert_true(parsed > 64);
	buf_free(&der);
	X509_free(leaf);
}

static void test_der_and_pem_hold_exactly_one(void **state)
{
	(void)state;
	struct buf der = der_of(ca), pem = {0}, again;
	assert_true(cert_to_pem(buf_view(&der), &pem));
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *theirs = PEM_read_bio_X509(bio, NULL, NULL, NULL), *ours = cert_from_pem(buf_view(&pem));
	assert_non_null(theirs);
	assert_non_null(ours);
	again = der_of(ours);
	assert_true(bytes_equal(buf_view(&again), buf_view(&der)));
	buf_byte(&pem, '\n');
	X509_free(ours);
	ours = cert_from_pem(buf_view(&pem));
	assert_non_null(ours);
	size_t one = pem.n;
	assert_true(cert_to_pem(buf_view(&der), &pem));
	assert_null(cert_from_pem(buf_view(&pem)));
	assert_null(cert_from_pem(bytes_of(pem.p, one + 40)));
	assert_null(cert_from_pem(bytes_of(pem.p, one - 30)));
	assert_null(cert_from_pem(bytes_str("")));
	buf_byte(&der, 0);
	assert_null(cert_from_der(buf_view(&der)));
	assert_null(cert_from_der(bytes_str("")));
	X509_free(ours);
	X509_free(theirs);
	BIO_free(bio);
	buf_free(&again);
	buf_free(&der);
	buf_free(&pem);
}

static void test_a_pem_file_is_loaded_or_named(void **state)
{
	(void)state;
	char path[] = "/tmp/cert_test.XXXXXX";
	int fd = mkstemp(path);
	struct buf der = der_of(ca), pem = {0};
	struct fault f;
	X509 *cert = NULL;
	assert_true(fd >= 0 && cert_to_pem(buf_view(&der), &pem));
	refused_for(cert_load_pem(path, &cert, &f), &f, REASON_CRYPTO, "an empty file");
	assert_non_null(strstr(f.text, path));
	accepted(file_write_all(fd, buf_view(&pem), path, &f), &f, path);
	accepted(cert_load_pem(path, &cert, &f), &f, path);
	assert_int_equal(X509_cmp(cert, ca), 0);
	X509_free(cert);
	unlink(path);
	close(fd);
	refused_for(cert_load_pem(path, &cert, &f), &f, REASON_IO, "no file");
	buf_free(&der);
	buf_free(&pem);
}

static size_t load_all(const char *path, struct bytes contents, size_t room, X509 **out, struct fault *f)
{
	size_t count = 99;
	FILE *file = fopen(path, "w");
	assert_int_equal(fwrite(contents.p, 1, contents.n, file), contents.n);
	assert_int_equal(fclose(file), 0);
	outcome o = cert_load_pems(path, out, room, &count, f);
	if (!o.ok)
		assert_int_equal(count, 0);
	return count;
}

static void test_a_file_of_several_certificates_is_read_whole_or_refused(void **state)
{
	(void)state;
	char path[] = "/tmp/cert_test.XXXXXX";
	struct buf der = der_of(ca), pem = {0}, text = {0};
	struct fault f;
	X509 *certs[4];
	close(mkstemp(path));
	assert_true(cert_to_pem(buf_view(&der), &pem));
	for (size_t n = 1; n <= 3; n++) {
		buf_bytes(&text, buf_view(&pem));
		if (n == 2)
			buf_str(&text, "\n\r\n"); /* as editors leave it */
		assert_int_equal(load_all(path, buf_view(&text), 3, certs, &f), n);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(X509_cmp(certs[i], ca), 0);
			X509_free(certs[i]);
		}
	}
	assert_int_equal(load_all(path, buf_view(&text), 2, certs, &f), 0);
	assert_non_null(strstr(f.text, "more than 2"));
	buf_str(&text, "-----BEGIN CERTIFICATE-----\n");
	assert_int_equal(load_all(path, buf_view(&text), 4, certs, &f), 0);
	assert_non_null(strstr(f.text, "certificate 4"));
	assert_int_equal(load_all(path, bytes_str(""), 3, certs, &f), 0);
	assert_non_null(strstr(f.text, "certificate 1"));
	unlink(path);
	buf_free(&der);
	buf_free(&pem);
	buf_free(&text);
}

static void test_the_common_name_is_one_or_none(void **state)
{
	(void)state;
	static const struct {
		struct recipe recipe;
		size_t room;
		bool found;
	} cases[] = {
		{{.common_name = "thing-1"}, 8, true},
		{{.common_name = "thing-1"}, 7, false},
		{{.common_name = "a", .second_name = "b"}, 8, false},
		{{.common_name = ""}, 8, false},
	};
	char name[8];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		X509 *cert = make(&cases[i].recipe, leaf_key, ca, ca_key);
		assert_int_equal(cert_common_name(cert, name, cases[i].room), cases[i].found);
		if (cases[i].found)
			assert_string_equal(name, "thing-1");
		X509_free(cert);
	}
}

static void test_a_common_name_with_a_nul_is_none(void **state)
{
	(void)state;
	char name[32];
	X509 *cert = make(&(struct recipe){USUAL}, leaf_key, ca, ca_key);
	X509_NAME *subject = X509_NAME_new();
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)"admin\0evil", 10, -1, 0);
	X509_set_subject_name(cert, subject);
	X509_sign(cert, ca_key, EVP_sha256());
	assert_false(cert_common_name(cert, name, sizeof name));
	X509_NAME_free(subject);
	X509_free(cert);
}

static void test_dates_are_unix_seconds(void **state)
{
	(void)state;
	int64_t not_before, not_after;
	X509 *cert = make(&(struct recipe){USUAL, .not_before = NOW - 5, .not_after = 2524608000}, leaf_key,
			  ca, ca_key);
	cert_dates(cert, &not_before, &not_after);
	assert_int_equal(not_before, NOW - 5);
	assert_int_equal(not_after, 2524608000); /* 2050-01-01, the first GeneralizedTime */
	X509_free(cert);
}

static void test_fingerprint_and_thing_name_are_their_hashes(void **state)
{
	(void)state;
	static const uint8_t salt[32] = {1};
	uint8_t instance[INSTANCE_ID_SIZE] = {1, 2, 3}, fingerprint[FINGERPRINT_SIZE],
		whole[15 + 32 + INSTANCE_ID_SIZE], hash[SHA256_SIZE];
	char name[THING_NAME_SIZE], expected[BASE32_SIZE(15)];
	memcpy(whole, "mooring-thing/1", 15);
	memcpy(whole + 15, salt, 32);
	memcpy(whole + 47, instance, sizeof instance);
	EVP_Digest(whole, sizeof whole, hash, NULL, EVP_sha256(), NULL);
	base32_encode_lower(bytes_of(hash, 15), expected);
	cert_thing_name(bytes_of(salt, sizeof salt), instance, name);
	assert_int_equal(strlen(name), 24);
	assert_string_equal(name, expected);
	instance[32] ^= 1;
	cert_thing_name(bytes_of(salt, sizeof salt), instance, name);
	assert_string_not_equal(name, expected);
	EVP_Digest("abc", 3, hash, NULL, EVP_sha256(), NULL);
	cert_fingerprint(bytes_str("abc"), fingerprint);
	assert_memory_equal(fingerprint, hash, sizeof hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaves_are_taken_or_refused_as_their_row_says),
		cmocka_unit_test(test_another_issuer_is_refused),
		cmocka_unit_test(test_no_changed_certificate_is_accepted),
		cmocka_unit_test(test_der_and_pem_hold_exactly_one),
		cmocka_unit_test(test_a_pem_file_is_loaded_or_named),
		cmocka_unit_test(test_a_file_of_several_certificates_is_read_whole_or_refused),
		cmocka_unit_test(test_the_common_name_is_one_or_none),
		cmocka_unit_test(test_a_common_name_with_a_nul_is_none),
		cmocka_unit_test(test_dates_are_unix_seconds),
		cmocka_unit_test(test_fingerprint_and_thing_name_are_their_hashes),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
