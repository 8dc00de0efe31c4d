#include "attestation/peers.h"
#include "certs.h"
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct authority ca, other;
static struct peers *peers;

static int start(void **state)
{
	struct fault f;
	(void)state;
	ca = authority_make("Service CA");
	other = authority_make("Service CA"); /* the same name, another key */
	return peers_new(buf_view(&ca.pem), &peers, &f).ok ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	peers_free(peers);
	authority_free(&ca);
	authority_free(&other);
	return 0;
}

static void expect(struct bytes pem, int64_t now, enum reason reason)
{
	struct fault f = {0};
	bool ok = peers_check(peers, pem, now, &f).ok;
	if (ok ? reason != REASON_NONE : f.reason != reason)
		fail_msg("%s, not %s: %s", ok ? "accepted" : reason_code(f.reason), reason_code(reason), f.text);
}

static void expect_form(const struct authority *issuer, const struct cert_form *form, enum reason reason)
{
	struct buf pem = leaf_pem(issuer, form);
	expect(buf_view(&pem), clock_wall_s(), reason);
	buf_free(&pem);
}

static void test_a_gateway_may_ask_until_its_certificate_ends(void **state)
{
	struct buf pem = leaf_pem(&ca, &gateway_form);
	int64_t now = clock_wall_s();
	(void)state;
	expect(buf_view(&pem), now, REASON_NONE);
	expect(buf_view(&pem), now, REASON_NONE); /* remembered */
	expect(buf_view(&pem), now + 3500, REASON_NONE);
	expect(buf_view(&pem), now + 3599, REASON_NONE);
	expect(buf_view(&pem), now + 3601, REASON_CERTIFICATE_EXPIRED);
	buf_free(&pem);
}

static void test_no_certificate_and_no_certificates_are_refused(void **state)
{
	struct buf pem = leaf_pem(&ca, &gateway_form), two = {0};
	char *big = calloc(1, 20000);
	(void)state;
	expect(bytes_of(NULL, 0), clock_wall_s(), REASON_PEER_CERTIFICATE);
	expect(bytes_str("hello"), clock_wall_s(), REASON_PEER_CERTIFICATE);
	expect(bytes_of(big, 20000), clock_wall_s(), REASON_PEER_CERTIFICATE);
	buf_bytes(&two, buf_view(&pem));
	buf_bytes(&two, buf_view(&pem));
	expect(buf_view(&two), clock_wall_s(), REASON_PEER_CERTIFICATE);
	buf_free(&two);
	buf_free(&pem);
	free(big);
}

static void test_certificates_that_the_ca_did_not_issue_to_a_client_are_refused(void **state)
{
	struct cert_form form = gateway_form;
	(void)state;
	expect_form(&other, &gateway_form, REASON_PEER_CERTIFICATE);
	form.purpose = "serverAuth";
	expect_form(&ca, &form, REASON_PEER_CERTIFICATE);
	form = gateway_form;
	form.to_s = -60;
	expect_form(&ca, &form, REASON_CERTIFICATE_EXPIRED);
	form = gateway_form;
	form.from_s = 600;
	expect_form(&ca, &form, REASON_PEER_CERTIFICATE);
}

static void test_only_the_role_gateway_may_ask(void **state)
{
	static const char *const sans[] = {
		NULL,
		"DNS:gateway-1",
		"URI:spiffe://example.com/service/broker/gateway-1",
		"URI:spiffe://example.com/thing/gateway-1",
		"URI:spiffe://example.com/service/gateway/",
		"URI:spiffe://example.com/service/gateway/a/b",
		"URI:spiffe:///service/gateway/a",
		"URI:https://example.com/service/gateway/a",
		"URI:spiffe://example.com/x/service/gateway/a",
		"URI:spiffe://example.com",
		"URI:spiffe://example.com/service/gateway/a,URI:spiffe://example.com/service/gateway/b",
	};
	struct cert_form form = gateway_form;
	(void)state;
	for (size_t i = 0; i < sizeof sans / sizeof *sans; i++) {
		form.san = sans[i];
		expect_form(&ca, &form, REASON_PEER_ROLE);
	}
	form.san = "DNS:a,URI:spiffe://other.example/service/gateway/a";
	expect_form(&ca, &form, REASON_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_gateway_may_ask_until_its_certificate_ends),
		cmocka_unit_test(test_no_certificate_and_no_certificates_are_refused),
		cmocka_unit_test(test_certificates_that_the_ca_did_not_issue_to_a_client_are_refused),
		cmocka_unit_test(test_only_the_role_gateway_may_ask),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
