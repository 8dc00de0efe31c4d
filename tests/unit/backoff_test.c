/* Waits between attempts: random, growing, bounded, never shorter than what the server asked for. */
#include "common/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_window_doubles_up_to_the_cap(void **state)
{
	(void)state;
	struct backoff b = {.base_ms = 1000, .cap_ms = 60000};
	static const int64_t windows[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
		struct backoff least = b, middle = b;
		assert_int_equal(backoff_next_ms(&least, -1, 0), 0);
		assert_int_equal(backoff_next_ms(&middle, -1, UINT32_MAX / 2 + 1), windows[i] / 2);
		int64_t most = backoff_next_ms(&b, -1, UINT32_MAX);
		assert_true(most < windows[i] && most >= windows[i] - 15);
	}
}

static void test_retry_after_is_the_least_wait_and_is_spread(void **state)
{
	(void)state;
	struct backoff b = {.base_ms = 1000, .cap_ms = BACKOFF_CAP_MS};
	assert_int_equal(backoff_next_ms(&b, 30, 0), 30000);
	assert_int_equal(backoff_next_ms(&b, 30, UINT32_MAX / 2 + 1), 31000);
	assert_int_equal(backoff_next_ms(&b, 0, 0), 0);
}

static void test_no_wait_is_longer_than_an_hour(void **state)
{
	(void)state;
	struct backoff b = {.base_ms = 1000, .cap_ms = BACKOFF_CAP_MS, .failures = 4000000000u};
	assert_true(backoff_next_ms(&b, -1, UINT32_MAX) <= 3600 * 1000);
	assert_int_equal(backoff_next_ms(&b, 86400, 0), 3600 * 1000);
	assert_int_equal(backoff_next_ms(&b, 3600, UINT32_MAX), 3600 * 1000);
}

static void test_one_who_is_alone_waits_for_the_whole_window(void **state)
{
	(void)state;
	struct backoff b = {.base_ms = 50, .cap_ms = 150};
	static const int64_t windows[] = {50, 100, 150, 150};
	for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
		assert_int_equal(backoff_window_ms(&b), windows[i]);
	b.failures = UINT32_MAX;
	assert_int_equal(backoff_window_ms(&b), 150);
	assert_int_equal(backoff_window_ms(&b), 150);
}

static void test_success_starts_over(void **state)
{
	(void)state;
	struct backoff b = {.base_ms = 1000, .cap_ms = BACKOFF_CAP_MS, .failures = 9};
	backoff_reset(&b);
	assert_true(backoff_next_ms(&b, -1, UINT32_MAX) < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_doubles_up_to_the_cap),
		cmocka_unit_test(test_retry_after_is_the_least_wait_and_is_spread),
		cmocka_unit_test(test_no_wait_is_longer_than_an_hour),
		cmocka_unit_test(test_one_who_is_alone_waits_for_the_whole_window),
		cmocka_unit_test(test_success_starts_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
