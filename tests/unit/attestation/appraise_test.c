#include "attestation/appraise.h"
#include "attestation/import.h"
#include "attestation/standing.h"
#include "chip.h"
#include "store.h"
#include "tests/unit/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Known, known under an other's key, of one evidence type each, suspended. */
enum { KNOWN, MIXED_UP, ONLY_PSA, ONLY_COSE, SUSPENDED, STRANGER, CHIPS };

static struct store store;
static struct chip chips[CHIPS];
static struct appraiser appraiser;
static const uint8_t nonce[BINDING_SIZE] = {1, 2, 3};

static void suspend(int i)
{
	struct standing s = {.suspended = true, .reason = "test"};
	memcpy(s.instance_id, chips[i].record.instance_id, INSTANCE_ID_SIZE);
	standing_prepare(&s);
	assert_true(store_run(&store, &s.change));
}

static void import_chips(void)
{
	struct buf body = {0};
	struct import_batch b = {.import = "i"};
	struct fault f = {0};
	for (int i = 0; i < STRANGER; i++) {
		char *line = chip_line(&chips[i]);
		buf_printf(&body, "%s\n", line);
		free(line);
	}
	if (!import_batch_parse(buf_view(&body), false, &b, &f).ok || !store_run(&store, &b.change))
		fail_msg("%s %s", f.text, b.change.fault.text);
	import_batch_clear(&b);
	buf_free(&body);
}

static int open_store(void **state)
{
	(void)state;
	store_open(&store);
	for (int i = 0; i < CHIPS; i++)
		chips[i] = chip_make();
	memcpy(chips[MIXED_UP].record.public_key, chips[STRANGER].record.public_key,
	       chips[STRANGER].record.public_key_size);
	chips[ONLY_PSA].record.evidence = 1u << EVIDENCE_PSA_TOKEN;
	chips[ONLY_COSE].record.evidence = 1u << EVIDENCE_COSE_CSR;
	chips[ONLY_COSE].record.has_implementation = false;
	import_chips();
	suspend(SUSPENDED);
	appraiser = (struct appraiser){&store.reader, false};
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	store_close(&store);
	for (int i = 0; i < CHIPS; i++)
		chip_free(&chips[i]);
	return 0;
}

/* Takes the evidence. */
static struct appraisal judge(enum evidence_type type, struct buf evidence)
{
	struct appraisal a;
	struct fault f = {0};
	if (!appraise(&appraiser, type, buf_view(&evidence), nonce, &a, &f).ok)
		fail_msg("%s", f.text);
	buf_free(&evidence);
	return a;
}

static struct appraisal judge_psa(int i)
{
	return judge(EVIDENCE_PSA_TOKEN, chip_psa(&chips[i], nonce, chips[i].rot));
}

static struct appraisal judge_cose(int i, EVP_PKEY *csr_key, EVP_PKEY *csr_signer)
{
	struct buf csr = chip_csr(csr_key, csr_signer);
	struct appraisal a =
		judge(EVIDENCE_COSE_CSR, chip_cose(&chips[i], nonce, buf_view(&csr), chips[i].rot));
	buf_free(&csr);
	return a;
}

static void expect(struct appraisal a, enum reason reason)
{
	if (a.reason != reason)
		fail_msg("%s, not %s: %s", reason_code(a.reason), reason_code(reason), a.fault.text);
	if (reason != REASON_NONE)
		assert_int_equal(a.attested_size, 0);
}

static void test_a_genuine_token_is_affirmed(void **state)
{
	(void)state;
	struct appraisal a = judge_psa(KNOWN);
	expect(a, REASON_NONE);
	assert_true(a.has_instance);
	assert_memory_equal(a.instance_id, chips[KNOWN].record.instance_id, INSTANCE_ID_SIZE);
	assert_int_equal(a.attested_size, 0);
	expect(judge_psa(KNOWN), REASON_NONE); /* now from the cache */
	expect(judge_psa(ONLY_PSA), REASON_NONE);
}

static void test_a_genuine_signed_request_is_affirmed_with_its_key(void **state)
{
	uint8_t spki[SPKI_MAX];
	(void)state;
	struct appraisal a = judge_cose(KNOWN, chips[KNOWN].key, chips[KNOWN].key);
	expect(a, REASON_NONE);
	size_t n = ec_key_to_spki(chips[KNOWN].key, spki, sizeof spki);
	assert_true(bytes_equal(bytes_of(a.attested_spki, a.attested_size), bytes_of(spki, n)));
	expect(judge_cose(ONLY_COSE, chips[KNOWN].key, chips[KNOWN].key), REASON_NONE);
}

static void test_another_nonce_is_refused(void **state)
{
	static const uint8_t other[BINDING_SIZE] = {3, 2, 1};
	(void)state;
	struct appraisal a = judge(EVIDENCE_PSA_TOKEN, chip_psa(&chips[KNOWN], other, chips[KNOWN].rot));
	expect(a, REASON_NONCE_MISMATCH);
	struct buf csr = chip_csr(chips[KNOWN].key, chips[KNOWN].key);
	a = judge(EVIDENCE_COSE_CSR, chip_cose(&chips[KNOWN], other, buf_view(&csr), chips[KNOWN].rot));
	expect(a, REASON_NONCE_MISMATCH);
	buf_free(&csr);
}

static void test_unknown_devices_are_refused(void **state)
{
	(void)state;
	expect(judge_psa(STRANGER), REASON_DEVICE_UNKNOWN);
	expect(judge_cose(STRANGER, chips[STRANGER].key, chips[STRANGER].key), REASON_DEVICE_UNKNOWN);
}

static void test_suspended_devices_are_refused_and_resumed_ones_are_not(void **state)
{
	(void)state;
	expect(judge_psa(SUSPENDED), REASON_DEVICE_SUSPENDED);
	suspend(ONLY_PSA);
	expect(judge_psa(ONLY_PSA), REASON_DEVICE_SUSPENDED); /* also with the key in the cache */
	struct standing s = {.reason = "test"};
	memcpy(s.instance_id, chips[ONLY_PSA].record.instance_id, INSTANCE_ID_SIZE);
	standing_prepare(&s);
	assert_true(store_run(&store, &s.change));
	expect(judge_psa(ONLY_PSA), REASON_NONE);
}

static void test_evidence_of_a_type_that_the_record_does_not_list_is_refused(void **state)
{
	(void)state;
	expect(judge_cose(ONLY_PSA, chips[ONLY_PSA].key, chips[ONLY_PSA].key), REASON_EVIDENCE_TYPE);
	expect(judge_psa(ONLY_COSE), REASON_EVIDENCE_TYPE);
}

static void test_signatures_of_other_keys_are_refused(void **state)
{
	(void)state;
	expect(judge(EVIDENCE_PSA_TOKEN, chip_psa(&chips[KNOWN], nonce, chips[STRANGER].rot)),
	       REASON_SIGNATURE);
	expect(judge_psa(MIXED_UP), REASON_SIGNATURE);
	struct buf csr = chip_csr(chips[KNOWN].key, chips[KNOWN].key);
	expect(judge(EVIDENCE_COSE_CSR, chip_cose(&chips[KNOWN], nonce, buf_view(&csr), chips[KNOWN].key)),
	       REASON_SIGNATURE);
	buf_free(&csr);
}

static void test_another_implementation_is_refused(void **state)
{
	(void)state;
	chips[KNOWN].claims.implementation_id[0] ^= 1;
	struct appraisal a = judge_psa(KNOWN);
	chips[KNOWN].claims.implementation_id[0] ^= 1;
	expect(a, REASON_IMPLEMENTATION_UNKNOWN);
}

static void test_a_device_that_is_not_secured_is_refused(void **state)
{
	(void)state;
	static const uint16_t lifecycles[] = {0x0000, 0x1000, 0x2000, 0x4000, 0x5000, 0x6000};
	for (size_t i = 0; i < sizeof lifecycles / sizeof *lifecycles; i++) {
		chips[KNOWN].claims.lifecycle = lifecycles[i];
		struct appraisal a = judge_psa(KNOWN);
		chips[KNOWN].claims.lifecycle = 0x3000;
		expect(a, REASON_LIFECYCLE);
	}
}

static void test_requests_that_the_signer_would_refuse_are_refused(void **state)
{
	EVP_PKEY *key = chips[KNOWN].key, *rot = chips[KNOWN].rot;
	(void)state;
	expect(judge_cose(KNOWN, rot, rot), REASON_CSR_KEY_IS_ROT);
	expect(judge_cose(KNOWN, key, rot), REASON_CSR_SIGNATURE);
	expect(judge(EVIDENCE_COSE_CSR, chip_cose(&chips[KNOWN], nonce, bytes_str("no request"), rot)),
	       REASON_CSR_DER);
}

static void test_malformed_evidence_is_refused_by_its_own_rule(void **state)
{
	struct buf cut = chip_psa(&chips[KNOWN], nonce, chips[KNOWN].rot), none = {0}, junk = {0};
	(void)state;
	cut.n -= 1;
	struct appraisal a = judge(EVIDENCE_PSA_TOKEN, cut);
	expect(a, REASON_CBOR_OVERRUN);
	assert_false(a.has_instance);
	expect(judge(EVIDENCE_PSA_TOKEN, none), REASON_CBOR_TRUNCATED);
	buf_byte(&junk, 0x80); /* an empty array without a tag */
	expect(judge(EVIDENCE_PSA_TOKEN, junk), REASON_COSE_STRUCTURE);
}

static struct appraisal judge_vector(bool allow_test_keys, const char *name)
{
	struct appraiser strict = appraiser;
	struct appraisal a;
	struct fault f = {0};
	struct evidence e;
	struct buf token = read_path(name);
	assert_true(evidence_parse(EVIDENCE_PSA_TOKEN, buf_view(&token), &e, &f).ok);
	strict.allow_test_keys = allow_test_keys;
	assert_true(appraise(&strict, EVIDENCE_PSA_TOKEN, buf_view(&token), e.nonce.p, &a, &f).ok);
	buf_free(&token);
	return a;
}

static void test_published_test_keys_are_named_as_what_they_are(void **state)
{
	(void)state;
	expect(judge_vector(false, DERIVED "psa/ok-tfm.cbor"), REASON_TEST_KEY);
	expect(judge_vector(true, DERIVED "psa/ok-tfm.cbor"), REASON_DEVICE_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_genuine_token_is_affirmed),
		cmocka_unit_test(test_a_genuine_signed_request_is_affirmed_with_its_key),
		cmocka_unit_test(test_another_nonce_is_refused),
		cmocka_unit_test(test_unknown_devices_are_refused),
		cmocka_unit_test(test_suspended_devices_are_refused_and_resumed_ones_are_not),
		cmocka_unit_test(test_evidence_of_a_type_that_the_record_does_not_list_is_refused),
		cmocka_unit_test(test_signatures_of_other_keys_are_refused),
		cmocka_unit_test(test_another_implementation_is_refused),
		cmocka_unit_test(test_a_device_that_is_not_secured_is_refused),
		cmocka_unit_test(test_requests_that_the_signer_would_refuse_are_refused),
		cmocka_unit_test(test_malformed_evidence_is_refused_by_its_own_rule),
		cmocka_unit_test(test_published_test_keys_are_named_as_what_they_are),
	};
	return cmocka_run_group_tests(tests, open_store, close_store);
}
