#include "common/evidence/binding.h"

#include "common/crypto/csr.h"
#include "vectors.h"

static const char audience[] = "https://enrol.example.com/acme";

static void check_binding(const char *audience_text, struct bytes bound_csr, bool same)
{
	static const char golden[] = "2ce31adb643e06d73a82ff1425e231373fe4e43fc27c3f4d485198ab0b08ab2e";
	uint8_t nonce[NONCE_SIZE], b[BINDING_SIZE];
	char hex[HEX_SIZE(BINDING_SIZE)];
	for (size_t i = 0; i < sizeof nonce; i++)
		nonce[i] = (uint8_t)i;
	binding_compute(nonce, audience_text, bound_csr, b);
	hex_encode(bytes_of(b, sizeof b), hex);
	if (same)
		assert_string_equal(hex, golden);
	else
		assert_string_not_equal(hex, golden);
}

static void test_golden_values(void **state)
{
	(void)state;
	struct buf der = read_path(DERIVED "csr/ok-p256.der");
	struct csr csr;
	struct fault f;
	accepted(csr_parse(buf_view(&der), false, &csr, &f), &f, "ok-p256");
	check_binding(audience, csr.der, true);
	check_binding(audience, csr.spki, false);
	check_binding("https://enrol.example.com", csr.der, false);
	buf_free(&der);
}

static void test_origins_have_one_spelling(void **state)
{
	(void)state;
	static const char *const good[] = {
		"https://enrol.example.com",
		"https://localhost:8443",
		"https://127.0.0.1:8443",
		"https://[::1]:8443",
		"https://a",
		"https://x-1.example:1",
		"https://x:65535",
	};
	static const char *const bad[] = {
		"",
		"https://",
		"https:///",
		"http://enrol.example.com",
		"HTTPS://enrol.example.com",
		"https://Enrol.example.com",
		"https://enrol.example.com/",
		"https://enrol.example.com/acme",
		"https://enrol.example.com?x",
		"https://enrol.example.com#x",
		"https://user@enrol.example.com",
		"https://enrol.example.com:443",
		"https://enrol.example.com:08443",
		"https://enrol.example.com:0",
		"https://enrol.example.com:65536",
		"https://enrol.example.com:184467440737095516168443",
		"https://enrol.example.com:",
		"https://enrol.example.com:84a",
		"https://enrol.example.com:-1",
		"https://.example.com",
		"https://example.com.",
		"https://-example.com",
		"https://exa mple.com",
		"https://\xc3\xbc.example",
		"https://[::1",
		"https://[]",
		"https://[::G]",
		"enrol.example.com",
	};
	struct fault f;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		accepted(binding_check_origin(good[i], &f), &f, good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused_for(binding_check_origin(bad[i], &f), &f, REASON_BAD_ORIGIN, bad[i]);
}

static void test_long_origins_are_refused(void **state)
{
	(void)state;
	char origin[ORIGIN_MAX + 2] = "https://";
	struct fault f;
	memset(origin + 8, 'a', sizeof origin - 9);
	refused_for(binding_check_origin(origin, &f), &f, REASON_BAD_ORIGIN, "256 bytes");
	origin[ORIGIN_MAX] = '\0';
	accepted(binding_check_origin(origin, &f), &f, "255 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_values),
		cmocka_unit_test(test_origins_have_one_spelling),
		cmocka_unit_test(test_long_origins_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
