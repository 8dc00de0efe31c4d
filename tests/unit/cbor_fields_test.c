#include "common/cbor/cbor_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct message {
	int64_t number;
	uint8_t fixed[4];
	struct bytes bytes;
	char text[6];
	struct bytes text_view;
};

static const struct cbor_fields_row rows[] = {
	{CBOR_FIELD_UINT, offsetof(struct message, number), 0},
	{CBOR_FIELD_FIXED, offsetof(struct message, fixed), 4},
	{CBOR_FIELD_BYTES, offsetof(struct message, bytes), 8},
	{CBOR_FIELD_TEXT, offsetof(struct message, text), 6},
	{CBOR_FIELD_TEXT_VIEW, offsetof(struct message, text_view), 8},
};
static const struct cbor_fields fields = {rows, 5, REASON_SIGNER_PROTOCOL};

static void test_what_is_written_is_read_again(void **state)
{
	const struct message from = {.number = 70000,
				     .fixed = "abcd",
				     .bytes = bytes_str("bytes"),
				     .text = "12345",
				     .text_view = bytes_str("text")};
	(void)state;
	for (uint32_t which = 0; which < 32; which++) {
		struct message into = {0};
		struct buf out = {0};
		struct fault f = {0};
		uint32_t seen;
		cbor_fields_write(&out, &fields, which, &from);
		if (!cbor_fields_read(buf_view(&out), &fields, &into, &seen, &f).ok)
			fail_msg("%u: %s", which, f.text);
		assert_int_equal(seen, which);
		assert_int_equal(into.number, which & 1 ? from.number : 0);
		assert_int_equal(!memcmp(into.fixed, "abcd", 4), (which & 2) != 0);
		assert_int_equal(bytes_equal(into.bytes, from.bytes), (which & 4) != 0);
		assert_string_equal(into.text, which & 8 ? from.text : "");
		assert_int_equal(bytes_equal(into.text_view, from.text_view), (which & 16) != 0);
		buf_free(&out);
	}
}

static void refused(const char *hex, enum reason reason)
{
	uint8_t in[64];
	size_t n;
	struct message into = {0};
	struct fault f = {0};
	uint32_t seen;
	assert_true(hex_decode(hex, strlen(hex), in, sizeof in, &n));
	assert_false(cbor_fields_read(bytes_of(in, n), &fields, &into, &seen, &f).ok);
	if (f.reason != reason)
		fail_msg("%s: %s: %s", hex, reason_code(f.reason), f.text);
}

static void test_what_is_not_a_message_is_refused(void **state)
{
	(void)state;
	refused("", REASON_CBOR_TRUNCATED);
	refused("80", REASON_CBOR_TYPE);
	refused("a000", REASON_CBOR_TRAILING);
	refused("a10500", REASON_SIGNER_PROTOCOL);	     /* a key beyond the table */
	refused("a12000", REASON_SIGNER_PROTOCOL);	     /* -1 */
	refused("a1616100", REASON_SIGNER_PROTOCOL);	     /* "a" */
	refused("a200010002", REASON_CBOR_DUPLICATE);	     /* 0 twice */
	refused("a10020", REASON_SIGNER_PROTOCOL);	     /* a negative number */
	refused("a1001b8000000000000000", REASON_CBOR_TYPE); /* beyond int64_t */
	refused("a10143616263", REASON_SIGNER_PROTOCOL);     /* 3 bytes */
	refused("a101456162636465", REASON_SIGNER_PROTOCOL);
	refused("a1016461626364", REASON_CBOR_TYPE);		     /* a text */
	refused("a10240", REASON_SIGNER_PROTOCOL);		     /* nothing */
	refused("a10249616263646566676869", REASON_SIGNER_PROTOCOL); /* 9 bytes */
	refused("a10366616263646566", REASON_SIGNER_PROTOCOL);	     /* no room for the end */
	refused("a10362610062", REASON_SIGNER_PROTOCOL);
	refused("a10460", REASON_SIGNER_PROTOCOL);
}

static void test_a_text_without_contents_is_read(void **state)
{
	struct message into = {.text = "old"};
	struct fault f;
	uint32_t seen;
	(void)state;
	assert_true(cbor_fields_read(bytes_of("\xa1\x03\x60", 3), &fields, &into, &seen, &f).ok);
	assert_string_equal(into.text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read_again),
		cmocka_unit_test(test_what_is_not_a_message_is_refused),
		cmocka_unit_test(test_a_text_without_contents_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
