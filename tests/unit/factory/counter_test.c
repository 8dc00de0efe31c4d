/* A line's counter: whatever the file says, no number comes twice. */
#include "factory/counter.h"

#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ORDER "abcd000000000000000000000000000000000000000000000000000000000000"

static char folder[64];
static const struct work_order order = {
	.batch = "2026-47", .stage = 3, .quota = 4, .object.sha256 = {0xab, 0xcd}};

static int make(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/counter_test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_all(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

static void write_counter(const char *text)
{
	char path[128];
	struct fault f;
	snprintf(path, sizeof path, "%s/2026-47.3", folder);
	assert_true(file_replace(path, bytes_str(text), 0644, &f).ok);
}

static void test_numbers_rise_through_restarts_and_end_at_the_quota(void **state)
{
	struct counter c;
	struct fault f;
	int64_t seq;
	(void)state;
	for (int64_t expected = 1; expected <= order.quota; expected++) {
		assert_true(counter_open(folder, &order, 0, &c, &f).ok);
		assert_true(counter_take(&c, &seq, &f).ok);
		assert_int_equal(seq, expected);
	}
	for (int again = 0; again < 2; again++) {
		assert_false(counter_take(&c, &seq, &f).ok);
		assert_int_equal(f.reason, REASON_ORDER_QUOTA);
		assert_non_null(strstr(f.text, "stage 3 of batch 2026-47 is used up: 4 of 4"));
		assert_true(counter_open(folder, &order, 0, &c, &f).ok);
	}
}

static void test_a_counter_that_was_lost_goes_on_after_the_outbox(void **state)
{
	struct counter c;
	struct fault f;
	int64_t seq;
	(void)state;
	assert_true(counter_open(folder, &order, 2, &c, &f).ok);
	assert_true(counter_take(&c, &seq, &f).ok);
	assert_int_equal(seq, 3);
}

static void test_a_counter_behind_the_outbox_is_refused(void **state)
{
	struct counter c;
	struct fault f;
	int64_t seq;
	(void)state;
	assert_true(counter_open(folder, &order, 0, &c, &f).ok);
	assert_true(counter_take(&c, &seq, &f).ok);
	assert_false(counter_open(folder, &order, 2, &c, &f).ok);
	assert_int_equal(f.reason, REASON_CONFLICT);
}

static void test_another_order_for_what_was_begun_is_refused(void **state)
{
	struct work_order greater = order;
	struct counter c;
	struct fault f;
	int64_t seq;
	(void)state;
	greater.quota = 400;
	greater.object.sha256[0] ^= 1;
	assert_true(counter_open(folder, &greater, 0, &c, &f).ok); /* nothing has begun */
	assert_true(counter_open(folder, &order, 0, &c, &f).ok);
	assert_true(counter_take(&c, &seq, &f).ok);
	assert_false(counter_open(folder, &greater, 1, &c, &f).ok);
	assert_int_equal(f.reason, REASON_CONFLICT);
	assert_non_null(strstr(f.text, "under another order (abcd0000, for 4)"));
	assert_true(counter_open(folder, &order, 1, &c, &f).ok);
}

static void test_what_is_not_a_counter_of_this_order_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"mooring-counter/1 2026-47 3 1 00000000\n",
		"mooring-counter/1 2026-47 3 " ORDER " 4 1 00000000\n",
		"mooring-counter/2 2026-47 3 " ORDER " 4 1 00000000\n",
		"mooring-counter/1 2026-47 3 " ORDER " 4 99999999999 00000000\n",
		"mooring-counter/1 2026-47 3 abcd 4 1 00000000\n",
		"mooring-counter/1 12345678901234567 3 " ORDER " 4 1 00000000\n",
	};
	struct counter c;
	struct fault f;
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		write_counter(wrong[i]);
		assert_false(counter_open(folder, &order, 0, &c, &f).ok);
		assert_int_equal(f.reason, REASON_BAD_FIELD);
	}
}

static void test_a_changed_digit_is_found_out(void **state)
{
	struct counter c;
	struct fault f;
	struct buf text;
	int64_t seq;
	(void)state;
	assert_true(counter_open(folder, &order, 0, &c, &f).ok);
	assert_true(counter_take(&c, &seq, &f).ok);
	assert_true(counter_take(&c, &seq, &f).ok);
	assert_true(file_read(c.path, COUNTER_FILE_MAX, &text, &f).ok);
	for (size_t i = 0; i < text.n; i++) {
		text.p[i] ^= 1;
		assert_true(file_replace(c.path, buf_view(&text), 0644, &f).ok);
		assert_false(counter_open(folder, &order, 0, &c, &f).ok);
		text.p[i] ^= 1;
	}
	buf_free(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_numbers_rise_through_restarts_and_end_at_the_quota),
		TEST(test_a_counter_that_was_lost_goes_on_after_the_outbox),
		TEST(test_a_counter_behind_the_outbox_is_refused),
		TEST(test_another_order_for_what_was_begun_is_refused),
		TEST(test_what_is_not_a_counter_of_this_order_is_refused),
		TEST(test_a_changed_digit_is_found_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
