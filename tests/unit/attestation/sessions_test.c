#include "attestation/sessions.h"

#include "common/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sessions *new_sessions(int64_t ttl_s, size_t max)
{
	struct sessions *s;
	struct fault f;
	assert_true(sessions_new(ttl_s, max, &s, &f).ok);
	return s;
}

static struct session begin(struct sessions *s, const uint8_t *nonce)
{
	struct session out;
	struct fault f = {0};
	if (!sessions_begin(s, nonce, &out, &f).ok)
		fail_msg("%s", f.text);
	return out;
}

static bool is_there(struct sessions *s, const char *id)
{
	struct session out;
	struct fault f = {0};
	bool found = sessions_find(s, id, &out, &f).ok;
	session_clear(&out);
	assert_true(found || f.reason == REASON_NOT_FOUND);
	return found;
}

static void complete(struct sessions *s, const char *id, const char *evidence, const char *result)
{
	struct fault f = {0};
	if (!sessions_complete(s, id, EVIDENCE_PSA_TOKEN, bytes_str(evidence), result, &f).ok)
		fail_msg("%s", f.text);
}

static void test_a_session_keeps_its_nonce_or_makes_one(void **state)
{
	struct sessions *s = new_sessions(150, 8);
	uint8_t nonce[BINDING_SIZE];
	struct session found;
	struct fault f;
	(void)state;
	memset(nonce, 7, sizeof nonce);
	struct session given = begin(s, nonce), made = begin(s, NULL), more = begin(s, NULL);
	assert_memory_equal(given.nonce, nonce, BINDING_SIZE);
	assert_memory_not_equal(made.nonce, more.nonce, BINDING_SIZE);
	assert_string_not_equal(made.id, more.id);
	assert_int_equal(strlen(made.id), 36);
	assert_int_equal(made.id[14], '4'); /* UUID version */
	assert_in_range(given.expires - clock_wall_s(), 149, 150);
	assert_true(sessions_find(s, given.id, &found, &f).ok);
	assert_memory_equal(found.nonce, nonce, BINDING_SIZE);
	assert_false(found.complete);
	session_clear(&found);
	assert_int_equal(sessions_count(s), 3);
	sessions_free(s);
}

static void test_a_session_is_completed_once(void **state)
{
	struct sessions *s = new_sessions(150, 8);
	struct session a = begin(s, NULL), found;
	struct fault f;
	(void)state;
	complete(s, a.id, "evidence", "result");
	complete(s, a.id, "other", "another");
	assert_true(sessions_find(s, a.id, &found, &f).ok);
	assert_true(found.complete);
	assert_int_equal(found.type, EVIDENCE_PSA_TOKEN);
	assert_true(bytes_equal(buf_view(&found.evidence), bytes_str("evidence")));
	assert_string_equal(found.result, "result");
	assert_memory_equal(found.nonce, a.nonce, BINDING_SIZE);
	session_clear(&found);
	sessions_free(s);
}

static void test_a_session_that_was_ended_is_gone(void **state)
{
	struct sessions *s = new_sessions(150, 8);
	struct session a = begin(s, NULL), b = begin(s, NULL);
	struct fault f;
	(void)state;
	complete(s, b.id, "e", "r");
	assert_true(sessions_end(s, a.id, &f).ok);
	assert_true(sessions_end(s, b.id, &f).ok);
	assert_false(sessions_end(s, a.id, &f).ok);
	assert_int_equal(f.reason, REASON_NOT_FOUND);
	assert_false(is_there(s, b.id));
	assert_false(sessions_complete(s, a.id, EVIDENCE_PSA_TOKEN, bytes_str("e"), "r", &f).ok);
	assert_int_equal(f.reason, REASON_NOT_FOUND);
	assert_int_equal(sessions_count(s), 0);
	sessions_free(s);
}

static void test_sessions_end_by_themselves_waiting_or_complete(void **state)
{
	struct sessions *s = new_sessions(1, 8);
	struct session a = begin(s, NULL), b = begin(s, NULL);
	(void)state;
	complete(s, a.id, "e", "r");
	assert_true(is_there(s, a.id) && is_there(s, b.id));
	int64_t began = clock_monotonic_ms();
	while (sessions_count(s) && clock_monotonic_ms() - began < 5000)
		;
	assert_in_range(clock_monotonic_ms() - began, 800, 1200);
	assert_false(is_there(s, a.id) || is_there(s, b.id));
	sessions_free(s);
}

static void test_complete_sessions_give_way_and_waiting_ones_do_not(void **state)
{
	struct sessions *s = new_sessions(150, 4);
	struct session a[4], more;
	struct fault f = {0};
	(void)state;
	for (int i = 0; i < 4; i++)
		a[i] = begin(s, NULL);
	assert_false(sessions_begin(s, NULL, &more, &f).ok);
	assert_int_equal(f.reason, REASON_OVERLOADED);
	complete(s, a[2].id, "e", "r");
	complete(s, a[0].id, "e", "r");
	more = begin(s, NULL);
	assert_false(is_there(s, a[2].id)); /* completed first */
	assert_true(is_there(s, a[0].id) && is_there(s, a[1].id) && is_there(s, a[3].id) &&
		    is_there(s, more.id));
	assert_int_equal(sessions_count(s), 4);
	sessions_free(s);
}

enum { THREADS = 4, TURNS = 2000 };

static void *use(void *arg)
{
	struct sessions *s = arg;
	struct session a, found;
	struct fault f;
	size_t wrong = 0;
	for (int i = 0; i < TURNS; i++) {
		if (!sessions_begin(s, NULL, &a, &f).ok ||
		    !sessions_complete(s, a.id, EVIDENCE_COSE_CSR, bytes_str(a.id), a.id, &f).ok)
			wrong++;
		if (!sessions_find(s, a.id, &found, &f).ok || strcmp(found.result, a.id))
			wrong++;
		session_clear(&found);
		if (i % 2 && !sessions_end(s, a.id, &f).ok)
			wrong++;
	}
	return (void *)wrong;
}

static void test_threads_share_the_sessions(void **state)
{
	struct sessions *s = new_sessions(150, (size_t)THREADS * TURNS);
	pthread_t threads[THREADS];
	void *wrong;
	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, s), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(sessions_count(s), THREADS * TURNS / 2);
	sessions_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session_keeps_its_nonce_or_makes_one),
		cmocka_unit_test(test_a_session_is_completed_once),
		cmocka_unit_test(test_a_session_that_was_ended_is_gone),
		cmocka_unit_test(test_sessions_end_by_themselves_waiting_or_complete),
		cmocka_unit_test(test_complete_sessions_give_way_and_waiting_ones_do_not),
		cmocka_unit_test(test_threads_share_the_sessions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
