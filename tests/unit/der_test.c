#include "common/crypto/der.h"

#include "vectors.h"

static struct bytes from_hex(const char *hex, uint8_t *out, size_t room)
{
	size_t n;
	assert_true(hex_decode(hex, strlen(hex), out, room, &n));
	return heap_copy(bytes_of(out, n));
}

static void test_only_the_shortest_definite_form_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		bool ok;
	} cases[] = {
		{"", true},
		{"0500", true},
		{"05000500", true},
		{"30020500", true},
		{"3006300430003100", true},
		{"05", false},
		{"0000", false},
		{"0501", false},
		{"058100", false},
		{"05800000", false},
		{"308003020100", false},
		{"3082000305030000", false},
		{"1f8100", false},
		{"3003050000", false},
		{"30030501", false},
		{"05ffff", false},
		{"0584000000010a", false},
	};
	uint8_t room[64];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes in = from_hex(cases[i].hex, room, sizeof room);
		if (der_well_formed(in) != cases[i].ok)
			fail_msg("%s: should be %s", cases[i].hex, cases[i].ok ? "accepted" : "refused");
		heap_free(in);
	}
}

static void test_nesting_has_a_limit(void **state)
{
	(void)state;
	struct buf b = {0};
	for (int depth = 1; depth <= 40; depth++) {
		struct buf outer = {0};
		der_put(&outer, DER_SEQUENCE, buf_view(&b));
		buf_free(&b);
		b = outer;
		assert_int_equal(der_well_formed(buf_view(&b)), depth <= 12);
	}
	buf_free(&b);
}

static void test_what_is_written_is_read_again(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 70000};
	static const uint8_t zeros[70000];
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct buf b = {0};
		struct der_item item;
		der_put(&b, DER_UTF8_STRING, bytes_of(zeros, sizes[i]));
		struct bytes in = buf_view(&b), wrong = in;
		assert_false(der_take(&wrong, DER_SEQUENCE, &item));
		assert_true(der_take(&in, DER_UTF8_STRING, &item));
		assert_int_equal(item.contents.n, sizes[i]);
		assert_true(bytes_equal(item.whole, buf_view(&b)));
		assert_int_equal(in.n, 0);
		assert_false(der_next(&in, &item));
		buf_free(&b);
	}
}

static void test_bits_come_in_whole_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		bool ok;
	} cases[] = {{"030200aa", true},
		     {"030100", true},
		     {"0300", false},
		     {"030201aa", false},
		     {"040200aa", false}};
	uint8_t room[8];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes in = from_hex(cases[i].hex, room, sizeof room), rest = in, bits;
		struct der_item item;
		assert_true(der_next(&rest, &item));
		assert_int_equal(der_bits(&item, &bits), cases[i].ok);
		heap_free(in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_shortest_definite_form_is_read),
		cmocka_unit_test(test_nesting_has_a_limit),
		cmocka_unit_test(test_what_is_written_is_read_again),
		cmocka_unit_test(test_bits_come_in_whole_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
