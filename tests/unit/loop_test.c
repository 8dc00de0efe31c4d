#include "common/loop.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { POSTERS = 4, POSTS = 5000 };

struct order {
	int last[POSTERS];
	int wrong, count;
};

struct item {
	struct order *order;
	int poster, number;
};

static void note(void *arg)
{
	struct item *i = arg;
	if (i->order->last[i->poster] != i->number - 1)
		i->order->wrong++;
	i->order->last[i->poster] = i->number;
	i->order->count++;
	free(i);
}

struct poster {
	struct loop *loop;
	struct order *order;
	int id;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;
	for (int n = 1; n <= POSTS; n++) {
		struct item *i = malloc(sizeof *i);
		*i = (struct item){p->order, p->id, n};
		loop_post(p->loop, note, i);
	}
	return NULL;
}

static void test_posts_of_many_threads_run_in_order_and_none_is_lost(void **state)
{
	(void)state;
	struct order order = {0};
	struct loop *l = loop_start("test");
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	assert_non_null(l);
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){l, &order, i};
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
	}
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	loop_stop(l);
	assert_int_equal(order.wrong, 0);
	assert_int_equal(order.count, POSTERS * POSTS);
}

struct look {
	struct loop *seen;
	sigset_t mask;
	char name[16];
	sem_t done;
};

static void look_around(void *arg)
{
	struct look *k = arg;
	k->seen = loop_current();
	pthread_sigmask(SIG_BLOCK, NULL, &k->mask);
	pthread_getname_np(pthread_self(), k->name, sizeof k->name);
	sem_post(&k->done);
}

static void test_a_task_sees_its_loop_its_name_and_no_signals(void **state)
{
	(void)state;
	struct look k = {0};
	sem_init(&k.done, 0, 0);
	struct loop *l = loop_start("a-name-that-is-longer-than-the-kernel-takes");
	loop_post(l, look_around, &k);
	sem_wait(&k.done);
	assert_ptr_equal(k.seen, l);
	assert_null(loop_current());
	assert_true(sigismember(&k.mask, SIGTERM) && sigismember(&k.mask, SIGINT));
	assert_string_equal(k.name, "a-name-that-is-");
	loop_stop(l);
}

struct again {
	struct loop *loop;
	int left, ran;
};

static void post_again(void *arg)
{
	struct again *a = arg;
	a->ran++;
	if (a->left--)
		loop_post(a->loop, post_again, a);
}

static void test_stop_runs_what_tasks_posted_while_it_ended(void **state)
{
	(void)state;
	struct again a = {.left = 100};
	a.loop = loop_start("test");
	loop_post(a.loop, post_again, &a);
	loop_stop(a.loop);
	assert_int_equal(a.ran, 101);
}

struct tick {
	struct loop *loop;
	struct event *timer;
	sem_t done;
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct tick *t = arg;
	(void)fd, (void)what;
	event_free(t->timer);
	sem_post(&t->done);
}

static void start_tick(void *arg)
{
	struct tick *t = arg;
	struct timeval soon = {.tv_usec = 1000};
	t->timer = event_new(loop_base(t->loop), -1, 0, on_tick, t);
	event_add(t->timer, &soon);
}

static void test_timers_of_the_loop_run(void **state)
{
	(void)state;
	struct tick t;
	sem_init(&t.done, 0, 0);
	t.loop = loop_start("test");
	loop_post(t.loop, start_tick, &t);
	sem_wait(&t.done);
	loop_stop(t.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_posts_of_many_threads_run_in_order_and_none_is_lost),
		cmocka_unit_test(test_a_task_sees_its_loop_its_name_and_no_signals),
		cmocka_unit_test(test_stop_runs_what_tasks_posted_while_it_ended),
		cmocka_unit_test(test_timers_of_the_loop_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
