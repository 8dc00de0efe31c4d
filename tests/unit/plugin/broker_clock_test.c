#include "plugin/broker_clock.h"

#include "broker_stub.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MINUTE = 60000, HOUR = 60 * MINUTE };
static const int64_t T0 = 1800000000000; /* a wall time, ms; the monotonic clock is at 0 then */

static struct broker_clock c;

static void test_small_steps_are_followed(void **state)
{
	(void)state;
	broker_clock_start(&c, T0, 0, 0);
	assert_false(broker_clock_turn(&c, T0 + 9 * MINUTE, 1000));
	assert_int_equal(broker_clock_now_s(&c, 1000), (T0 + 9 * MINUTE) / 1000);
	assert_false(c.suspect);
}

static void test_a_jump_is_suspect_and_not_followed(void **state)
{
	(void)state;
	for (int sign = -1; sign <= 1; sign += 2) {
		broker_clock_start(&c, T0, 0, 0);
		assert_true(broker_clock_turn(&c, T0 + sign * HOUR, 1000));
		assert_true(c.suspect);
		assert_int_equal(broker_clock_now_s(&c, 1000), T0 / 1000 + 1);
		assert_false(broker_clock_turn(&c, T0 + sign * HOUR, 2000));
	}
}

static void test_the_gateway_decides_which_clock_is_right(void **state)
{
	(void)state;
	broker_clock_start(&c, T0, 0, 0);
	broker_clock_turn(&c, T0 + HOUR, 1000);
	assert_true(broker_clock_heartbeat(&c, T0 + HOUR, 1000)); /* the jump was a correction */
	assert_false(c.suspect);
	assert_int_equal(broker_clock_now_s(&c, 1000), (T0 + HOUR) / 1000);

	broker_clock_start(&c, T0, 0, 0);
	broker_clock_turn(&c, T0 + HOUR, 1000);
	assert_true(broker_clock_heartbeat(&c, T0 + 1000, 1000)); /* the jump was a mistake */
	assert_false(c.suspect);
	assert_int_equal(broker_clock_now_s(&c, 1000), T0 / 1000 + 1);
	assert_false(broker_clock_turn(&c, T0 + HOUR, 2000)); /* known by now */
	assert_false(c.suspect);
	assert_false(broker_clock_turn(&c, T0 + 3000, 3000)); /* and mended */
	assert_true(broker_clock_turn(&c, T0 + HOUR, 4000));  /* the next one is a new one */
}

static void test_a_gateway_that_agrees_with_neither_makes_it_suspect(void **state)
{
	(void)state;
	broker_clock_start(&c, T0, 0, 0);
	assert_true(broker_clock_heartbeat(&c, T0 + 2 * HOUR, 1000));
	assert_true(c.suspect);
	assert_false(broker_clock_turn(&c, T0 + 2000, 2000));
	assert_true(c.suspect); /* a clock is not right because it stands still */
	assert_true(broker_clock_heartbeat(&c, T0 + 3000, 3000));
	assert_false(c.suspect);
}

static void test_a_start_before_the_saved_table_is_suspect(void **state)
{
	(void)state;
	broker_clock_start(&c, T0, 0, T0 + HOUR);
	assert_true(c.suspect);
	broker_clock_start(&c, T0, 0, T0 + MINUTE);
	assert_false(c.suspect);
	broker_clock_start(&c, T0, 0, 0);
	assert_false(c.suspect);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_steps_are_followed),
		cmocka_unit_test(test_a_jump_is_suspect_and_not_followed),
		cmocka_unit_test(test_the_gateway_decides_which_clock_is_right),
		cmocka_unit_test(test_a_gateway_that_agrees_with_neither_makes_it_suspect),
		cmocka_unit_test(test_a_start_before_the_saved_table_is_suspect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
