/* Messages between the worlds: what is understood, and that everything else is not. */
#include "device/psa_protocol.h"

#include "common/crypto/csr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t filler[CSR_MAX + 1];

static const struct psa_request good[] = {
	{.call = PSA_GENERATE_KEY, .key = 1},
	{.call = PSA_EXPORT_PUBLIC_KEY, .key = PSA_KEY_ID_MAX},
	{.call = PSA_SIGN_HASH, .key = 7, .input = {filler, PSA_HASH_SIZE}},
	{.call = PSA_DESTROY_KEY, .key = 2},
	{.call = PSA_INITIAL_ATTEST_GET_TOKEN, .input = {filler, PSA_CHALLENGE_SIZE}},
	{.call = PSA_COSE_SIGN_CSR, .input = {filler, PSA_CHALLENGE_SIZE}, .second = {filler, CSR_MAX}},
};
enum { GOOD = sizeof good / sizeof *good };

/* The body alone; caller buf_free. */
static struct buf body_of(const struct psa_request *r)
{
	struct buf b = {0};
	psa_request_encode(&b, r);
	size_t length;
	assert_true(psa_length_decode(b.p, &length));
	assert_int_equal(length, b.n - PSA_LENGTH_SIZE);
	buf_consume(&b, PSA_LENGTH_SIZE);
	return b;
}

static bool understood(const struct buf *b, struct psa_request *out)
{
	/* An exact copy, so that the sanitizers see a read beyond its end. */
	uint8_t *copy = malloc(b->n ? b->n : 1);
	assert_non_null(copy);
	memcpy(copy, b->p, b->n);
	bool ok = psa_request_decode(bytes_of(copy, b->n), out);
	free(copy);
	return ok;
}

static void test_each_call_survives_the_wire(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		struct buf b = body_of(&good[i]);
		struct psa_request r;
		assert_true(psa_request_decode(buf_view(&b), &r));
		assert_int_equal(r.call, good[i].call);
		assert_int_equal(r.key, good[i].key);
		assert_true(bytes_equal(r.input, good[i].input));
		assert_true(bytes_equal(r.second, good[i].second));
		buf_free(&b);
	}
}

static void test_truncated_at_any_byte_or_followed_by_one_is_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		struct buf b = body_of(&good[i]);
		struct psa_request r;
		size_t whole = b.n;
		buf_byte(&b, 0);
		assert_false(understood(&b, &r));
		for (b.n = 0; b.n < whole; b.n++)
			assert_false(understood(&b, &r));
		buf_free(&b);
	}
}

static void refuses(struct psa_request r)
{
	struct psa_request out;
	struct buf b = body_of(&r);
	assert_false(understood(&b, &out));
	buf_free(&b);
}

static void test_inputs_of_another_length_are_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		struct psa_request r = good[i];
		r.input = bytes_of(filler, good[i].input.n + 1);
		refuses(r);
		if (good[i].input.n) {
			r.input.n = good[i].input.n - 1;
			refuses(r);
		}
		r = good[i];
		r.second = bytes_of(filler, good[i].second.n + 1);
		refuses(r);
	}
	refuses((struct psa_request){.call = PSA_COSE_SIGN_CSR, .input = {filler, PSA_CHALLENGE_SIZE}});
}

static void test_key_ids_out_of_range_or_out_of_place_are_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		struct psa_request r = good[i];
		r.key = good[i].key ? 0 : 1;
		refuses(r);
		r.key = PSA_KEY_ID_MAX + 1u;
		refuses(r);
	}
}

static void test_another_version_and_unknown_calls_are_malformed(void **state)
{
	(void)state;
	struct buf b = body_of(&good[0]);
	struct psa_request r;
	b.p[0] = PSA_PROTOCOL_VERSION + 1;
	assert_false(understood(&b, &r));
	b.p[0] = PSA_PROTOCOL_VERSION;
	for (int call = 0; call < 256; call++) {
		b.p[1] = (uint8_t)call;
		bool needs_key_alone =
			call == PSA_GENERATE_KEY || call == PSA_EXPORT_PUBLIC_KEY || call == PSA_DESTROY_KEY;
		assert_int_equal(understood(&b, &r), needs_key_alone);
	}
	buf_free(&b);
}

static void test_lengths_that_no_body_has_lose_the_stream(void **state)
{
	(void)state;
	static const uint8_t none[4] = {0}, most[4] = {0, 0, 0x20, 0}, over[4] = {0, 0, 0x20, 1},
			     huge[4] = {0xff, 0xff, 0xff, 0xff};
	size_t length;
	assert_false(psa_length_decode(none, &length));
	assert_false(psa_length_decode(over, &length));
	assert_false(psa_length_decode(huge, &length));
	assert_true(psa_length_decode(most, &length));
	assert_int_equal(length, PSA_MESSAGE_MAX);
}

static void test_answers_carry_status_and_output(void **state)
{
	(void)state;
	static const enum psa_status statuses[] = {PSA_SUCCESS, PSA_ERROR_INVALID_HANDLE,
						   PSA_ERROR_STORAGE_FAILURE};
	for (size_t i = 0; i < 3; i++) {
		struct buf b = {0};
		struct psa_answer a;
		psa_answer_encode(&b, &(struct psa_answer){.status = statuses[i], .output = {filler, 91}});
		buf_consume(&b, PSA_LENGTH_SIZE);
		assert_true(psa_answer_decode(buf_view(&b), &a));
		assert_int_equal(a.status, statuses[i]);
		assert_int_equal(a.output.n, 91);
		size_t whole = b.n;
		buf_byte(&b, 0);
		assert_false(psa_answer_decode(buf_view(&b), &a));
		for (b.n = 0; b.n < whole; b.n++)
			assert_false(psa_answer_decode(buf_view(&b), &a));
		buf_free(&b);
	}
	assert_string_equal(psa_status_name(PSA_ERROR_NOT_PERMITTED), "PSA_ERROR_NOT_PERMITTED");
	assert_string_equal(psa_status_name((enum psa_status) - 1), "unknown status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call_survives_the_wire),
		cmocka_unit_test(test_truncated_at_any_byte_or_followed_by_one_is_malformed),
		cmocka_unit_test(test_inputs_of_another_length_are_malformed),
		cmocka_unit_test(test_key_ids_out_of_range_or_out_of_place_are_malformed),
		cmocka_unit_test(test_another_version_and_unknown_calls_are_malformed),
		cmocka_unit_test(test_lengths_that_no_body_has_lose_the_stream),
		cmocka_unit_test(test_answers_carry_status_and_output),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
