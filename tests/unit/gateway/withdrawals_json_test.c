#include "gateway/withdrawals_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INSTANCE                                                                                             \
	"01"                                                                                                 \
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static EVP_PKEY *key, *other;

static char *entry(EVP_PKEY *by, const char *payload)
{
	char *text = NULL;
	json_t *object = json_loads(payload, 0, NULL);
	assert_non_null(object);
	assert_true(jws_sign(object, by, NULL, NULL, &text, NULL).ok);
	json_decref(object);
	return text;
}

static char *payload_of(int seq, const char *state)
{
	static char text[320];
	snprintf(text, sizeof text,
		 "{\"seq\":%d,\"time\":1,\"instance_id\":\"" INSTANCE
		 "\",\"state\":\"%s\",\"reason\":\"recall\",\"mark\":\"00010203040506%02x\",\"superseded\":%"
		 "s}",
		 seq, state, seq, seq % 2 ? "true" : "false");
	return text;
}

static outcome parse(const char *a, const char *b, int last, int after, struct withdrawal_list *l,
		     struct fault *f)
{
	struct buf json = {0};
	buf_printf(&json, "{\"entries\":[\"%s\"%s%s%s],\"last\":%d}", a, b ? ",\"" : "", b ? b : "",
		   b ? "\"" : "", last);
	outcome r = withdrawal_list_parse(buf_view(&json), after, &key, 1, l, f);
	buf_free(&json);
	return r;
}

static void refused(const char *payload, EVP_PKEY *by, int last, int after, const char *reason)
{
	struct withdrawal_list l;
	struct fault f = {0};
	char *text = entry(by, payload);
	assert_false(parse(text, NULL, last, after, &l, &f).ok);
	assert_string_equal(reason_code(f.reason), reason);
	assert_null(l.entries);
	free(text);
}

static void test_entries_are_read_in_order(void **state)
{
	(void)state;
	struct withdrawal_list l;
	struct fault f = {0};
	char *a = entry(key, payload_of(7, "suspended")), *b = entry(key, payload_of(8, "active"));
	assert_true(parse(a, b, 8, 6, &l, &f).ok);
	assert_int_equal(l.count, 2);
	assert_int_equal(l.last, 8);
	assert_int_equal(l.entries[0].seq, 7);
	assert_true(l.entries[0].suspended);
	assert_false(l.entries[1].suspended);
	assert_string_equal(l.entries[1].reason, "recall");
	assert_int_equal(l.entries[0].instance_id[32], 0xff);
	assert_int_equal(l.entries[1].mark[7], 8);
	assert_int_equal(l.entries[0].time, 1);
	assert_true(l.entries[0].superseded);
	assert_false(l.entries[1].superseded);
	withdrawal_list_free(&l);
	free(a);
	free(b);
}

static void test_an_empty_list_is_good(void **state)
{
	(void)state;
	struct withdrawal_list l;
	struct fault f = {0};
	assert_true(withdrawal_list_parse(bytes_str("{\"entries\":[],\"last\":3}"), 3, &key, 1, &l, &f).ok);
	assert_int_equal(l.count, 0);
	withdrawal_list_free(&l);
}

static void test_only_a_pinned_key_can_withdraw(void **state)
{
	(void)state;
	refused(payload_of(7, "suspended"), other, 7, 6, "ear-signature");
}

static void refused_pair(int first, int second, int last)
{
	struct withdrawal_list l;
	struct fault f = {0};
	char *a = entry(key, payload_of(first, "suspended")), *b = entry(key, payload_of(second, "active"));
	assert_false(parse(a, b, last, 6, &l, &f).ok);
	assert_string_equal(reason_code(f.reason), "verifier-answer-invalid");
	assert_null(l.entries);
	free(a);
	free(b);
}

static void test_no_number_is_left_out_or_comes_again(void **state)
{
	(void)state;
	refused(payload_of(6, "suspended"), key, 6, 6, "verifier-answer-invalid");
	refused(payload_of(8, "suspended"), key, 8, 6, "verifier-answer-invalid");
	refused_pair(7, 7, 7);
	refused_pair(7, 9, 9);
	refused_pair(8, 7, 7);
}

static void test_the_unsigned_last_number_moves_nothing_on(void **state)
{
	(void)state;
	refused(payload_of(7, "suspended"), key, 8, 6, "verifier-answer-invalid");
	refused(payload_of(7, "suspended"), key, 2147483647, 6, "verifier-answer-invalid");
	refused(payload_of(7, "suspended"), key, 6, 6, "verifier-answer-invalid");
}

static void test_an_entry_that_says_something_else_is_refused(void **state)
{
	(void)state;
	refused(payload_of(7, "revoked"), key, 7, 6, "verifier-answer-invalid");
	refused("{\"seq\":7,\"state\":\"suspended\",\"instance_id\":\"01\"}", key, 7, 6,
		"verifier-answer-invalid");
	refused("{\"seq\":7,\"instance_id\":\"" INSTANCE "\"}", key, 7, 6, "verifier-answer-invalid");
	refused("{\"seq\":7,\"time\":1,\"state\":\"active\",\"instance_id\":\"" INSTANCE
		"\",\"superseded\":false}",
		key, 7, 6, "verifier-answer-invalid");
	refused("{\"seq\":7,\"time\":1,\"state\":\"active\",\"instance_id\":\"" INSTANCE
		"\",\"superseded\":false,"
		"\"mark\":\"00\"}",
		key, 7, 6, "verifier-answer-invalid");
	refused("{\"seq\":7,\"time\":\"1\",\"state\":\"active\",\"instance_id\":\"" INSTANCE
		"\",\"superseded\":false,"
		"\"mark\":\"0001020304050607\"}",
		key, 7, 6, "verifier-answer-invalid");
	refused("{\"seq\":7,\"time\":1,\"state\":\"active\",\"instance_id\":\"" INSTANCE
		"\",\"superseded\":0,"
		"\"mark\":\"0001020304050607\"}",
		key, 7, 6, "verifier-answer-invalid");
	refused("{\"seq\":\"7\",\"state\":\"active\",\"instance_id\":\"" INSTANCE "\"}", key, 7, 6,
		"verifier-answer-invalid");
}

static void test_a_list_that_breaks_the_interface_is_refused(void **state)
{
	static const char *const lists[] = {"",
					    "[]",
					    "{}",
					    "{\"entries\":[]}",
					    "{\"entries\":{},\"last\":9}",
					    "{\"entries\":[],\"last\":2}",
					    "{\"entries\":[1],\"last\":9}",
					    "{\"entries\":[\"a.b.c\"],\"last\":9}"};
	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct withdrawal_list l;
		struct fault f = {0};
		assert_false(withdrawal_list_parse(bytes_str(lists[i]), 3, &key, 1, &l, &f).ok);
		assert_int_equal(reason_public(f.reason)->status, 503);
		assert_null(l.entries);
	}
}

static int set_up(void **state)
{
	(void)state;
	key = p256_key_generate();
	other = p256_key_generate();
	return key && other ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries_are_read_in_order),
		cmocka_unit_test(test_an_empty_list_is_good),
		cmocka_unit_test(test_only_a_pinned_key_can_withdraw),
		cmocka_unit_test(test_no_number_is_left_out_or_comes_again),
		cmocka_unit_test(test_the_unsigned_last_number_moves_nothing_on),
		cmocka_unit_test(test_an_entry_that_says_something_else_is_refused),
		cmocka_unit_test(test_a_list_that_breaks_the_interface_is_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
