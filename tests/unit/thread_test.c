#include "common/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
	pthread_mutex_t lock; /* held until the thread has its name */
	sigset_t mask;
	char name[16];
};

static void *look(void *arg)
{
	struct seen *s = arg;
	pthread_mutex_lock(&s->lock);
	pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
	pthread_getname_np(pthread_self(), s->name, sizeof s->name);
	pthread_mutex_unlock(&s->lock);
	return s;
}

static void test_a_thread_has_its_name_and_takes_no_signal(void **state)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct fault f;
	pthread_t thread;
	void *result;
	(void)state;
	pthread_mutex_lock(&seen.lock);
	assert_true(thread_start(&thread, "a-name", look, &seen, &f).ok);
	pthread_mutex_unlock(&seen.lock);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, &seen);
	assert_string_equal(seen.name, "a-name");
	const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGALRM};
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		assert_int_equal(sigismember(&seen.mask, signals[i]), 1);
}

static void test_its_maker_takes_signals_as_before(void **state)
{
	struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
	sigset_t mask;
	struct fault f;
	pthread_t thread;
	(void)state;
	assert_true(thread_start(&thread, "a-name", look, &seen, &f).ok);
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

static void test_a_condition_waits_by_the_monotonic_clock(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	struct timespec before, after, until;
	(void)state;
	thread_cond_init(&cond);
	clock_gettime(CLOCK_MONOTONIC, &before);
	until = before;
	until.tv_nsec += 20000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&lock);
	int rc;
	do
		rc = pthread_cond_timedwait(&cond, &lock, &until);
	while (rc == 0);
	pthread_mutex_unlock(&lock);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_int_equal(rc, ETIMEDOUT);
	assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= 20000000);
	pthread_cond_destroy(&cond);
}

struct files {
	int kept, other; /* its maker's */
	bool own, sees_kept, sees_other;
};

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void *look_at_files(void *arg)
{
	struct files *x = arg;
	thread_own_files(x->kept);
	x->sees_kept = is_open(x->kept);
	x->sees_other = is_open(x->other);
	x->own = !x->sees_other;
	if (x->own)
		close(x->kept);
	return NULL;
}

/* A container's seccomp filter may leave the table shared: then nothing is closed. */
static void test_a_thread_with_files_of_its_own_closes_nobody_elses(void **state)
{
	struct files x = {.kept = open("/dev/null", O_RDONLY), .other = open("/dev/null", O_RDONLY)};
	struct fault f;
	pthread_t thread;
	(void)state;
	assert_true(thread_start(&thread, "a-name", look_at_files, &x, &f).ok);
	pthread_join(thread, NULL);
	assert_true(x.sees_kept);
	assert_true(is_open(x.kept));
	assert_true(is_open(x.other));
	if (!x.own)
		print_message("the kernel does not let a thread have files of its own here\n");
	close(x.kept);
	close(x.other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_thread_has_its_name_and_takes_no_signal),
		cmocka_unit_test(test_its_maker_takes_signals_as_before),
		cmocka_unit_test(test_a_condition_waits_by_the_monotonic_clock),
		cmocka_unit_test(test_a_thread_with_files_of_its_own_closes_nobody_elses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
