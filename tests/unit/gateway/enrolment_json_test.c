#include "gateway/http/enrolment_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NONCE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define CSR "\"csr\":\"MAA=\""
#define EVIDENCE "\"evidence\":{\"type\":\"psa-token\",\"value\":\"0oRD\"}"
#define REST "\"nonce\":\"" NONCE "\",\"audience\":\"https://enrol.example.com\",\"mode\":\"C\""
#define RENEWS                                                                                               \
	"\"renews\":{\"certificateId\":"                                                                     \
	"\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\","                              \
	"\"signature\":\"MEUC\"}"

static struct enrol_request out;

static outcome parse(const char *body, bool renewal, struct fault *f)
{
	memset(&out, 0, sizeof out);
	return enrolment_json_parse(bytes_str(body), renewal, &out, f);
}

static void refused(const char *body, bool renewal, enum reason reason, const char *says)
{
	struct fault f = {0};
	assert_false(parse(body, renewal, &f).ok);
	if (f.reason != reason || !strstr(f.text, says))
		fail_msg("%s\n  is refused as %s: %s", body, reason_code(f.reason), f.text);
}

static void test_an_enrolment_is_read(void **state)
{
	(void)state;
	struct fault f = {0};
	assert_true(parse("{" CSR "," EVIDENCE "," REST ",\"lifetime_s\":3600}", false, &f).ok);
	assert_int_equal(out.csr.n, 2);
	assert_memory_equal(out.csr.p, "\x30\x00", 2);
	assert_int_equal(out.type, EVIDENCE_PSA_TOKEN);
	assert_int_equal(out.evidence.n, 3);
	assert_int_equal(out.nonce[31], 31);
	assert_string_equal(out.audience, "https://enrol.example.com");
	assert_int_equal(out.lifetime_s, 3600);
	assert_false(out.renews);
}

static void test_a_renewal_is_read(void **state)
{
	(void)state;
	struct fault f = {0};
	assert_true(parse("{" CSR "," EVIDENCE "," REST "," RENEWS "}", true, &f).ok);
	assert_true(out.renews);
	assert_int_equal(out.lifetime_s, 0);
	assert_int_equal(out.renews_fingerprint[15], 0xff);
	assert_int_equal(out.renews_signature_size, 3);
}

static void test_a_provenance_chain_is_read_of_either(void **state)
{
	(void)state;
	struct fault f = {0};
	assert_true(parse("{" CSR "," EVIDENCE "," REST "}", false, &f).ok);
	assert_int_equal(out.chain.n, 0);
	assert_true(parse("{" CSR "," EVIDENCE "," REST ",\"chain\":\"g4-_\"}", false, &f).ok);
	assert_int_equal(out.chain.n, 3);
	assert_memory_equal(out.chain.p, "\x83\x8f\xbf", 3);
	assert_true(parse("{" CSR "," EVIDENCE "," REST "," RENEWS ",\"chain\":\"gw\"}", true, &f).ok);
	assert_int_equal(out.chain.n, 1);
}

static void test_a_chain_that_is_no_base64url_is_refused(void **state)
{
	(void)state;
	refused("{" CSR "," EVIDENCE "," REST ",\"chain\":null}", false, REASON_BAD_FIELD, "chain");
	refused("{" CSR "," EVIDENCE "," REST ",\"chain\":[\"gw\"]}", false, REASON_BAD_FIELD, "chain");
	refused("{" CSR "," EVIDENCE "," REST ",\"chain\":\"\"}", false, REASON_BAD_ENCODING, "chain");
	refused("{" CSR "," EVIDENCE "," REST ",\"chain\":\"g\"}", false, REASON_BAD_ENCODING, "chain");
	refused("{" CSR "," EVIDENCE "," REST ",\"chain\":\"g4+/\"}", false, REASON_BAD_ENCODING, "chain");
}

static void test_a_chain_of_one_byte_more_than_fits_is_refused(void **state)
{
	const size_t most = (CHAIN_MAX * 8 + 5) / 6;
	char *body = malloc(2 * CHAIN_MAX + 512);
	struct fault f = {0};
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		size_t n = (size_t)sprintf(body, "{" CSR "," EVIDENCE "," REST ",\"chain\":\"");
		memset(body + n, 'A', most + more);
		sprintf(body + n + most + more, "\"}");
		if (more)
			refused(body, false, REASON_BAD_ENCODING, "chain: not base64url of 1 to 4096 bytes");
		else
			assert_true(parse(body, false, &f).ok);
	}
	free(body);
}

static void test_what_is_missing_is_named(void **state)
{
	(void)state;
	refused("{" EVIDENCE "," REST "}", false, REASON_BAD_FIELD, "csr: is missing");
	refused("{" CSR "," REST "}", false, REASON_BAD_FIELD, "evidence: is missing");
	refused("{" CSR "," EVIDENCE "}", false, REASON_BAD_FIELD, "nonce: is missing");
	refused("{" CSR "," EVIDENCE "," REST "}", true, REASON_BAD_FIELD, "renews: is missing");
	refused("{}", false, REASON_BAD_FIELD, "csr: is missing");
}

static void test_what_is_not_of_the_interface_is_refused(void **state)
{
	(void)state;
	refused("{" CSR "," EVIDENCE "," REST ",\"thing\":\"x\"}", false, REASON_BAD_FIELD, "\"thing\"");
	refused("{" CSR "," EVIDENCE "," REST "," RENEWS "}", false, REASON_BAD_FIELD, "\"renews\"");
	refused("{" CSR "," CSR "," EVIDENCE "," REST "}", false, REASON_BAD_JSON, "duplicate");
	refused("{" CSR ",\"evidence\":{\"type\":\"psa-token\",\"value\":\"0oRD\",\"x\":1}," REST "}", false,
		REASON_BAD_FIELD, "evidence");
	refused("{" CSR "," EVIDENCE ",\"nonce\":\"" NONCE "\",\"audience\":\"https://a\",\"mode\":\"K\"}",
		false, REASON_BAD_FIELD, "mode");
}

static void test_wrong_types_are_refused(void **state)
{
	(void)state;
	refused("{\"csr\":1," EVIDENCE "," REST "}", false, REASON_BAD_FIELD, "csr");
	refused("{" CSR ",\"evidence\":\"x\"," REST "}", false, REASON_BAD_FIELD, "evidence");
	refused("{" CSR ",\"evidence\":{\"type\":\"psa-token\",\"value\":null}," REST "}", false,
		REASON_BAD_FIELD, "evidence.value");
	refused("{" CSR "," EVIDENCE "," REST ",\"lifetime_s\":\"60\"}", false, REASON_BAD_FIELD,
		"lifetime_s");
	refused("{" CSR "," EVIDENCE "," REST ",\"lifetime_s\":0}", false, REASON_BAD_FIELD, "lifetime_s");
	refused("{" CSR "," EVIDENCE "," REST ",\"lifetime_s\":-9}", false, REASON_BAD_FIELD, "lifetime_s");
	refused("{" CSR "," EVIDENCE "," REST ",\"lifetime_s\":60.5}", false, REASON_BAD_FIELD, "lifetime_s");
	refused("{" CSR "," EVIDENCE ",\"nonce\":[],\"audience\":\"https://a\",\"mode\":\"C\"}", false,
		REASON_BAD_FIELD, "nonce");
	refused("{" CSR "," EVIDENCE ",\"nonce\":\"" NONCE "\",\"audience\":\"\",\"mode\":\"C\"}", false,
		REASON_BAD_FIELD, "audience");
}

static void test_encodings_are_strict(void **state)
{
	(void)state;
	refused("{\"csr\":\"MA A=\"," EVIDENCE "," REST "}", false, REASON_BAD_ENCODING, "csr");
	refused("{\"csr\":\"MAA\"," EVIDENCE "," REST "}", false, REASON_BAD_ENCODING, "csr");
	refused("{" CSR "," EVIDENCE ",\"nonce\":\"AAEC\",\"audience\":\"https://a\",\"mode\":\"C\"}", false,
		REASON_BAD_ENCODING, "nonce");
	refused("{" CSR ",\"evidence\":{\"type\":\"tpm2\",\"value\":\"0oRD\"}," REST "}", false,
		REASON_EVIDENCE_TYPE, "tpm2");
	refused("{" CSR "," EVIDENCE "," REST
		",\"renews\":{\"certificateId\":\"00\",\"signature\":\"MEUC\"}}",
		true, REASON_BAD_ENCODING, "certificateId");
}

static void test_what_is_no_json_object_is_refused(void **state)
{
	static const char *const bodies[] = {"", "{", "[]", "null", "{}x", "\xff", "{\"csr\":\"\\u0000\"}"};
	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		refused(bodies[i], false, REASON_BAD_JSON, "");
}

/* A member of `size` characters; the caller frees. */
static char *long_csr(size_t size)
{
	char *body = malloc(size + 64);
	size_t n = (size_t)sprintf(body, "{\"csr\":\"");
	memset(body + n, 'A', size);
	sprintf(body + n + size, "\"}");
	return body;
}

static void test_sizes_are_bounded(void **state)
{
	(void)state;
	struct fault f = {0};
	char *most = long_csr(4 * ((CSR_MAX + 2) / 3)), *more = long_csr(4 * ((CSR_MAX + 2) / 3) + 4);
	refused(most, false, REASON_BAD_ENCODING,
		"csr"); /* one byte more than fits: 4096 is no multiple of 3 */
	refused(more, false, REASON_BAD_FIELD, "csr: is too long");
	free(most);
	free(more);
	char *fits = long_csr(4 * (CSR_MAX / 3));
	assert_false(parse(fits, false, &f).ok);
	assert_string_equal(f.text, "evidence: is missing");
	free(fits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_enrolment_is_read),
		cmocka_unit_test(test_a_renewal_is_read),
		cmocka_unit_test(test_a_provenance_chain_is_read_of_either),
		cmocka_unit_test(test_a_chain_that_is_no_base64url_is_refused),
		cmocka_unit_test(test_a_chain_of_one_byte_more_than_fits_is_refused),
		cmocka_unit_test(test_what_is_missing_is_named),
		cmocka_unit_test(test_what_is_not_of_the_interface_is_refused),
		cmocka_unit_test(test_wrong_types_are_refused),
		cmocka_unit_test(test_encodings_are_strict),
		cmocka_unit_test(test_what_is_no_json_object_is_refused),
		cmocka_unit_test(test_sizes_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
