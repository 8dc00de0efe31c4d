#include "loop.h"

#include "thread.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct task {
	void (*fn)(void *arg);
	void *arg;
	struct task *next;
};

struct loop {
	pthread_t thread;
	struct event_base *base;
	struct event *wake;
	int wake_fd;
	pthread_mutex_t lock; /* guards the queue */
	struct task *first, **last;
};

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
	return current;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

static struct task *take_tasks(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	struct task *all = l->first;
	l->first = NULL;
	l->last = &l->first;
	pthread_mutex_unlock(&l->lock);
	return all;
}

static void run_tasks(struct task *t)
{
	while (t) {
		struct task *next = t->next;
		t->fn(t->arg);
		free(t);
		t = next;
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;
	(void)what;
	/* The count is cleared before the queue is taken: a task posted in between wakes the loop again. */
	if (read(fd, &count, sizeof count) < 0)
		return;
	run_tasks(take_tasks(arg));
}

static void *run(void *arg)
{
	struct loop *l = arg;
	struct task *rest;
	current = l;
	event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
	/* What tasks posted while the loop was ending still owns memory
	 * and may hold locks: it runs as well. */
	while ((rest = take_tasks(l)))
		run_tasks(rest);
	return NULL;
}

static void release(struct loop *l)
{
	if (l->wake)
		event_free(l->wake);
	if (l->base)
		event_base_free(l->base);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* No lock inside libevent: a base is touched by its own thread alone, and woken through the eventfd. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	if (!config)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

struct loop *loop_start(const char *name)
{
	struct loop *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->last = &l->first;
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	l->base = new_base();
	if (l->wake_fd < 0 || !l->base)
		goto fail;
	l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
	if (!l->wake || event_add(l->wake, NULL) || !thread_start(&l->thread, name, run, l, NULL).ok)
		goto fail;
	return l;
fail:
	release(l);
	return NULL;
}

void loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct task *t = malloc(sizeof *t);
	if (!t)
		abort();
	*t = (struct task){.fn = fn, .arg = arg};
	pthread_mutex_lock(&l->lock);
	bool was_empty = !l->first;
	*l->last = t;
	l->last = &t->next;
	/* Written under the lock: after it is released the loop may run the task that frees this very loop's
	 * owner. */
	uint64_t one = 1;
	if (was_empty && write(l->wake_fd, &one, sizeof one) < 0)
		abort();
	pthread_mutex_unlock(&l->lock);
}

static void break_loop(void *arg)
{
	event_base_loopbreak(arg);
}

void loop_stop(struct loop *l)
{
	if (!l)
		return;
	if (l == current)
		abort(); /* a thread cannot wait for its own end */
	loop_post(l, break_loop, l->base);
	pthread_join(l->thread, NULL);
	release(l);
}
