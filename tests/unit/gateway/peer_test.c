#include "gateway/http/peer.h"

#include "cert.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1800000000, DAY = 86400 };
#define BROKER "URI:spiffe://example.com/service/broker/broker-1"

static EVP_PKEY *ca_key, *other_key, *leaf_key;
static X509 *ca;

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

/* What differs between the certificates of these tests. */
struct recipe {
	const char *name, *san, *purpose;
	int64_t not_after;
	EVP_PKEY *signer;
};

static X509 *make(const struct recipe *r, bool is_ca)
{
	X509 *cert = X509_new(), *issuer = is_ca ? cert : ca;
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const uint8_t *)r->name,
				   -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
	ASN1_TIME_set(X509_getm_notBefore(cert), NOW - DAY);
	ASN1_TIME_set(X509_getm_notAfter(cert), r->not_after ? r->not_after : NOW + DAY);
	X509_set_pubkey(cert, is_ca ? ca_key : leaf_key);
	extend(cert, issuer, NID_basic_constraints,
	       is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
	extend(cert, issuer, NID_key_usage, is_ca ? "critical,keyCertSign" : "critical,digitalSignature");
	extend(cert, issuer, NID_subject_key_identifier, "hash");
	extend(cert, issuer, NID_authority_key_identifier, "keyid");
	if (!is_ca)
		extend(cert, issuer, NID_ext_key_usage, r->purpose ? r->purpose : "clientAuth");
	if (r->san)
		extend(cert, issuer, NID_subject_alt_name, r->san);
	assert_true(X509_sign(cert, r->signer ? r->signer : ca_key, EVP_sha256()) > 0);
	return cert;
}

static outcome check(const struct recipe *r, struct peer *out, struct fault *f)
{
	struct buf der = {0}, pem = {0};
	X509 *cert = make(r, false);
	assert_true(cert_to_der(cert, &der) && cert_to_pem(buf_view(&der), &pem));
	outcome o = peer_check_certificate(buf_view(&pem), ca, "example.com", "broker", NOW, out, f);
	X509_free(cert);
	buf_free(&der);
	buf_free(&pem);
	return o;
}

static void refused(struct recipe r, enum reason reason, const char *says)
{
	struct peer p;
	struct fault f = {0};
	assert_false(check(&r, &p, &f).ok);
	if (f.reason != reason || !strstr(f.text, says))
		fail_msg("refused as %s: %s", reason_code(f.reason), f.text);
}

static void test_a_broker_is_known_by_its_service_certificate(void **state)
{
	(void)state;
	struct peer p;
	struct fault f = {0};
	const struct recipe r = {
		.name = "broker-1", .san = BROKER ",DNS:broker.example.com", .not_after = NOW + 5};
	assert_true(check(&r, &p, &f).ok);
	assert_string_equal(p.name, "broker-1");
	assert_int_equal(p.not_after, NOW + 5);
}

static void test_another_role_is_refused(void **state)
{
	(void)state;
	refused((struct recipe){.name = "broker-1",
				.san = "URI:spiffe://example.com/service/backend/broker-1"},
		REASON_PEER_ROLE, "backend");
	refused((struct recipe){.name = "broker-1",
				.san = "URI:spiffe://elsewhere.com/service/broker/broker-1"},
		REASON_PEER_ROLE, "elsewhere");
	refused((struct recipe){.name = "broker-2", .san = BROKER}, REASON_PEER_ROLE, "broker-2");
	refused((struct recipe){.name = "broker-1", .san = "URI:spiffe://example.com/thing/broker-1"},
		REASON_PEER_ROLE, "thing");
}

static void test_a_name_that_is_not_single_is_refused(void **state)
{
	(void)state;
	refused((struct recipe){.name = "broker-1"}, REASON_PEER_CERTIFICATE, "single URI");
	refused((struct recipe){.name = "broker-1", .san = "DNS:broker.example.com"}, REASON_PEER_CERTIFICATE,
		"single URI");
	refused((struct recipe){.name = "broker-1",
				.san = BROKER ",URI:spiffe://example.com/service/edge/broker-1"},
		REASON_PEER_CERTIFICATE, "single URI");
}

static void test_a_certificate_that_does_not_hold_is_refused(void **state)
{
	(void)state;
	refused((struct recipe){.name = "broker-1", .san = BROKER, .signer = other_key},
		REASON_PEER_CERTIFICATE, "signature");
	refused((struct recipe){.name = "broker-1", .san = BROKER, .not_after = NOW - 1},
		REASON_PEER_CERTIFICATE, "");
	refused((struct recipe){.name = "broker-1", .san = BROKER, .purpose = "serverAuth"},
		REASON_PEER_CERTIFICATE, "");
}

static void test_without_a_certificate_nobody_is_known(void **state)
{
	(void)state;
	struct peer p;
	struct fault f = {0};
	assert_false(peer_check_certificate(bytes_str(""), ca, "example.com", "broker", NOW, &p, &f).ok);
	assert_string_equal(reason_code(f.reason), "peer-certificate");
	assert_false(
		peer_check_certificate(bytes_str("-----BEGIN"), ca, "example.com", "broker", NOW, &p, &f).ok);
	assert_string_equal(reason_code(f.reason), "peer-certificate");
}

static int set_up(void **state)
{
	(void)state;
	ca_key = p256_key_generate();
	other_key = p256_key_generate();
	leaf_key = p256_key_generate();
	ca = make(&(struct recipe){.name = "Service CA"}, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(other_key);
	EVP_PKEY_free(leaf_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_broker_is_known_by_its_service_certificate),
		cmocka_unit_test(test_another_role_is_refused),
		cmocka_unit_test(test_a_name_that_is_not_single_is_refused),
		cmocka_unit_test(test_a_certificate_that_does_not_hold_is_refused),
		cmocka_unit_test(test_without_a_certificate_nobody_is_known),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
