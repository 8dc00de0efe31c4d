#include "common/scgi/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	struct route route;
	int handler; /* what an owner keeps in its rows */
} table[] = {
	{{"GET", "/things"}, 1},      {{"POST", "/things"}, 2},	      {{"GET", "/things/*"}, 3},
	{{"DELETE", "/things/*"}, 4}, {{"POST", "/things/*/a/*"}, 5}, {{"PUT", "/*/things"}, 6},
	{{NULL, "/whole/part/"}, 7},
};

static struct route_match match;
static struct fault fault;

static bool find(const char *method, const char *path)
{
	memset(&fault, 0, sizeof fault);
	return router_find(table, sizeof table / sizeof *table, sizeof *table, method, path, &match, &fault)
		.ok;
}

static void expect(const char *method, const char *path, int handler)
{
	if (!find(method, path))
		fail_msg("%s %s: %s", method, path, fault.text);
	assert_int_equal(table[match.row].handler, handler);
}

static void expect_none(const char *method, const char *path)
{
	if (find(method, path) || fault.reason != REASON_NOT_FOUND)
		fail_msg("%s %s: %s", method, path, reason_code(fault.reason));
}

static void test_method_and_path_choose_the_row(void **state)
{
	(void)state;
	expect("GET", "/things", 1);
	expect("POST", "/things", 2);
	expect("GET", "/things/x", 3);
	expect("DELETE", "/things/x", 4);
	expect("HEAD", "/things", 1);
	expect("HEAD", "/things/x", 3);
}

static void test_a_star_is_one_segment_and_its_name_is_decoded(void **state)
{
	(void)state;
	expect("POST", "/things/one/a/t%77o%2f", 5);
	assert_string_equal(match.names[0], "one");
	assert_string_equal(match.names[1], "two/");
	expect_none("GET", "/things/");
	expect_none("GET", "/things/x/");
	expect_none("GET", "/things/x/y");
	expect_none("GET", "/thing");
	expect_none("GET", "/thingsx");
	expect_none("GET", "");
}

static void test_names_that_no_name_can_be_are_not_found(void **state)
{
	char path[8 + ROUTE_NAME_SIZE + 1] = "/things/";
	(void)state;
	expect_none("GET", "/things/%00");
	expect_none("GET", "/things/%20");
	expect_none("GET", "/things/a%0a");
	expect_none("GET", "/things/%7f");
	expect_none("GET", "/things/%c3%a4");
	expect_none("GET", "/things/%4");
	expect_none("GET", "/things/%zz");
	memset(path + 8, 'n', ROUTE_NAME_SIZE);
	expect_none("GET", path);
	path[8 + ROUTE_NAME_SIZE - 1] = '\0';
	expect("GET", path, 3);
	assert_int_equal(strlen(match.names[0]), ROUTE_NAME_SIZE - 1);
}

static void test_another_method_is_refused_with_all_that_are_taken(void **state)
{
	(void)state;
	assert_false(find("PUT", "/things"));
	assert_int_equal(fault.reason, REASON_METHOD_NOT_ALLOWED);
	assert_string_equal(match.allow, "GET, HEAD, POST");
	assert_false(find("HEAD", "/things/x/a/y"));
	assert_int_equal(fault.reason, REASON_METHOD_NOT_ALLOWED);
	assert_string_equal(match.allow, "POST");
	assert_false(find("get", "/things/x"));
	assert_string_equal(match.allow, "GET, HEAD, DELETE");
}

static void test_a_path_that_ends_in_a_slash_is_all_below_it(void **state)
{
	(void)state;
	expect("OPTIONS", "/whole/part/", 7);
	expect("GET", "/whole/part/of/it", 7);
	expect_none("GET", "/whole/part");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_method_and_path_choose_the_row),
		cmocka_unit_test(test_a_star_is_one_segment_and_its_name_is_decoded),
		cmocka_unit_test(test_names_that_no_name_can_be_are_not_found),
		cmocka_unit_test(test_another_method_is_refused_with_all_that_are_taken),
		cmocka_unit_test(test_a_path_that_ends_in_a_slash_is_all_below_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
