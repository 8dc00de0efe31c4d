#include "common/scgi/scgi_parse.h"

#include "common/scgi/scgi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WHOLE                                                                                                \
	"28:CONTENT_LENGTH\0"                                                                                \
	"5\0SCGI\0"                                                                                          \
	"1\0A\0b\0,hello"

static struct bytes literal(const char *p, size_t n)
{
	return bytes_of(p, n);
}
#define LITERAL(s) literal(s, sizeof(s) - 1)

static void test_a_request_is_split_into_parameters_and_body(void **state)
{
	(void)state;
	struct scgi_head head;
	struct fault f;
	struct bytes in = LITERAL(WHOLE);
	size_t length;
	assert_true(scgi_measure(in, &length, &f).ok);
	assert_int_equal(length, in.n);
	assert_true(scgi_split(in, &head, &f).ok);
	assert_int_equal(head.count, 3);
	assert_string_equal(scgi_find(&head, "A"), "b");
	assert_string_equal(scgi_find(&head, "B"), "");
	assert_true(bytes_equal(head.body, bytes_str("hello")));
}

static void test_every_beginning_of_a_request_asks_for_more(void **state)
{
	(void)state;
	struct bytes in = LITERAL(WHOLE);
	struct scgi_head head;
	struct fault f;
	for (size_t n = 0; n < in.n; n++) {
		size_t length;
		uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees the edge */
		memcpy(exact, in.p, n);
		assert_true(scgi_measure(bytes_of(exact, n), &length, &f).ok);
		assert_true(length == 0 || length == in.n);
		assert_false(scgi_split(bytes_of(exact, n), &head, &f).ok);
		free(exact);
	}
}

static void expect_refusal(struct bytes in, enum reason reason, const char *rule)
{
	struct scgi_head head;
	struct fault f = {0};
	if (scgi_split(in, &head, &f).ok)
		fail_msg("accepted although: %s", rule);
	assert_int_equal(f.reason, reason);
	if (!strstr(f.text, rule))
		fail_msg("\"%s\" does not say \"%s\"", f.text, rule);
}

/* The same for a block whose netstring length is right. */
static void expect_block_refusal(const char *block, size_t n, const char *body, enum reason reason,
				 const char *rule)
{
	struct buf whole = {0};
	buf_printf(&whole, "%zu:", n);
	buf_add(&whole, block, n);
	buf_printf(&whole, ",%s", body);
	expect_refusal(buf_view(&whole), reason, rule);
	buf_free(&whole);
}
#define REFUSED(block, body, reason, rule)                                                                   \
	expect_block_refusal(block, sizeof(block) - 1, body, REASON_##reason, rule)

static void test_malformed_netstrings_are_refused(void **state)
{
	(void)state;
	const enum reason bad = REASON_BAD_REQUEST;
	expect_refusal(LITERAL("GET / HTTP/1.1\r\n"), bad, "netstring length");
	expect_refusal(LITERAL(":x,"), bad, "netstring length");
	expect_refusal(LITERAL("028:CONTENT_LENGTH\0"
			       "5\0SCGI\0"
			       "1\0A\0b\0,hello"),
		       bad, "netstring length");
	expect_refusal(LITERAL("-1:CONTENT"), bad, "netstring length");
	expect_refusal(LITERAL("99999999"), bad, "netstring length");
	expect_refusal(LITERAL("9999999:"), REASON_TOO_LARGE, "the limit is 65536");
	expect_refusal(LITERAL("28:CONTENT_LENGTH\0"
			       "5\0SCGI\0"
			       "1\0A\0b\0;hello"),
		       bad, "comma");
	expect_refusal(LITERAL("27:CONTENT_LENGTH\0"
			       "5\0SCGI\0"
			       "1\0A\0b\0,hello"),
		       bad, "comma");
}

static void test_malformed_lengths_are_refused(void **state)
{
	(void)state;
	REFUSED("SCGI\0"
		"1\0",
		"", BAD_REQUEST, "first parameter");
	REFUSED("CONTENT_LENGTH\0\0SCGI\0"
		"1\0",
		"", BAD_REQUEST, "decimal");
	REFUSED("CONTENT_LENGTH\0+5\0SCGI\0"
		"1\0",
		"hello", BAD_REQUEST, "decimal");
	REFUSED("CONTENT_LENGTH\0"
		"05\0SCGI\0"
		"1\0",
		"hello", BAD_REQUEST, "decimal");
	REFUSED("CONTENT_LENGTH\0"
		"5 \0SCGI\0"
		"1\0",
		"hello", BAD_REQUEST, "decimal");
	REFUSED("CONTENT_LENGTH\0"
		"5",
		"hello", BAD_REQUEST, "decimal");
	REFUSED("CONTENT_LENGTH\0"
		"9999999\0SCGI\0"
		"1\0",
		"", TOO_LARGE, "a body of");
	REFUSED("CONTENT_LENGTH\0"
		"5\0SCGI\0"
		"1\0",
		"hello!", BAD_REQUEST, "after the body");
	REFUSED("CONTENT_LENGTH\0"
		"5\0SCGI\0"
		"1\0",
		"hell", BAD_REQUEST, "cut off");
}

static void test_malformed_parameters_are_refused(void **state)
{
	(void)state;
	REFUSED("CONTENT_LENGTH\0"
		"0\0SCGI\0"
		"2\0",
		"", BAD_REQUEST, "SCGI is not 1");
	REFUSED("CONTENT_LENGTH\0"
		"0\0",
		"", BAD_REQUEST, "SCGI is not 1");
	REFUSED("CONTENT_LENGTH\0"
		"0\0SCGI\0"
		"1\0SCGI\0"
		"1\0",
		"", BAD_REQUEST, "SCGI comes twice");
	REFUSED("CONTENT_LENGTH\0"
		"0\0CONTENT_LENGTH\0"
		"0\0SCGI\0"
		"1\0",
		"", BAD_REQUEST, "twice");
	REFUSED("CONTENT_LENGTH\0"
		"0\0SCGI\0"
		"1\0\0x\0",
		"", BAD_REQUEST, "without a name");
	REFUSED("CONTENT_LENGTH\0"
		"0\0SCGI\0"
		"1\0A",
		"", BAD_REQUEST, "without its end");
	REFUSED("CONTENT_LENGTH\0"
		"0\0SCGI\0"
		"1\0A\0b",
		"", BAD_REQUEST, "without its end");
}

static void test_more_parameters_than_the_limit_are_refused(void **state)
{
	(void)state;
	struct buf block = {0}, whole = {0};
	buf_add(&block,
		"CONTENT_LENGTH\0"
		"0\0SCGI\0"
		"1",
		24); /* with the NUL that ends it */
	for (int i = 0; i < SCGI_PARAMS_MAX; i++) {
		buf_printf(&block, "P%d", i);
		buf_add(&block, "\0v", 3);
	}
	buf_printf(&whole, "%zu:", block.n);
	buf_bytes(&whole, buf_view(&block));
	buf_byte(&whole, ',');
	expect_refusal(buf_view(&whole), REASON_BAD_REQUEST, "more than 128");
	buf_free(&block);
	buf_free(&whole);
}

static void test_percent_decoding_is_strict(void **state)
{
	(void)state;
	char out[16];
	size_t n;
	assert_true(scgi_percent_decode(bytes_str("a%41%2b+%0a"), false, out, sizeof out, &n));
	assert_string_equal(out, "aA++\n");
	assert_int_equal(n, 5);
	assert_true(scgi_percent_decode(bytes_str("a+b"), true, out, sizeof out, &n));
	assert_string_equal(out, "a b");
	assert_true(scgi_percent_decode(bytes_str("%41"), false, out, 2, &n));
	assert_false(scgi_percent_decode(bytes_str("%4"), false, out, sizeof out, &n));
	assert_false(scgi_percent_decode(bytes_str("%"), false, out, sizeof out, &n));
	assert_false(scgi_percent_decode(bytes_str("%4g"), false, out, sizeof out, &n));
	assert_false(scgi_percent_decode(bytes_str("%00"), false, out, sizeof out, &n));
	assert_false(scgi_percent_decode(bytes_str("ab"), false, out, 2, &n));
	assert_false(scgi_percent_decode(bytes_str(""), false, out, 0, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_is_split_into_parameters_and_body),
		cmocka_unit_test(test_every_beginning_of_a_request_asks_for_more),
		cmocka_unit_test(test_malformed_netstrings_are_refused),
		cmocka_unit_test(test_malformed_lengths_are_refused),
		cmocka_unit_test(test_malformed_parameters_are_refused),
		cmocka_unit_test(test_more_parameters_than_the_limit_are_refused),
		cmocka_unit_test(test_percent_decoding_is_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
