/* When a certificate is renewed; and that the thermometer it is for measures something plausible. */
#include "device/renew.h"
#include "device/thermometer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_renewal_is_due_at_two_thirds_of_the_life_give_or_take_a_tenth(void **state)
{
	(void)state;
	const int64_t from = 1800000000, life = 90000;
	assert_int_equal(renewal_due(from, from + life, 0), from + life * 600 / 1000);
	assert_int_equal(renewal_due(from, from + life, UINT32_MAX), from + life * 733 / 1000);
	int64_t middle = renewal_due(from, from + life, UINT32_MAX / 2);
	assert_true(llabs(middle - (from + life * 2 / 3)) <= life / 1000);
}

static void test_certificate_that_has_expired_is_due_at_once(void **state)
{
	(void)state;
	assert_int_equal(renewal_due(2000, 1000, UINT32_MAX), 2000);
	assert_int_equal(renewal_due(2000, 2000, 5), 2000);
}

static void test_temperature_walks_in_small_steps_within_a_room(void **state)
{
	(void)state;
	static const uint32_t extremes[] = {0, UINT32_MAX};
	for (size_t i = 0; i < 2; i++) {
		struct thermometer t;
		thermometer_start(&t);
		int last = thermometer_read(&t, UINT32_MAX / 2);
		for (int n = 0; n < 10000; n++) {
			int now = thermometer_read(&t, extremes[i]);
			assert_true(now >= 1500 && now <= 3000 && abs(now - last) < 26);
			last = now;
		}
		assert_int_not_equal(last, 2150);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renewal_is_due_at_two_thirds_of_the_life_give_or_take_a_tenth),
		cmocka_unit_test(test_certificate_that_has_expired_is_due_at_once),
		cmocka_unit_test(test_temperature_walks_in_small_steps_within_a_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
