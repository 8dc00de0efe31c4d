/* What the commands of mooring-factory share. */
#include "factory/factory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1796112000 };

static int64_t time_of(const char *text)
{
	struct fault f;
	int64_t at;
	if (factory_time("until", text, NOW, &at, &f).ok)
		return at;
	assert_int_equal(f.reason, REASON_BAD_FIELD);
	assert_non_null(strstr(f.text, "--until: "));
	return -1;
}

static void test_a_time_is_a_moment_or_counted_from_now(void **state)
{
	(void)state;
	assert_int_equal(time_of("now"), NOW);
	assert_int_equal(time_of("+12h"), NOW + 12 * 3600);
	assert_int_equal(time_of("-30d"), NOW - 30 * 86400);
	assert_int_equal(time_of("2026-12-01T08:00:01Z"), NOW + 1);
	assert_int_equal(time_of("1796112000"), NOW);
}

static void test_what_is_no_time_is_refused(void **state)
{
	static const char *const wrong[] = {"",		"+",	     "+d",
					    "+5",	"+5m",	     "+5dd",
					    "12h",	"+1000001h", "+99999999999999999999d",
					    "tomorrow", "2026-02-30"};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(time_of(wrong[i]), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_time_is_a_moment_or_counted_from_now),
		cmocka_unit_test(test_what_is_no_time_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
