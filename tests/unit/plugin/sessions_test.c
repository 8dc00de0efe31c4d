#include "plugin/sessions.h"

#include "broker_stub.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct fault f;
static struct retire retire;
static struct mosquitto clients[4096];

static struct table *make_table(unsigned from, unsigned to, enum feed_state state)
{
	struct table *t = table_new(&retire);
	for (unsigned n = from; n < to; n++) {
		uint8_t fp[SHA256_SIZE] = {(uint8_t)n, (uint8_t)(n >> 8), 7};
		struct feed_record r = {.type = FEED_CERTIFICATE,
					.fingerprint = {fp, sizeof fp},
					.state = state,
					.not_after = 1000,
					.name = bytes_str("thing"),
					.policy = bytes_str("p")};
		assert_true(table_put(t, &r, &f, &f).ok);
	}
	return t;
}

static const struct table_entry *entry(const struct table *t, unsigned n)
{
	uint8_t fp[SHA256_SIZE] = {(uint8_t)n, (uint8_t)(n >> 8), 7};
	return table_find(t, fp);
}

static unsigned random_of(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 8) % below;
}

/* Against a plain array, over many steps: pointers come, go and are used again. */
static void test_the_map_and_the_heap_agree_with_a_plain_array(void **state)
{
	(void)state;
	struct table *t = make_table(0, 4096, FEED_ACTIVE);
	struct sessions *s = sessions_new();
	int64_t model[4096] = {0}; /* 0: not there, else not_after */
	size_t live = 0;
	unsigned seed = 42;
	for (int step = 0; step < 100000; step++) {
		unsigned n = random_of(&seed, 4096);
		if (random_of(&seed, 3)) {
			int64_t ends = 1 + random_of(&seed, 100000);
			live += !model[n];
			model[n] = ends;
			assert_non_null(sessions_add(s, &clients[n], t, entry(t, n), "id", ends));
		} else {
			live -= model[n] != 0;
			model[n] = 0;
			sessions_depart(s, &clients[n]);
		}
		if (step % 50 == 0)
			sessions_forget_departed(s);
		assert_int_equal(sessions_count(s), live);
	}
	sessions_forget_departed(s);
	for (unsigned n = 0; n < 4096; n++) {
		const struct session *found = sessions_find(s, &clients[n]);
		assert_true(found ? found->not_after == model[n] && model[n] : !model[n]);
	}
	int64_t last = 0;
	for (const struct session *next; (next = sessions_expired(s, INT64_MAX)); live--) {
		assert_true(next->not_after >= last);
		last = next->not_after;
		sessions_depart(s, next->client);
	}
	assert_int_equal(live, 0);
	sessions_free(s);
	table_free(t);
	retire_all(&retire);
}

static size_t count_from(const struct sessions *s, int64_t after_us)
{
	size_t n = 0;
	for (const struct session *next; (next = sessions_next(s, after_us)); n++) {
		assert_true(next->since_us > after_us && !next->departed);
		after_us = next->since_us;
	}
	return n;
}

/* Over many steps, as above: whatever came and went, each that is live is met once, in the order of its coming. */
static void test_sessions_are_listed_in_the_order_in_which_they_came(void **state)
{
	(void)state;
	struct table *t = make_table(0, 4096, FEED_ACTIVE);
	struct sessions *s = sessions_new();
	unsigned seed = 7;
	for (int step = 0; step < 60000; step++) {
		unsigned n = random_of(&seed, 4096);
		if (random_of(&seed, 20) <
		    8 + (unsigned)step / 15000 % 2 * 7) /* fewer, then more, and again */
			assert_non_null(sessions_add(s, &clients[n], t, entry(t, n), "id", 1000));
		else
			sessions_depart(s, &clients[n]);
		if (step % 50 == 0)
			sessions_forget_departed(s);
		if (step % 1000 == 0)
			assert_int_equal(count_from(s, 0), sessions_count(s));
	}
	const struct session *first = sessions_next(s, 0);
	assert_int_equal(count_from(s, first->since_us), sessions_count(s) - 1);
	assert_null(sessions_next(s, INT64_MAX));
	sessions_free(s);
	table_free(t);
	retire_all(&retire);
}

static void test_a_session_ends_after_its_last_second(void **state)
{
	(void)state;
	struct table *t = make_table(0, 1, FEED_ACTIVE);
	struct sessions *s = sessions_new();
	sessions_add(s, &clients[0], t, entry(t, 0), "id", 500);
	assert_null(sessions_expired(s, 500));
	assert_non_null(sessions_expired(s, 501));
	sessions_free(s);
	table_free(t);
	retire_all(&retire);
}

static void test_a_departed_session_is_known_until_it_is_forgotten_or_replaced(void **state)
{
	(void)state;
	struct table *t = make_table(0, 2, FEED_ACTIVE);
	struct sessions *s = sessions_new();
	sessions_add(s, &clients[0], t, entry(t, 0), "id", 500);
	sessions_depart(s, &clients[0]);
	sessions_depart(s, &clients[0]);
	sessions_depart(s, &clients[1]);
	assert_true(sessions_find(s, &clients[0])->departed);
	assert_null(sessions_expired(s, INT64_MAX));
	assert_int_equal(sessions_count(s), 0);
	sessions_add(s, &clients[0], t, entry(t, 1), "id-2", 500);
	assert_false(sessions_find(s, &clients[0])->departed);
	assert_string_equal(sessions_find(s, &clients[0])->client_id, "id-2");
	sessions_forget_departed(s);
	assert_int_equal(sessions_count(s), 1);
	sessions_free(s);
	table_free(t);
	retire_all(&retire);
}

static void test_another_table_decides_who_is_unwanted(void **state)
{
	(void)state;
	struct table *first = make_table(0, 10, FEED_ACTIVE), *second = make_table(0, 7, FEED_ACTIVE);
	struct sessions *s = sessions_new();
	const struct session *found[8];
	for (unsigned n = 0; n < 10; n++)
		sessions_add(s, &clients[n], first, entry(first, n), "id", 500);
	assert_int_equal(sessions_unwanted(s, found, 8), 0);
	sessions_rebind(s, second);
	assert_int_equal(sessions_unwanted(s, found, 8), 3);
	assert_int_equal(session_fault(found[0]), REASON_CERTIFICATE_UNREGISTERED);
	uint8_t fp[SHA256_SIZE] = {0, 0, 7};
	struct feed_record revoked = {.type = FEED_CERTIFICATE,
				      .fingerprint = {fp, sizeof fp},
				      .state = FEED_REVOKED,
				      .name = bytes_str("thing"),
				      .policy = bytes_str("p")};
	assert_true(table_put(second, &revoked, &f, &f).ok);
	assert_int_equal(sessions_unwanted(s, found, 8), 4);
	assert_int_equal(sessions_unwanted(s, found, 2), 2);
	sessions_rebind(s, NULL);
	assert_int_equal(sessions_unwanted(s, found, 8), 8);
	sessions_free(s);
	table_free(first);
	table_free(second);
	retire_all(&retire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_map_and_the_heap_agree_with_a_plain_array),
		cmocka_unit_test(test_sessions_are_listed_in_the_order_in_which_they_came),
		cmocka_unit_test(test_a_session_ends_after_its_last_second),
		cmocka_unit_test(test_a_departed_session_is_known_until_it_is_forgotten_or_replaced),
		cmocka_unit_test(test_another_table_decides_who_is_unwanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
