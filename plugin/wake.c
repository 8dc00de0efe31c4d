#include "plugin/wake.h"

#include "common/thread.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIRST_PAUSE_NS = 50000, PAUSE_MAX_NS = 1000000, REPEATS_MAX = 200 };

struct wake {
	pthread_t sleeper;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	bool stop; /* under lock */
	_Atomic bool pending;
};

static int wake_signal(void)
{
	return SIGRTMIN + 5;
}

static void nothing(int signal)
{
	(void)signal;
}

/* What was asked for within a TICK is signalled before that TICK has ended, and the first signal is lost: the second
 * one is soon. A broker that is busy for longer than the repeats takes its TICK anyway when it is done. */
static void knock(struct wake *w)
{
	struct timespec pause = {0, FIRST_PAUSE_NS};
	for (int i = 0; i < REPEATS_MAX; i++) {
		if (!atomic_load(&w->pending))
			return;
		pthread_kill(w->sleeper, wake_signal());
		nanosleep(&pause, NULL);
		pause.tv_nsec = pause.tv_nsec < PAUSE_MAX_NS / 2 ? 2 * pause.tv_nsec : PAUSE_MAX_NS;
	}
	atomic_store(&w->pending, false);
}

/* After a second without a request the broker is woken all the same: its timers hang on TICK as well. */
static bool sleep_until_wanted(struct wake *w)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while (!w->stop && !atomic_load(&w->pending))
		if (pthread_cond_timedwait(&w->wanted, &w->lock, &until))
			break;
	return !w->stop;
}

static void *run(void *arg)
{
	struct wake *w = arg;
	thread_own_files(-1);
	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (!atomic_load(&w->pending))
			atomic_store(&w->pending, sleep_until_wanted(w));
		pthread_mutex_unlock(&w->lock);
		knock(w);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

outcome wake_start(struct wake **out, struct fault *f)
{
	struct wake *w = calloc(1, sizeof *w);
	struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	if (!w)
		return refuse(f, REASON_NO_MEMORY, "no memory to start a thread");
	w->sleeper = pthread_self();
	pthread_mutex_init(&w->lock, NULL);
	thread_cond_init(&w->wanted);
	sigaction(wake_signal(), &action, NULL);
	outcome o = thread_start(&w->thread, "mooring-wake", run, w, f);
	if (o.ok)
		*out = w;
	else
		free(w);
	return o;
}

void wake_stop(struct wake *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wanted);
	pthread_mutex_unlock(&w->lock);
	atomic_store(&w->pending, false);
	pthread_join(w->thread, NULL);
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(wake_signal(), &ignore,
		  NULL); /* one may be pending, and the handler is about to be unmapped */
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wanted);
	free(w);
}

void wake_request(struct wake *w)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->pending, true);
	pthread_cond_signal(&w->wanted);
	pthread_mutex_unlock(&w->lock);
}

void wake_answer(struct wake *w)
{
	atomic_store(&w->pending, false);
}
