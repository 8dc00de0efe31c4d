/* What time a device believes it is, with and without a clock of its own. */
#include "device/device_clock.h"

#include "common/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t LATER = MOORING_RELEASED + 1000000;

static void about(const struct device_clock *c, int64_t expected_s)
{
	assert_true(llabs(device_clock_ms(c) - expected_s * 1000) < 2000);
}

static void test_starts_at_the_latest_of_system_stored_and_release(void **state)
{
	(void)state;
	struct device_clock c;
	device_clock_start(&c, 0, 0);
	about(&c, MOORING_RELEASED);
	device_clock_start(&c, 0, LATER);
	about(&c, LATER);
	device_clock_start(&c, LATER * 1000, MOORING_RELEASED + 5);
	about(&c, LATER);
	device_clock_start(&c, LATER * 1000, 5);
	about(&c, LATER);
}

static void test_adopts_an_authenticated_date_forwards_and_backwards(void **state)
{
	(void)state;
	struct device_clock c;
	device_clock_start(&c, 0, 0);
	assert_true(device_clock_adopt(&c, LATER));
	about(&c, LATER);
	device_clock_start(&c, (LATER + 86400) * 1000, 0);
	assert_true(device_clock_adopt(&c, LATER));
	about(&c, LATER);
}

static void test_leaves_a_clock_alone_that_agrees(void **state)
{
	(void)state;
	struct device_clock c;
	device_clock_start(&c, LATER * 1000, 0);
	assert_false(device_clock_adopt(&c, LATER + DEVICE_CLOCK_TOLERANCE_S - 2));
	about(&c, LATER);
	assert_true(device_clock_adopt(&c, LATER + DEVICE_CLOCK_TOLERANCE_S + 2));
}

static void test_never_goes_before_what_it_knows_for_certain(void **state)
{
	(void)state;
	struct device_clock c;
	device_clock_start(&c, 0, LATER);
	assert_false(device_clock_adopt(&c, LATER - 86400));
	about(&c, LATER);
	device_clock_start(&c, LATER * 1000, 0);
	assert_false(device_clock_adopt(&c, MOORING_RELEASED - 1));
	about(&c, LATER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_at_the_latest_of_system_stored_and_release),
		cmocka_unit_test(test_adopts_an_authenticated_date_forwards_and_backwards),
		cmocka_unit_test(test_leaves_a_clock_alone_that_agrees),
		cmocka_unit_test(test_never_goes_before_what_it_knows_for_certain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
