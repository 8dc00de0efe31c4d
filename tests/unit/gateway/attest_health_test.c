#include "gateway/attest/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct attest_health *make(unsigned types)
{
	struct attest_health *h = NULL;
	assert_true(attest_health_new(&h, NULL).ok);
	attest_health_discovered(h, types);
	return h;
}

static enum reason ask(struct attest_health *h, enum evidence_type type, int64_t now_ms)
{
	struct fault f = {0};
	return attest_health_admit(h, type, now_ms, &f).ok ? REASON_NONE : f.reason;
}

static void test_nothing_is_sent_before_the_service_said_what_it_takes(void **state)
{
	(void)state;
	struct attest_health *h = make(0);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 0), REASON_VERIFIER_UNAVAILABLE);
	assert_false(attest_health_up(h));
	attest_health_discovered(h, 1u << EVIDENCE_PSA_TOKEN);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 0), REASON_NONE);
	assert_int_equal(ask(h, EVIDENCE_COSE_CSR, 0), REASON_EVIDENCE_TYPE);
	assert_true(attest_health_up(h));
	attest_health_free(h);
}

static void test_after_a_row_of_failures_there_is_a_pause_that_grows(void **state)
{
	(void)state;
	struct attest_health *h = make(1u << EVIDENCE_PSA_TOKEN);
	for (int i = 0; i < ATTEST_FAILURES_MAX; i++) {
		assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 1000), REASON_NONE);
		attest_health_report(h, false, 1000);
	}
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 1000 + ATTEST_PAUSE_MIN_MS - 1),
			 REASON_VERIFIER_UNAVAILABLE);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 1000 + ATTEST_PAUSE_MIN_MS), REASON_NONE);
	attest_health_report(h, false, 2000);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 2000 + 2 * ATTEST_PAUSE_MIN_MS - 1),
			 REASON_VERIFIER_UNAVAILABLE);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 2000 + 2 * ATTEST_PAUSE_MIN_MS), REASON_NONE);
	for (int i = 0; i < 50; i++)
		attest_health_report(h, false, 10000 + i * ATTEST_PAUSE_MAX_MS);
	int64_t last = 10000 + 49 * ATTEST_PAUSE_MAX_MS;
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, last + ATTEST_PAUSE_MAX_MS - 1),
			 REASON_VERIFIER_UNAVAILABLE);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, last + ATTEST_PAUSE_MAX_MS), REASON_NONE);
	attest_health_free(h);
}

static void test_one_answer_ends_the_pause(void **state)
{
	(void)state;
	struct attest_health *h = make(1u << EVIDENCE_PSA_TOKEN);
	for (int i = 0; i < ATTEST_FAILURES_MAX; i++)
		attest_health_report(h, false, 1000);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 1001), REASON_VERIFIER_UNAVAILABLE);
	assert_false(attest_health_up(h));
	attest_health_report(h, true, 1001);
	assert_int_equal(ask(h, EVIDENCE_PSA_TOKEN, 1001), REASON_NONE);
	assert_true(attest_health_up(h));
	attest_health_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_sent_before_the_service_said_what_it_takes),
		cmocka_unit_test(test_after_a_row_of_failures_there_is_a_pause_that_grows),
		cmocka_unit_test(test_one_answer_ends_the_pause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
