#include "common/peers.h"

#include "common/clock.h"
#include "tests/unit/attestation/certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct authority ca, other;
static struct peers *domain_peers, *any_peers;
static int64_t now;

static struct cert_issuers one_ca, both_cas;

static int start(void **state)
{
	(void)state;
	now = clock_wall_s();
	ca = authority_make("Service CA");
	other = authority_make("Service CA"); /* the same name, another key */
	one_ca = (struct cert_issuers){{ca.cert}, 1};
	both_cas = (struct cert_issuers){{ca.cert, other.cert}, 2};
	domain_peers = peers_new(&one_ca, "example.com");
	any_peers = peers_new(&one_ca, NULL);
	return domain_peers && any_peers ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	peers_free(domain_peers);
	peers_free(any_peers);
	authority_free(&ca);
	authority_free(&other);
	return 0;
}

static void expect_at(struct peers *p, struct bytes pem, int64_t at, enum reason reason, const char *says)
{
	struct peer peer;
	struct fault f = {0};
	bool ok = peers_check(p, pem, "gateway", at, &peer, &f).ok;
	if (ok ? reason != REASON_NONE : f.reason != reason || !strstr(f.text, says))
		fail_msg("%s, not %s: %s", ok ? "accepted" : reason_code(f.reason), reason_code(reason),
			 f.text);
}

static void expect_of(struct peers *p, const struct authority *issuer, const struct cert_form *form,
		      enum reason reason, const char *says)
{
	struct buf pem = leaf_pem(issuer, form);
	expect_at(p, buf_view(&pem), now, reason, says);
	buf_free(&pem);
}

static void test_a_peer_is_known_by_its_service_certificate(void **state)
{
	struct peer peer;
	struct fault f = {0};
	struct cert_form form = gateway_form;
	(void)state;
	form.san = "DNS:gateway.example.com,URI:spiffe://example.com/service/gateway/gateway-1";
	struct buf pem = leaf_pem(&ca, &form);
	assert_true(peers_check(domain_peers, buf_view(&pem), "gateway", now, &peer, &f).ok);
	assert_string_equal(peer.name, "gateway-1");
	assert_in_range(peer.not_after, now + form.to_s - 5, now + form.to_s + 5);
	buf_free(&pem);
}

static void test_what_is_remembered_ends_with_its_certificate(void **state)
{
	struct buf pem = leaf_pem(&ca, &gateway_form);
	(void)state;
	expect_at(any_peers, buf_view(&pem), now, REASON_NONE, "");
	expect_at(any_peers, buf_view(&pem), now, REASON_NONE, "");
	expect_at(any_peers, buf_view(&pem), now + 3590, REASON_NONE, "");
	expect_at(any_peers, buf_view(&pem), now + 3700, REASON_PEER_CERTIFICATE, "expired");
	expect_at(any_peers, buf_view(&pem), now - 3700, REASON_PEER_CERTIFICATE, "not valid yet");
	buf_free(&pem);
}

static void test_what_is_remembered_is_for_its_role_alone(void **state)
{
	struct buf pem = leaf_pem(&ca, &gateway_form);
	struct peer peer;
	struct fault f = {0};
	(void)state;
	expect_at(domain_peers, buf_view(&pem), now, REASON_NONE, "");
	assert_false(peers_check(domain_peers, buf_view(&pem), "broker", now, &peer, &f).ok);
	assert_int_equal(f.reason, REASON_PEER_ROLE);
	buf_free(&pem);
}

static void test_while_a_ca_is_replaced_the_certificates_of_both_are_good(void **state)
{
	struct peers *p = peers_new(&both_cas, "example.com");
	struct cert_form expired = gateway_form;
	(void)state;
	expired.to_s = -10;
	expect_of(p, &ca, &gateway_form, REASON_NONE, "");
	expect_of(p, &other, &gateway_form, REASON_NONE, "");
	expect_of(p, &other, &expired, REASON_PEER_CERTIFICATE, "expired");
	expect_of(domain_peers, &other, &gateway_form, REASON_PEER_CERTIFICATE, "");
	peers_free(p);
}

static void test_without_one_certificate_nobody_is_known(void **state)
{
	struct buf pem = leaf_pem(&ca, &gateway_form), two = {0};
	char *big = calloc(1, 20000);
	(void)state;
	expect_at(any_peers, bytes_of(NULL, 0), now, REASON_PEER_CERTIFICATE, "no client certificate");
	expect_at(any_peers, bytes_str("-----BEGIN"), now, REASON_PEER_CERTIFICATE, "not one certificate");
	expect_at(any_peers, bytes_of(big, 20000), now, REASON_PEER_CERTIFICATE, "not one certificate");
	buf_bytes(&two, buf_view(&pem));
	buf_bytes(&two, buf_view(&pem));
	expect_at(any_peers, buf_view(&two), now, REASON_PEER_CERTIFICATE, "not one certificate");
	buf_free(&two);
	buf_free(&pem);
	free(big);
}

static void test_certificates_that_the_ca_did_not_issue_to_a_client_are_refused(void **state)
{
	struct cert_form form = gateway_form;
	(void)state;
	const struct authority forged = {.key = other.key, .cert = ca.cert};
	expect_of(any_peers, &other, &gateway_form, REASON_PEER_CERTIFICATE, "another issuer");
	expect_of(any_peers, &forged, &gateway_form, REASON_PEER_CERTIFICATE, "signature");
	form.purpose = "serverAuth";
	expect_of(any_peers, &ca, &form, REASON_PEER_CERTIFICATE, "extended key usage");
	form = gateway_form;
	form.to_s = -60;
	expect_of(any_peers, &ca, &form, REASON_PEER_CERTIFICATE, "expired");
	form = gateway_form;
	form.from_s = 600;
	expect_of(any_peers, &ca, &form, REASON_PEER_CERTIFICATE, "not valid yet");
}

static void test_a_certificate_of_another_role_or_domain_is_refused(void **state)
{
	static const char *const sans[] = {
		"URI:spiffe://example.com/service/broker/gateway-1",
		"URI:spiffe://example.com/thing/gateway-1",
		"URI:spiffe://example.com/service/gateway/",
		"URI:spiffe://example.com/service/gateway/a/b",
		"URI:spiffe:///service/gateway/gateway-1",
		"URI:https://example.com/service/gateway/gateway-1",
		"URI:spiffe://example.com/x/service/gateway/gateway-1",
		"URI:spiffe://example.com",
	};
	struct cert_form form = gateway_form;
	(void)state;
	for (size_t i = 0; i < sizeof sans / sizeof *sans; i++) {
		form.san = sans[i];
		expect_of(any_peers, &ca, &form, REASON_PEER_ROLE, "is for");
		expect_of(domain_peers, &ca, &form, REASON_PEER_ROLE, "is for");
	}
	form.san = "URI:spiffe://example.co/service/gateway/gateway-1";
	expect_of(domain_peers, &ca, &form, REASON_PEER_ROLE, "example.co/");
	expect_of(any_peers, &ca, &form, REASON_NONE, "");
	form.san = "URI:spiffe://example.com.other/service/gateway/gateway-1";
	expect_of(domain_peers, &ca, &form, REASON_PEER_ROLE, "example.com.other");
}

static void test_a_name_that_is_not_single_is_refused(void **state)
{
	struct cert_form form = gateway_form;
	(void)state;
	form.san = NULL;
	expect_of(any_peers, &ca, &form, REASON_PEER_CERTIFICATE, "single URI");
	form.san = "DNS:gateway-1";
	expect_of(any_peers, &ca, &form, REASON_PEER_CERTIFICATE, "single URI");
	form.san = "URI:spiffe://example.com/service/gateway/gateway-1,URI:spiffe://example.com/service/"
		   "broker/b";
	expect_of(any_peers, &ca, &form, REASON_PEER_CERTIFICATE, "single URI");
	form.san = "URI:spiffe://example.com/service/gateway/gateway-2";
	expect_of(any_peers, &ca, &form, REASON_PEER_CERTIFICATE, "two names");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_peer_is_known_by_its_service_certificate),
		cmocka_unit_test(test_what_is_remembered_ends_with_its_certificate),
		cmocka_unit_test(test_what_is_remembered_is_for_its_role_alone),
		cmocka_unit_test(test_while_a_ca_is_replaced_the_certificates_of_both_are_good),
		cmocka_unit_test(test_without_one_certificate_nobody_is_known),
		cmocka_unit_test(test_certificates_that_the_ca_did_not_issue_to_a_client_are_refused),
		cmocka_unit_test(test_a_certificate_of_another_role_or_domain_is_refused),
		cmocka_unit_test(test_a_name_that_is_not_single_is_refused),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
