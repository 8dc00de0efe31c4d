#include "gateway/enrol/stages.h"

#include "common/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a request on a real loop, through stages of our own ---- */

static struct gateway gateway;
static struct worker worker = {.gateway = &gateway};
static struct enrol *parked; /* by the stage that waits */
static char story[128];	     /* what ran, in order */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t there;
	unsigned count;
	bool ok;
	struct fault fault;
} answer = {.lock = PTHREAD_MUTEX_INITIALIZER, .there = PTHREAD_COND_INITIALIZER};

static void tell(const char *what)
{
	strncat(story, what, sizeof story - strlen(story) - 1);
}

static void on_answer(struct enrol *e, const struct fault *f, void *arg)
{
	(void)e, (void)arg;
	pthread_mutex_lock(&answer.lock);
	answer.count++;
	answer.ok = !f;
	if (f)
		answer.fault = *f;
	pthread_cond_signal(&answer.there);
	pthread_mutex_unlock(&answer.lock);
}

static unsigned answers(void)
{
	pthread_mutex_lock(&answer.lock);
	unsigned n = answer.count;
	pthread_mutex_unlock(&answer.lock);
	return n;
}

static void wait_for_answer(void)
{
	pthread_mutex_lock(&answer.lock);
	while (!answer.count)
		pthread_cond_wait(&answer.there, &answer.lock);
	pthread_mutex_unlock(&answer.lock);
}

/* Runs fn(arg) on the loop and waits for its end. */
struct turn {
	void (*fn)(void *arg);
	void *arg;
	bool over;
};

static void run_turn(void *arg)
{
	struct turn *t = arg;
	t->fn(t->arg);
	pthread_mutex_lock(&answer.lock);
	t->over = true;
	pthread_cond_broadcast(&answer.there);
	pthread_mutex_unlock(&answer.lock);
}

static void on_loop(void (*fn)(void *arg), void *arg)
{
	struct turn t = {fn, arg, false};
	loop_post(worker.loop, run_turn, &t);
	pthread_mutex_lock(&answer.lock);
	while (!t.over)
		pthread_cond_wait(&answer.there, &answer.lock);
	pthread_mutex_unlock(&answer.lock);
}

struct path {
	const struct stage *stages;
	size_t count;
};

static void begin(void *arg)
{
	const struct path *p = arg;
	struct enrol *e = enrol_new(&worker, "01TESTTESTTESTTESTTESTTEST", on_answer, NULL);
	if (!e)
		abort();
	e->stages = p->stages;
	e->stage_count = p->count;
	enrol_run(e);
}

static void walk(const struct stage *stages, size_t count)
{
	struct path p = {stages, count};
	on_loop(begin, &p);
}

static void wake_parked(void *arg)
{
	(void)arg;
	enrol_wake(parked->waker);
}

static void pass_deadline(void *arg)
{
	(void)arg;
	event_active(&parked->deadline, EV_TIMEOUT, 0);
}

/* ---- stages ---- */

static enum step first(struct enrol *e, struct fault *f)
{
	(void)e, (void)f;
	tell("first ");
	return STEP_NEXT;
}

static enum step second(struct enrol *e, struct fault *f)
{
	(void)e, (void)f;
	tell("second ");
	return STEP_NEXT;
}

static enum step refusing(struct enrol *e, struct fault *f)
{
	(void)e;
	tell("refusing ");
	return step_of(refuse(f, REASON_CSR_SIGNATURE, "RFC 2986 4.2: the signature does not verify"));
}

/* Waits once, then goes on. */
static enum step waiting(struct enrol *e, struct fault *f)
{
	(void)f;
	bool woken = parked == e;
	tell(woken ? "woken " : "waits ");
	parked = e;
	return woken ? STEP_NEXT : STEP_WAIT;
}

/* What it waits for is there before it has returned. */
static enum step hasty(struct enrol *e, struct fault *f)
{
	(void)f;
	bool again = parked == e;
	tell(again ? "again " : "hasty ");
	parked = e;
	if (!again)
		enrol_wake(e->waker);
	return again ? STEP_NEXT : STEP_WAIT;
}

static enum step rogue(struct enrol *e, struct fault *f)
{
	(void)e, (void)f;
	return (enum step)0;
}

static enum step refusing_without_reason(struct enrol *e, struct fault *f)
{
	(void)e, (void)f;
	return STEP_FAIL;
}

static enum step always_waiting(struct enrol *e, struct fault *f)
{
	(void)e, (void)f;
	return STEP_WAIT;
}

/* ---- tests ---- */

static int set_up(void **state)
{
	(void)state;
	worker.loop = loop_start("test");
	worker.stopping = false;
	parked = NULL;
	story[0] = '\0';
	answer.count = 0;
	return worker.loop ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	loop_stop(worker.loop);
	return 0;
}

static void test_stages_run_in_order_and_the_answer_comes_once(void **state)
{
	static const struct stage stages[] = {{"first", first, false, false},
					      {"second", second, false, false}};
	(void)state;
	walk(stages, 2);
	assert_string_equal(story, "first second ");
	assert_int_equal(answers(), 1);
	assert_true(answer.ok);
}

static void test_a_refusal_ends_the_path_with_its_reason(void **state)
{
	static const struct stage stages[] = {{"first", first, false, false},
					      {"refusing", refusing, false, false},
					      {"second", second, false, false}};
	(void)state;
	walk(stages, 3);
	assert_string_equal(story, "first refusing ");
	assert_int_equal(answers(), 1);
	assert_string_equal(reason_code(answer.fault.reason), "csr-signature");
}

static void test_a_waiting_stage_is_called_again_when_woken(void **state)
{
	static const struct stage stages[] = {{"waiting", waiting, true, false},
					      {"second", second, false, false}};
	(void)state;
	walk(stages, 2);
	assert_int_equal(answers(), 0);
	on_loop(wake_parked, NULL);
	assert_string_equal(story, "waits woken second ");
	assert_true(answer.ok);
}

static void test_a_wake_from_within_the_stage_is_not_lost(void **state)
{
	static const struct stage stages[] = {{"hasty", hasty, true, false},
					      {"second", second, false, false}};
	(void)state;
	walk(stages, 2);
	assert_string_equal(story, "hasty again second ");
	assert_int_equal(answers(), 1);
}

static void test_past_the_deadline_the_caller_is_answered_and_the_path_ends(void **state)
{
	static const struct stage stages[] = {{"waiting", waiting, true, false},
					      {"second", second, false, false}};
	(void)state;
	walk(stages, 2);
	on_loop(pass_deadline, NULL);
	wait_for_answer();
	assert_string_equal(reason_code(answer.fault.reason), "deadline-passed");
	assert_int_equal(reason_public(answer.fault.reason)->status, 503);
	on_loop(wake_parked, NULL);
	assert_string_equal(story, "waits ");
	assert_int_equal(answers(), 1);
}

static void test_past_the_deadline_a_stage_that_holds_an_intent_goes_on(void **state)
{
	static const struct stage stages[] = {{"waiting", waiting, true, true},
					      {"second", second, false, true}};
	(void)state;
	walk(stages, 2);
	on_loop(pass_deadline, NULL);
	wait_for_answer();
	on_loop(wake_parked, NULL);
	assert_string_equal(story, "waits woken second ");
	assert_int_equal(answers(), 1);
}

static void stop_worker(void *arg)
{
	(void)arg;
	worker.stopping = true;
}

static void test_when_the_gateway_stops_the_caller_is_told_to_try_again(void **state)
{
	static const struct stage stages[] = {{"waiting", waiting, true, true},
					      {"second", second, false, true}};
	(void)state;
	walk(stages, 2);
	on_loop(stop_worker, NULL);
	on_loop(wake_parked, NULL);
	assert_string_equal(story, "waits ");
	assert_int_equal(answers(), 1);
	assert_int_equal(reason_public(answer.fault.reason)->status, 503);
}

/* In a process of its own; true when it ended by abort(). */
static bool aborts(const struct stage *stage)
{
	pid_t child = fork();
	int status;
	if (child == 0) {
		struct path p = {stage, 1};
		worker.loop = loop_start("child");
		on_loop(begin, &p);
		_exit(0);
	}
	return waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_a_stage_that_says_anything_else_aborts_the_process(void **state)
{
	static const struct stage unknown = {"rogue", rogue, true, true};
	static const struct stage silent = {"silent", refusing_without_reason, true, true};
	static const struct stage may_not = {"may-not", always_waiting, false, true};
	static const struct stage good = {"first", first, false, false};
	(void)state;
	assert_true(aborts(&unknown));
	assert_true(aborts(&silent));
	assert_true(aborts(&may_not));
	assert_false(aborts(&good));
}

static void test_the_path_is_the_nine_stages_of_the_design(void **state)
{
	static const char *const names[] = {"receive", "authenticate", "csr",	 "attest", "provenance",
					    "policy",  "issue",	       "record", "respond"};
	(void)state;
	assert_int_equal(enrol_stage_count, sizeof names / sizeof *names);
	for (size_t i = 0; i < enrol_stage_count; i++)
		assert_string_equal(enrol_stages[i].name, names[i]);
}

int main(void)
{
	log_init("test", LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stage_that_says_anything_else_aborts_the_process),
		cmocka_unit_test_setup_teardown(test_stages_run_in_order_and_the_answer_comes_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_refusal_ends_the_path_with_its_reason, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_waiting_stage_is_called_again_when_woken, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_wake_from_within_the_stage_is_not_lost, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			test_past_the_deadline_the_caller_is_answered_and_the_path_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_past_the_deadline_a_stage_that_holds_an_intent_goes_on,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_when_the_gateway_stops_the_caller_is_told_to_try_again,
						set_up, tear_down),
		cmocka_unit_test(test_the_path_is_the_nine_stages_of_the_design),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
