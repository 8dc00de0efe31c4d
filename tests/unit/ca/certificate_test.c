/* What the writer writes, as OpenSSL reads and verifies it. */
#include "ca_fixture.h"

#include "common/crypto/der.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

static struct ca ca;

static int setup(void **state)
{
	(void)state;
	make_ca(&ca);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free_ca(&ca);
	return 0;
}

static X509 *issue(const struct plan *plan, struct issuer *issuer)
{
	struct buf der = {0};
	struct fault f = {0};
	done(certificate_issue(plan, issuer, NOW, &der, &f), &f);
	X509 *cert = cert_from_der(buf_view(&der));
	assert_non_null(cert);
	buf_free(&der);
	return cert;
}

static int verify(X509 *leaf, X509 *issuing, int purpose)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	assert_true(store && ctx && chain && X509_STORE_add_cert(store, ca.root_cert) &&
		    sk_X509_push(chain, issuing));
	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, chain), 1);
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, NOW);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_purpose(param, purpose);
	X509_verify_cert(ctx);
	int error = X509_STORE_CTX_get_error(ctx);
	sk_X509_free(chain);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return error;
}

static void test_a_device_certificate_verifies_as_a_client_and_nothing_else(void **state)
{
	(void)state;
	struct plan plan = device_plan(&ca);
	X509 *leaf = issue(&plan, &ca.device);
	assert_int_equal(verify(leaf, ca.device_cert, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
	assert_int_equal(verify(leaf, ca.device_cert, X509_PURPOSE_SSL_SERVER), X509_V_ERR_INVALID_PURPOSE);
	assert_int_equal(verify(leaf, ca.device_cert, X509_PURPOSE_SMIME_SIGN), X509_V_ERR_INVALID_PURPOSE);
	X509_free(leaf);
}

/* OpenSSL decodes it, encodes it anew, and gets the same bytes: it is DER in every part that OpenSSL knows. */
static void test_openssl_would_have_written_the_same_bytes(void **state)
{
	(void)state;
	struct plan plan = device_plan(&ca);
	struct buf tbs = {0};
	struct fault f = {0};
	done(certificate_tbs(&plan, &tbs, &f), &f);
	X509 *leaf = issue(&plan, &ca.device);
	uint8_t *again = NULL;
	int n = i2d_re_X509_tbs(leaf, &again);
	assert_true(n > 0 && bytes_equal(bytes_of(again, (size_t)n), buf_view(&tbs)));
	OPENSSL_free(again);
	X509_free(leaf);
	buf_free(&tbs);
}

/* OpenSSL's own writer of extensions, from its configuration language, agrees on each of them. */
static void test_extensions_are_those_of_openssls_configuration(void **state)
{
	(void)state;
	static const struct {
		int nid;
		const char *value;
	} wanted[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature"},
		{NID_ext_key_usage, "clientAuth"},
		{NID_authority_key_identifier, "keyid:always"},
		{NID_subject_alt_name, "URI:spiffe://" DOMAIN "/thing/" THING},
	};
	struct plan plan = device_plan(&ca);
	X509 *leaf = issue(&plan, &ca.device);
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, ca.device_cert, leaf, NULL, NULL, 0);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		X509_EXTENSION *theirs = X509V3_EXT_conf_nid(NULL, &ctx, wanted[i].nid, wanted[i].value);
		X509_EXTENSION *ours = X509_get_ext(leaf, X509_get_ext_by_NID(leaf, wanted[i].nid, -1));
		assert_non_null(theirs);
		assert_non_null(ours);
		assert_int_equal(X509_EXTENSION_get_critical(ours), X509_EXTENSION_get_critical(theirs));
		assert_int_equal(
			ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(ours), X509_EXTENSION_get_data(theirs)),
			0);
		X509_EXTENSION_free(theirs);
	}
	X509_free(leaf);
}

static void test_the_same_plan_gives_the_same_bytes(void **state)
{
	(void)state;
	struct plan plan = device_plan(&ca);
	struct buf one = {0}, two = {0};
	struct fault f = {0};
	done(certificate_tbs(&plan, &one, &f), &f);
	done(certificate_tbs(&plan, &two, &f), &f);
	assert_true(bytes_equal(buf_view(&one), buf_view(&two)));
	plan.serial[15]++;
	two.n = 0;
	done(certificate_tbs(&plan, &two, &f), &f);
	assert_false(bytes_equal(buf_view(&one), buf_view(&two)));
	buf_free(&one);
	buf_free(&two);
}

/* A stolen key of the device CA makes no server, mailbox or address that anyone would believe. */
static void test_the_device_ca_is_constrained_to_the_trust_domain(void **state)
{
	(void)state;
	static const char *const hosts[] = {"example.com", "192.0.2.1", "2001:db8::1"};
	struct plan plan = device_plan(&ca);
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		plan.profile = profile_find("service-server");
		plan.uri = "spiffe://" DOMAIN "/service/edge/" THING;
		plan.hosts = &hosts[i];
		plan.host_count = 1;
		X509 *leaf = issue(&plan, &ca.device);
		int error = verify(leaf, ca.device_cert, X509_PURPOSE_SSL_SERVER);
		assert_true(error == X509_V_ERR_EXCLUDED_VIOLATION || error == X509_V_ERR_INVALID_PURPOSE);
		assert_int_equal(verify(leaf, ca.device_cert, X509_PURPOSE_ANY),
				 X509_V_ERR_EXCLUDED_VIOLATION);
		X509_free(leaf);
	}
	plan = device_plan(&ca);
	plan.trust_domain = "other.example";
	plan.uri = "spiffe://other.example/thing/" THING;
	X509 *leaf = issue(&plan, &ca.device);
	assert_int_equal(verify(leaf, ca.device_cert, X509_PURPOSE_SSL_CLIENT),
			 X509_V_ERR_PERMITTED_VIOLATION);
	X509_free(leaf);
}

/* The path length of 0 keeps an issuing CA from making another. */
static void test_an_issuing_ca_makes_no_ca(void **state)
{
	(void)state;
	uint8_t room[SPKI_MAX];
	EVP_PKEY *key;
	struct bytes spki = new_spki(&key, room);
	struct buf name = {0};
	struct fault f = {0};
	done(certificate_name("Sub", "OEM", &name, &f), &f);
	struct plan plan = {.profile = profile_find("device-ca"),
			    .issuer = &ca.device,
			    .not_before = NOW,
			    .not_after = NOW + DAY,
			    .subject = buf_view(&name),
			    .spki = spki,
			    .trust_domain = DOMAIN,
			    .uri = "spiffe://" DOMAIN};
	certificate_random_serial(plan.serial);
	X509 *sub = issue(&plan, &ca.device);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct issuer issuer;
	done(issuer_make(key, sub, &issuer, &f), &f);
	plan = device_plan(&ca);
	plan.issuer = &issuer;
	plan.not_before = NOW;
	plan.not_after = NOW + 60;
	X509 *leaf = issue(&plan, &issuer);
	assert_true(X509_STORE_add_cert(store, ca.root_cert) && sk_X509_push(chain, ca.device_cert) &&
		    sk_X509_push(chain, sub));
	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, chain), 1);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), NOW);
	assert_int_not_equal(X509_verify_cert(ctx), 1);
	assert_int_equal(X509_STORE_CTX_get_error(ctx), X509_V_ERR_PATH_LENGTH_EXCEEDED);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_free(chain);
	X509_free(leaf);
	X509_free(sub);
	issuer_free(&issuer);
	buf_free(&name);
}

static void test_names_of_a_server_are_written_as_what_they_are(void **state)
{
	(void)state;
	static const char *const hosts[] = {"gw.example.com", "*.example.com", "192.0.2.7", "2001:db8::7"};
	struct plan plan = device_plan(&ca);
	plan.profile = profile_find("service-server");
	plan.uri = "spiffe://" DOMAIN "/service/edge/" THING;
	plan.hosts = hosts;
	plan.host_count = sizeof hosts / sizeof *hosts;
	X509 *leaf = issue(&plan, &ca.device);
	assert_int_equal(X509_check_host(leaf, "gw.example.com", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(leaf, "any.example.com", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(leaf, "example.com", 0, 0, NULL), 0);
	assert_int_equal(X509_check_host(leaf, "192.0.2.7", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.7", 0), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "2001:db8::7", 0), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.8", 0), 0);
	X509_free(leaf);
}

static void test_hosts_and_trust_domains_are_checked(void **state)
{
	(void)state;
	static const char *const good[] = {"a",		  "localhost", "a-b.example",
					   "*.a.example", "127.0.0.1", "::1"};
	static const char *const bad[] = {"",  ".",   "a..b", "-a",  "a-", "A.example", "a_b",
					  "*", "a.*", "a b",  "a/b", "a.", "http://a"};
	struct fault f = {0};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		done(certificate_check_host(good[i], &f), &f);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(certificate_check_host(bad[i], &f), &f, REASON_BAD_FIELD, NULL);
	done(trust_domain_check("example.com", &f), &f);
	refused(trust_domain_check("*.example.com", &f), &f, REASON_CONFIG, NULL);
	char label[66], domain[TRUST_DOMAIN_MAX + 3];
	memset(label, 'a', 64);
	label[64] = '\0';
	refused(trust_domain_check(label, &f), &f, REASON_CONFIG, NULL);
	for (size_t i = 0; i + 2 < sizeof domain; i += 2)
		memcpy(domain + i, "a.", 3);
	refused(trust_domain_check(domain, &f), &f, REASON_CONFIG, NULL);
}

static struct bytes serial_in(struct bytes tbs)
{
	struct der_item item;
	assert_true(der_take(&tbs, DER_SEQUENCE, &item));
	struct bytes in = item.contents;
	assert_true(der_next(&in, &item) && der_take(&in, DER_INTEGER, &item));
	return item.whole;
}

static void test_serials_are_positive_and_minimal(void **state)
{
	(void)state;
	static const struct {
		const char *serial;
		const char *der;
		size_t n;
	} cases[] = {
		{"\x7f\1\2\3\4\5\6\7\1\2\3\4\5\6\7\x0f", "\x02\x10\x7f\1\2\3\4\5\6\7\1\2\3\4\5\6\7\x0f", 18},
		{"\x80\1\2\3\4\5\6\7\1\2\3\4\5\6\7\x0f", "\x02\x11\0\x80\1\2\3\4\5\6\7\1\2\3\4\5\6\7\x0f",
		 19},
		{"\0\0\1\2\3\4\5\6\7\1\2\3\4\5\6\7", "\x02\x0e\1\2\3\4\5\6\7\1\2\3\4\5\6\7", 16},
		{"\0\0\x80\2\3\4\5\6\7\1\2\3\4\5\6\7", "\x02\x0f\0\x80\2\3\4\5\6\7\1\2\3\4\5\6\7", 17},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "\x02\x01\0", 3},
	};
	struct plan plan = device_plan(&ca);
	struct fault f = {0};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf tbs = {0};
		memcpy(plan.serial, cases[i].serial, SERIAL_SIZE);
		done(certificate_tbs(&plan, &tbs, &f), &f);
		assert_true(bytes_equal(serial_in(buf_view(&tbs)), bytes_of(cases[i].der, cases[i].n)));
		buf_free(&tbs);
	}
	for (int i = 0; i < 1000; i++) {
		uint8_t serial[SERIAL_SIZE];
		certificate_random_serial(serial);
		assert_true(serial[0] >= 1 && serial[0] < 0x80);
	}
}

/* RFC 5280 4.1.2.5: the notation changes with the year 2050. */
static void test_dates_change_their_notation_in_2050(void **state)
{
	(void)state;
	static const struct {
		int64_t unix_s;
		const char *text;
		size_t n;
	} cases[] = {
		{2524607999,
		 "\x17\x0d"
		 "491231235959Z",
		 15},
		{2524608000,
		 "\x18\x0f"
		 "20500101000000Z",
		 17},
		{0,
		 "\x17\x0d"
		 "700101000000Z",
		 15},
		{253402300799,
		 "\x18\x0f"
		 "99991231235959Z",
		 17},
	};
	struct plan plan = device_plan(&ca);
	struct fault f = {0};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf tbs = {0};
		plan.not_after = cases[i].unix_s;
		done(certificate_tbs(&plan, &tbs, &f), &f);
		assert_non_null(memmem(tbs.p, tbs.n, cases[i].text, cases[i].n));
		buf_free(&tbs);
	}
	static const int64_t unwritable[] = {253402300800, INT64_MAX, INT64_MIN};
	for (size_t i = 0; i < sizeof unwritable / sizeof *unwritable; i++) {
		struct buf tbs = {0};
		plan.not_after = unwritable[i];
		refused(certificate_tbs(&plan, &tbs, &f), &f, REASON_SIGNER_LINT, "a date out of range");
		buf_free(&tbs);
	}
}

static void test_names_have_a_length(void **state)
{
	(void)state;
	char name[COMMON_NAME_MAX + 2];
	struct buf out = {0};
	struct fault f = {0};
	memset(name, 'n', sizeof name);
	name[COMMON_NAME_MAX] = '\0';
	done(certificate_name(name, name, &out, &f), &f);
	name[COMMON_NAME_MAX] = 'n';
	name[COMMON_NAME_MAX + 1] = '\0';
	refused(certificate_name(name, NULL, &out, &f), &f, REASON_BAD_FIELD, NULL);
	refused(certificate_name("x", name, &out, &f), &f, REASON_BAD_FIELD, NULL);
	refused(certificate_name("", NULL, &out, &f), &f, REASON_BAD_FIELD, NULL);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_device_certificate_verifies_as_a_client_and_nothing_else),
		cmocka_unit_test(test_openssl_would_have_written_the_same_bytes),
		cmocka_unit_test(test_extensions_are_those_of_openssls_configuration),
		cmocka_unit_test(test_the_same_plan_gives_the_same_bytes),
		cmocka_unit_test(test_the_device_ca_is_constrained_to_the_trust_domain),
		cmocka_unit_test(test_an_issuing_ca_makes_no_ca),
		cmocka_unit_test(test_names_of_a_server_are_written_as_what_they_are),
		cmocka_unit_test(test_hosts_and_trust_domains_are_checked),
		cmocka_unit_test(test_serials_are_positive_and_minimal),
		cmocka_unit_test(test_dates_change_their_notation_in_2050),
		cmocka_unit_test(test_names_have_a_length),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
