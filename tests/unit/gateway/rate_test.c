#include "gateway/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PER_MINUTE = 10, INTERVAL_US = 6000000 };
static const int64_t now_us = 1000000000;

static void name_device(uint32_t number, uint8_t id[INSTANCE_ID_SIZE])
{
	memset(id, 0, INSTANCE_ID_SIZE);
	id[0] = 1;
	memcpy(id + 1, &number, sizeof number);
}

static struct rate *make(size_t capacity)
{
	struct rate *r = NULL;
	assert_true(rate_new(PER_MINUTE, capacity, &r, NULL).ok);
	return r;
}

static void use_up(struct rate *r, const uint8_t *id)
{
	for (int i = 0; i < PER_MINUTE; i++)
		assert_true(rate_charge(r, now_us, id, NULL).ok);
}

static void test_a_device_has_its_minute_at_once_and_then_waits(void **state)
{
	(void)state;
	struct rate *r = make(1024);
	struct fault f;
	uint8_t id[INSTANCE_ID_SIZE];
	name_device(1, id);
	use_up(r, id);
	assert_false(rate_charge(r, now_us, id, &f).ok);
	assert_int_equal(f.reason, REASON_RATE_LIMITED);
	assert_int_equal(f.retry_after_s, INTERVAL_US / 1000000);
	assert_false(rate_check(r, now_us + 3500000, id, &f).ok);
	assert_int_equal(f.retry_after_s, 3);
	assert_false(rate_check(r, now_us + INTERVAL_US - 1, id, &f).ok);
	assert_int_equal(f.retry_after_s, 1);
	assert_true(rate_charge(r, now_us + INTERVAL_US, id, &f).ok);
	assert_false(rate_charge(r, now_us + INTERVAL_US, id, &f).ok);
	rate_free(r);
}

static void test_a_minute_later_all_is_there_again(void **state)
{
	(void)state;
	struct rate *r = make(1024);
	uint8_t id[INSTANCE_ID_SIZE];
	name_device(1, id);
	use_up(r, id);
	for (int i = 0; i < PER_MINUTE; i++)
		assert_true(rate_charge(r, now_us + 60000000, id, NULL).ok);
	assert_false(rate_charge(r, now_us + 60000000, id, NULL).ok);
	rate_free(r);
}

static void test_asking_costs_nothing(void **state)
{
	(void)state;
	struct rate *r = make(1024);
	uint8_t id[INSTANCE_ID_SIZE];
	name_device(1, id);
	for (int i = 0; i < 10 * PER_MINUTE; i++)
		assert_true(rate_check(r, now_us, id, NULL).ok);
	use_up(r, id);
	rate_free(r);
}

static void test_one_noisy_device_limits_no_other(void **state)
{
	(void)state;
	struct rate *r = make(1024);
	uint8_t noisy[INSTANCE_ID_SIZE], quiet[INSTANCE_ID_SIZE];
	name_device(1, noisy);
	name_device(2, quiet);
	use_up(r, noisy);
	assert_false(rate_charge(r, now_us, noisy, NULL).ok);
	assert_true(rate_charge(r, now_us, quiet, NULL).ok);
	rate_free(r);
}

/* 16 places: of more devices the longest idle are forgotten, which never refuses anybody wrongly. */
static void test_more_devices_than_room_are_served(void **state)
{
	(void)state;
	struct rate *r = make(16);
	uint8_t id[INSTANCE_ID_SIZE];
	for (uint32_t i = 0; i < 10000; i++) {
		name_device(i, id);
		assert_true(rate_charge(r, now_us + i, id, NULL).ok);
	}
	rate_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_device_has_its_minute_at_once_and_then_waits),
		cmocka_unit_test(test_a_minute_later_all_is_there_again),
		cmocka_unit_test(test_asking_costs_nothing),
		cmocka_unit_test(test_one_noisy_device_limits_no_other),
		cmocka_unit_test(test_more_devices_than_room_are_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
