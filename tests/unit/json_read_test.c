#include "common/json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *object(const char *text)
{
	json_t *o;
	struct fault f;
	if (!json_read_object(bytes_str(text), "it", &o, &f).ok)
		fail_msg("%s", f.text);
	return o;
}

static void refused(const char *text, const char *says)
{
	json_t *o;
	struct fault f = {0};
	assert_false(json_read_object(bytes_str(text), "the body", &o, &f).ok);
	assert_null(o);
	assert_int_equal(f.reason, REASON_BAD_JSON);
	if (strncmp(f.text, "the body:", 9) || !strstr(f.text, says))
		fail_msg("%s", f.text);
}

static void test_only_one_object_without_repeated_members_is_read(void **state)
{
	(void)state;
	json_decref(object(" {\"a\": {\"a\": 1}} "));
	refused("", "RFC 8259");
	refused("[]", "not a JSON object");
	refused("{\"a\":1,\"a\":1}", "duplicate");
	refused("{\"a\":1}{", "the body:1: ");
	refused("{\n\"a\":", "the body:2: ");
	refused("{\"a\":\"x\\u0000y\"}", "u0000");
}

static void test_an_unknown_member_is_named(void **state)
{
	static const char *const names[] = {"a", "b", NULL};
	struct fault f = {0};
	json_t *good = object("{\"b\":1}"), *bad = object("{\"a\":1,\"c\":1}");
	(void)state;
	assert_true(json_read_members(good, names, &f).ok);
	assert_false(json_read_members(bad, names, &f).ok);
	assert_int_equal(f.reason, REASON_BAD_FIELD);
	assert_non_null(strstr(f.text, "c: "));
	json_decref(good);
	json_decref(bad);
}

static void test_members_are_read_in_exactly_the_form_that_is_asked_for(void **state)
{
	uint8_t out[4];
	size_t n;
	json_t *o = object("{\"hex\":\"0a0B\",\"url\":\"_-8\",\"base\":"
			   "\"/+8=\",\"no\":7}");
	(void)state;
	assert_true(json_read_hex(json_object_get(o, "hex"), out, 2));
	assert_memory_equal(out, "\x0a\x0b", 2);
	assert_false(json_read_hex(json_object_get(o, "hex"), out, 1));
	assert_false(json_read_hex(json_object_get(o, "hex"), out, 3));
	assert_false(json_read_hex(json_object_get(o, "no"), out, 2));
	assert_true(json_read_base64url(json_object_get(o, "url"), out, 2));
	assert_memory_equal(out, "\xff\xef", 2);
	assert_false(json_read_base64url(json_object_get(o, "url"), out, 3));
	assert_false(json_read_base64url(json_object_get(o, "base"), out, 2));
	assert_true(json_read_base64(json_object_get(o, "base"), out, sizeof out, &n));
	assert_int_equal(n, 2);
	assert_false(json_read_base64(json_object_get(o, "base"), out, 1, &n));
	assert_false(json_read_base64(NULL, out, sizeof out, &n));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_one_object_without_repeated_members_is_read),
		cmocka_unit_test(test_an_unknown_member_is_named),
		cmocka_unit_test(test_members_are_read_in_exactly_the_form_that_is_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
