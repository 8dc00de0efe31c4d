/* Points in time as people write them. */
#include "cli/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t read_or_refused(const char *text)
{
	int64_t at;
	return moment_read(text, &at) ? at : -1;
}

static void test_a_moment_is_seconds_or_a_date_in_utc(void **state)
{
	(void)state;
	assert_int_equal(read_or_refused("0"), 0);
	assert_int_equal(read_or_refused("1796112000"), 1796112000);
	assert_int_equal(read_or_refused("2026-12-01"), 1796083200);
	assert_int_equal(read_or_refused("2026-12-01T08:00"), 1796112000);
	assert_int_equal(read_or_refused("2026-12-01T08:00:01Z"), 1796112001);
	assert_int_equal(read_or_refused("2026-12-01 08:00:01"), 1796112001);
	assert_int_equal(read_or_refused("2028-02-29"), 1835395200);
}

static void test_what_is_no_date_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"now",
		"-1",
		"2026-12",
		"2026-12-1",
		"2026-13-01",
		"2026-02-30",
		"2026-12-01T",
		"2026-12-01T24:00",
		"2026-12-01T08:00:00+01:00",
		" 2026-12-01",
		"1796112000s",
		"1234567890123",
	};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(read_or_refused(wrong[i]), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_moment_is_seconds_or_a_date_in_utc),
		cmocka_unit_test(test_what_is_no_date_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
