#include "plugin/wake.h"

#include "common/clock.h"
#include "plugin/ring.h"
#include "broker_stub.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_MS = 5000 };

static struct fault f;

static void *request_soon(void *arg)
{
	usleep(20000);
	wake_request(arg);
	return NULL;
}

static void test_a_sleeping_epoll_wait_returns_early(void **state)
{
	(void)state;
	struct wake *w;
	struct epoll_event event;
	pthread_t thread;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	assert_true(wake_start(&w, &f).ok);
	assert_int_equal(pthread_create(&thread, NULL, request_soon, w), 0);
	int64_t start = clock_monotonic_ms();
	assert_int_equal(epoll_wait(fd, &event, 1, LONG_MS), -1);
	assert_int_equal(errno, EINTR);
	assert_true(clock_monotonic_ms() - start < LONG_MS / 2);
	wake_answer(w);
	pthread_join(thread, NULL);
	wake_stop(w);
	close(fd);
}

/* The signal is lost where nobody sleeps yet; it is repeated, and so the next sleep ends too. */
static void test_a_request_is_repeated_until_it_is_answered(void **state)
{
	(void)state;
	struct wake *w;
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	assert_true(wake_start(&w, &f).ok);
	wake_request(w);
	int64_t start = clock_monotonic_ms();
	for (int i = 0; i < 5; i++)
		assert_int_equal(epoll_wait(fd, &event, 1, LONG_MS), -1);
	assert_true(clock_monotonic_ms() - start < LONG_MS / 2);
	wake_answer(w);
	epoll_wait(fd, &event, 1, 20); /* one may have been on its way */
	assert_int_equal(epoll_wait(fd, &event, 1, 100), 0);
	wake_stop(w);
	close(fd);
}

static void test_without_a_request_it_wakes_once_a_second(void **state)
{
	(void)state;
	struct wake *w;
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	assert_true(wake_start(&w, &f).ok);
	int64_t start = clock_monotonic_ms();
	assert_int_equal(epoll_wait(fd, &event, 1, LONG_MS), -1);
	int64_t took = clock_monotonic_ms() - start;
	assert_true(took >= 900 && took < LONG_MS / 2);
	wake_answer(w);
	wake_stop(w);
	close(fd);
}

static void test_lines_of_the_ring_come_out_in_order_and_losses_are_counted(void **state)
{
	(void)state;
	struct ring r;
	char line[RING_LINE_MAX], expected[32];
	int level;
	ring_init(&r);
	assert_false(ring_take(&r, &level, line));
	for (int i = 0; i < RING_LINES + 3; i++)
		ring_printf(&r, MOSQ_LOG_INFO, "line %d", i);
	for (int i = 0; i < RING_LINES; i++) {
		snprintf(expected, sizeof expected, "line %d", i);
		assert_true(ring_take(&r, &level, line));
		assert_string_equal(line, expected);
		assert_int_equal(level, MOSQ_LOG_INFO);
	}
	assert_true(ring_take(&r, &level, line));
	assert_string_equal(line, "3 log lines were lost");
	assert_false(ring_take(&r, &level, line));
	ring_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sleeping_epoll_wait_returns_early),
		cmocka_unit_test(test_a_request_is_repeated_until_it_is_answered),
		cmocka_unit_test(test_without_a_request_it_wakes_once_a_second),
		cmocka_unit_test(test_lines_of_the_ring_come_out_in_order_and_losses_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
