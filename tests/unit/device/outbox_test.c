/* Readings wait in order until they are acknowledged, over any number of connections. */
#include "device/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct outbox *fresh(uint64_t first, uint64_t count)
{
	struct outbox *o = calloc(1, sizeof *o);
	assert_non_null(o);
	for (uint64_t n = first; n < first + count; n++)
		outbox_add(o, n);
	return o;
}

static void send_all(struct outbox *o, int mid)
{
	struct outbox_entry *e;
	while ((e = outbox_unsent(o)))
		outbox_sent(o, e, mid++);
}

static void test_readings_are_sent_oldest_first_and_once_a_connection(void **state)
{
	(void)state;
	struct outbox *o = fresh(1, 3);
	for (uint64_t n = 1; n <= 3; n++) {
		struct outbox_entry *e = outbox_unsent(o);
		assert_int_equal(e->n, n);
		outbox_sent(o, e, (int)n + 10);
	}
	assert_null(outbox_unsent(o));
	assert_int_equal(o->in_flight, 3);
	free(o);
}

static void test_what_was_not_acknowledged_is_sent_again_in_order_on_a_new_connection(void **state)
{
	(void)state;
	struct outbox *o = fresh(1, 5);
	uint64_t n;
	send_all(o, 1);
	assert_true(outbox_acknowledge(o, 3, &n));
	assert_int_equal(n, 3);
	assert_true(outbox_acknowledge(o, 1, &n));
	assert_int_equal(o->count, 3);
	outbox_connection_began(o);
	static const uint64_t left[] = {2, 4, 5};
	for (int i = 0; i < 3; i++) {
		struct outbox_entry *e = outbox_unsent(o);
		assert_int_equal(e->n, left[i]);
		outbox_sent(o, e, 100 + i);
	}
	assert_false(outbox_acknowledge(o, 4, &n)); /* a message id of the connection before */
	assert_true(outbox_acknowledge(o, 101, &n));
	assert_int_equal(n, 4);
	free(o);
}

static void test_unknown_and_repeated_acknowledgements_count_for_nothing(void **state)
{
	(void)state;
	struct outbox *o = fresh(1, 2);
	uint64_t n;
	assert_false(outbox_acknowledge(o, 0, &n));
	send_all(o, 1);
	assert_true(outbox_acknowledge(o, 2, &n));
	assert_false(outbox_acknowledge(o, 2, &n));
	assert_int_equal(o->count, 1);
	assert_int_equal(o->in_flight, 1);
	free(o);
}

static void test_ring_wraps_without_losing_a_reading(void **state)
{
	(void)state;
	struct outbox *o = fresh(1, OUTBOX_MAX);
	uint64_t n, next = OUTBOX_MAX + 1;
	assert_true(outbox_full(o));
	send_all(o, 1);
	for (int mid = 1; mid <= 3 * OUTBOX_MAX; mid++) {
		assert_true(outbox_acknowledge(o, mid, &n));
		assert_int_equal(n, mid);
		outbox_sent(o, outbox_add(o, next), (int)next);
		next++;
	}
	assert_true(outbox_full(o));
	free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readings_are_sent_oldest_first_and_once_a_connection),
		cmocka_unit_test(test_what_was_not_acknowledged_is_sent_again_in_order_on_a_new_connection),
		cmocka_unit_test(test_unknown_and_repeated_acknowledgements_count_for_nothing),
		cmocka_unit_test(test_ring_wraps_without_losing_a_reading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
