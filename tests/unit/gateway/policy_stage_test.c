#include "gateway/enrol/stages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1800000000, YEAR = 365 * 86400 };

static struct gateway gateway;
static struct enrol *request; /* as it is after the attest stage */

static int set_up(void **state)
{
	(void)state;
	gateway.config.certificate_lifetime_min_s = 60;
	gateway.keys.issuing_not_after = NOW + 10LL * YEAR;
	memcpy(gateway.keys.salt, "0123456789abcdef0123456789abcdef", SALT_SIZE);
	request = calloc(1, sizeof *request);
	request->gateway = &gateway;
	request->receive = (struct receive_out){.now = NOW, .lifetime_s = YEAR};
	request->attest.evidence.instance_id[0] = 1;
	request->provenance.verdict = PROVENANCE_NOT_ASKED;
	memset(request->csr.csr.spki_sha256, 7, SHA256_SIZE);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	approval_free(request->policy.approval);
	free(request);
	return 0;
}

static void approve(struct enrol_terms *terms)
{
	struct fault f = {0};
	assert_int_equal(s6_policy(request, &request->policy, &f), STEP_NEXT);
	assert_true(approval_spend(request->policy.approval, terms));
}

static void test_an_approval_is_spent_once(void **state)
{
	(void)state;
	struct enrol_terms terms;
	approve(&terms);
	assert_false(approval_spend(request->policy.approval, &terms));
	assert_false(approval_spend(NULL, &terms));
}

static void test_identity_comes_from_the_verified_instance(void **state)
{
	(void)state;
	struct enrol_terms terms;
	char thing[THING_NAME_SIZE];
	approve(&terms);
	cert_thing_name(bytes_of(gateway.keys.salt, SALT_SIZE), request->attest.evidence.instance_id, thing);
	assert_string_equal(terms.thing, thing);
	assert_memory_equal(terms.instance_id, request->attest.evidence.instance_id, INSTANCE_ID_SIZE);
	assert_memory_equal(terms.spki_sha256, request->csr.csr.spki_sha256, SHA256_SIZE);
	assert_string_equal(terms.profile, "device");
	assert_int_equal(terms.assurance, 1);
}

static void test_dates_are_backdated_by_an_hour_and_last_as_asked(void **state)
{
	(void)state;
	struct enrol_terms terms;
	approve(&terms);
	assert_int_equal(terms.not_before, NOW - 3600);
	assert_int_equal(terms.not_after, NOW + YEAR);
}

static void test_no_certificate_outlives_its_issuer(void **state)
{
	(void)state;
	struct enrol_terms terms;
	gateway.keys.issuing_not_after = NOW + 100;
	approve(&terms);
	assert_int_equal(terms.not_after, NOW + 100);
}

static void test_an_issuer_at_its_end_issues_nothing(void **state)
{
	(void)state;
	struct fault f = {0};
	gateway.keys.issuing_not_after = NOW + 59;
	assert_int_equal(s6_policy(request, &request->policy, &f), STEP_FAIL);
	assert_int_equal(reason_public(f.reason)->status, 500);
	assert_null(request->policy.approval);
}

static void test_a_device_cannot_renew_the_certificate_of_another(void **state)
{
	(void)state;
	struct fault f = {0};
	request->request.renews = true;
	request->authenticate.instance_id[0] = 1;
	request->authenticate.instance_id[32] = 1;
	assert_int_equal(s6_policy(request, &request->policy, &f), STEP_FAIL);
	assert_string_equal(reason_code(f.reason), "renewal-certificate-unknown");
	assert_null(request->policy.approval);
}

static void test_without_an_approval_nothing_is_issued(void **state)
{
	(void)state;
	struct fault f = {0};
	assert_int_equal(s7_issue(request, &request->issue, &f), STEP_FAIL);
	assert_string_equal(reason_code(f.reason), "internal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_approval_is_spent_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_identity_comes_from_the_verified_instance, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_dates_are_backdated_by_an_hour_and_last_as_asked, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_no_certificate_outlives_its_issuer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_issuer_at_its_end_issues_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_device_cannot_renew_the_certificate_of_another, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_without_an_approval_nothing_is_issued, set_up,
						tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
