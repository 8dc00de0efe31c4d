#include "gateway/challenge.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TTL_S = 300, NOW_MS = 5000000 };

static struct challenge *make(size_t capacity)
{
	struct challenge *c = NULL;
	assert_true(challenge_new(TTL_S, capacity, &c, NULL).ok);
	return c;
}

static void assert_refused(outcome r, const struct fault *f, enum reason reason)
{
	assert_false(r.ok);
	assert_string_equal(reason_code(f->reason), reason_code(reason));
}

static void test_challenge_is_accepted_once(void **state)
{
	(void)state;
	struct challenge *c = make(1024);
	struct fault f;
	uint8_t n[NONCE_SIZE];
	challenge_issue(c, NOW_MS, n);
	assert_true(challenge_check(c, NOW_MS, n, &f).ok);
	assert_true(challenge_check(c, NOW_MS + 1000, n, &f).ok);
	assert_true(challenge_spend(c, NOW_MS + 1000, n, &f).ok);
	assert_refused(challenge_spend(c, NOW_MS + 1000, n, &f), &f, REASON_NONCE_SPENT);
	assert_refused(challenge_check(c, NOW_MS + TTL_S * 1000, n, &f), &f, REASON_NONCE_SPENT);
	challenge_free(c);
}

static void test_challenge_lives_exactly_its_time(void **state)
{
	(void)state;
	struct challenge *c = make(1024);
	struct fault f;
	uint8_t n[NONCE_SIZE];
	challenge_issue(c, NOW_MS, n);
	assert_true(challenge_check(c, NOW_MS + TTL_S * 1000, n, &f).ok);
	assert_refused(challenge_check(c, NOW_MS + TTL_S * 1000 + 1, n, &f), &f, REASON_NONCE_EXPIRED);
	assert_refused(challenge_spend(c, NOW_MS + TTL_S * 1000 + 1, n, &f), &f, REASON_NONCE_EXPIRED);
	assert_refused(challenge_check(c, NOW_MS - 1, n, &f), &f, REASON_NONCE_EXPIRED);
	challenge_free(c);
}

static void test_any_changed_bit_is_a_forgery(void **state)
{
	(void)state;
	struct challenge *c = make(1024);
	struct fault f;
	uint8_t n[NONCE_SIZE];
	challenge_issue(c, NOW_MS, n);
	for (size_t bit = 0; bit < 8 * sizeof n; bit++) {
		n[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_refused(challenge_check(c, NOW_MS, n, &f), &f, REASON_NONCE_FORGED);
		n[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(challenge_spend(c, NOW_MS, n, &f).ok);
	challenge_free(c);
}

static void test_challenge_of_an_earlier_process_is_a_forgery(void **state)
{
	(void)state;
	struct challenge *before = make(64), *after = make(64);
	struct fault f;
	uint8_t n[NONCE_SIZE];
	challenge_issue(before, NOW_MS, n);
	assert_refused(challenge_spend(after, NOW_MS, n, &f), &f, REASON_NONCE_FORGED);
	challenge_free(before);
	challenge_free(after);
}

static void test_two_challenges_are_never_the_same(void **state)
{
	(void)state;
	struct challenge *c = make(64);
	uint8_t a[NONCE_SIZE], b[NONCE_SIZE];
	challenge_issue(c, NOW_MS, a);
	challenge_issue(c, NOW_MS, b);
	assert_memory_not_equal(a, b, sizeof a);
	challenge_free(c);
}

/* One bucket of 64: the 65th is refused, until those before it have expired. */
static void test_full_memory_refuses_and_recovers(void **state)
{
	(void)state;
	struct challenge *c = make(64);
	struct fault f;
	uint8_t n[NONCE_SIZE], one_more[NONCE_SIZE];
	for (int i = 0; i < 64; i++) {
		challenge_issue(c, NOW_MS, n);
		assert_true(challenge_spend(c, NOW_MS, n, &f).ok);
	}
	challenge_issue(c, NOW_MS, one_more);
	assert_refused(challenge_spend(c, NOW_MS, one_more, &f), &f, REASON_OVERLOADED);
	assert_refused(challenge_spend(c, NOW_MS, n, &f), &f, REASON_NONCE_SPENT);
	int64_t later = NOW_MS + TTL_S * 1000 + 2000;
	challenge_issue(c, later, n);
	assert_true(challenge_spend(c, later, n, &f).ok);
	challenge_free(c);
}

enum { THREADS = 4, ROUNDS = 500 };

struct race {
	struct challenge *c;
	uint8_t (*nonces)[NONCE_SIZE];
	pthread_barrier_t *start;
	int won;
};

static void *run_race(void *arg)
{
	struct race *r = arg;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(r->start);
		r->won += challenge_spend(r->c, NOW_MS, r->nonces[i], NULL).ok;
	}
	return NULL;
}

static void test_of_concurrent_spenders_exactly_one_wins(void **state)
{
	(void)state;
	struct challenge *c = make(65536);
	uint8_t nonces[ROUNDS][NONCE_SIZE];
	pthread_barrier_t start;
	pthread_t threads[THREADS];
	struct race races[THREADS];
	int won = 0;
	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < ROUNDS; i++)
		challenge_issue(c, NOW_MS, nonces[i]);
	for (int i = 0; i < THREADS; i++) {
		races[i] = (struct race){c, nonces, &start, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, run_race, &races[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		won += races[i].won;
	}
	assert_int_equal(won, ROUNDS);
	pthread_barrier_destroy(&start);
	challenge_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenge_is_accepted_once),
		cmocka_unit_test(test_challenge_lives_exactly_its_time),
		cmocka_unit_test(test_any_changed_bit_is_a_forgery),
		cmocka_unit_test(test_challenge_of_an_earlier_process_is_a_forgery),
		cmocka_unit_test(test_two_challenges_are_never_the_same),
		cmocka_unit_test(test_full_memory_refuses_and_recovers),
		cmocka_unit_test(test_of_concurrent_spenders_exactly_one_wins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
