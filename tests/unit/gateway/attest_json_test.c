#include "gateway/attest/attest_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t nonce[BINDING_SIZE] = {0xfb, 0xff, 0xbf}; /* differs between the alphabets */
#define URL_SAFE "-_-_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define STANDARD "+/+/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static outcome parse(const char *json, struct session *s, struct fault *f)
{
	return session_parse(bytes_str(json), nonce, s, f);
}

static void test_a_session_is_read_in_either_alphabet(void **state)
{
	static const char *const documents[] = {
		"{\"status\":\"complete\",\"nonce\":\"" URL_SAFE "\",\"result\":\"a.b.c\"}",
		"{\"status\":\"complete\",\"nonce\":\"" URL_SAFE
		"=\",\"result\":\"a.b.c\",\"expiry\":\"2026\"}",
		"{\"status\":\"complete\",\"nonce\":\"" STANDARD
		"\",\"result\":\"a.b.c\",\"accept\":[\"x\"]}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
		struct session s;
		struct fault f = {0};
		assert_true(parse(documents[i], &s, &f).ok);
		assert_int_equal(s.status, SESSION_COMPLETE);
		assert_string_equal(s.result, "a.b.c");
		free(s.result);
	}
}

static void test_a_waiting_session_has_no_result(void **state)
{
	struct session s;
	struct fault f = {0};
	(void)state;
	assert_true(
		parse("{\"status\":\"waiting\",\"nonce\":\"" URL_SAFE "\",\"result\":\"early\"}", &s, &f).ok);
	assert_int_equal(s.status, SESSION_WAITING);
	assert_null(s.result);
}

static void test_a_session_that_breaks_the_interface_is_a_lie(void **state)
{
	static const char *const documents[] = {
		"",
		"[]",
		"{\"status\":\"complete\"",
		"{\"status\":\"complete\",\"nonce\":\"" URL_SAFE "\"}",
		"{\"status\":\"complete\",\"nonce\":\"" URL_SAFE "\",\"result\":\"\"}",
		"{\"status\":\"complete\",\"nonce\":\"" URL_SAFE "\",\"result\":{}}",
		"{\"status\":\"done\",\"nonce\":\"" URL_SAFE "\",\"result\":\"x\"}",
		"{\"status\":1,\"nonce\":\"" URL_SAFE "\",\"result\":\"x\"}",
		"{\"state\":\"complete\",\"nonce\":\"" URL_SAFE "\",\"result\":\"x\"}",
		"{\"status\":\"complete\",\"nonce\":\"AAAA\",\"result\":\"x\"}",
		"{\"status\":\"complete\",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		"\"result\":\"x\"}",
		"{\"status\":\"complete\",\"result\":\"x\"}",
		"{\"status\":\"complete\",\"status\":\"complete\",\"nonce\":\"" URL_SAFE
		"\",\"result\":\"x\"}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
		struct session s;
		struct fault f = {0};
		if (parse(documents[i], &s, &f).ok || f.reason != REASON_VERIFIER_ANSWER)
			fail_msg("%s: %s", documents[i], reason_code(f.reason));
		assert_null(s.result);
	}
}

static void test_discovery_names_the_types_that_are_taken(void **state)
{
	struct discovery d;
	struct fault f = {0};
	(void)state;
	assert_true(
		discovery_parse(bytes_str("{\"service-state\":\"READY\",\"media-types\":[\"application/x\","
					  "\"application/psa-attestation-token\"]}"),
				&d, &f)
			.ok);
	assert_true(d.ready);
	assert_int_equal(d.types, 1u << EVIDENCE_PSA_TOKEN);
	assert_false(d.has_key);
	assert_true(discovery_parse(bytes_str("{\"service-state\":\"DOWN\",\"media-types\":[]}"), &d, &f).ok);
	assert_false(d.ready);
	assert_int_equal(d.types, 0);
}

static void test_a_discovery_document_without_state_or_types_is_a_lie(void **state)
{
	static const char *const documents[] = {"{}",
						"{\"service-state\":\"READY\"}",
						"{\"media-types\":[]}",
						"{\"service-state\":1,\"media-types\":[]}",
						"{\"service-state\":\"READY\",\"media-types\":\"x\"}",
						"null"};
	(void)state;
	for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
		struct discovery d;
		struct fault f = {0};
		assert_false(discovery_parse(bytes_str(documents[i]), &d, &f).ok);
		assert_string_equal(reason_code(f.reason), "verifier-answer-invalid");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session_is_read_in_either_alphabet),
		cmocka_unit_test(test_a_waiting_session_has_no_result),
		cmocka_unit_test(test_a_session_that_breaks_the_interface_is_a_lie),
		cmocka_unit_test(test_discovery_names_the_types_that_are_taken),
		cmocka_unit_test(test_a_discovery_document_without_state_or_types_is_a_lie),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
