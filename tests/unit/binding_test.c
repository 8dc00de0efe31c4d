#include "binding.h"

#include "csr.h"
#include "vectors.h"

static const char audience[] = "https://enrol.example.com/acme";

static void check_binding(enum binding_mode mode, const char *audience_text, struct bytes x,
			  const char *expected, bool same)
{
	uint8_t nonce[NONCE_SIZE], b[BINDING_SIZE];
	char hex[HEX_SIZE(BINDING_SIZE)];
	for (size_t i = 0; i < sizeof nonce; i++)
		nonce[i] = (uint8_t)i;
	binding_compute(mode, nonce, audience_text, x, b);
	hex_encode(bytes_of(b, sizeof b), hex);
	if (same)
		assert_string_equal(hex, expected);
	else
		assert_string_not_equal(hex, expected);
}

static void test_golden_values(void **state)
{
	(void)state;
	static const char mode_c[] = "2ce31adb643e06d73a82ff1425e231373fe4e43fc27c3f4d485198ab0b08ab2e";
	static const char mode_k[] = "0ab7a589c77c357c9295ac50da76b29d52cb6ed42b40b530e3b8f05964c61554";
	struct buf der = read_path(DERIVED "csr/ok-p256.der");
	struct csr csr;
	struct fault f;
	accepted(csr_parse(buf_view(&der), false, &csr, &f), &f, "ok-p256");
	check_binding(BINDING_CSR, audience, csr.der, mode_c, true);
	check_binding(BINDING_KEY, audience, csr.spki, mode_k, true);
	check_binding(BINDING_KEY, audience, csr.der, mode_c, false);
	check_binding(BINDING_CSR, "https://enrol.example.com", csr.der, mode_c, false);
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
