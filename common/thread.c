#include "thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A thread inherits the mask that its maker has at that moment. */
outcome thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg, struct fault *f)
{
	char shown[16];
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(out, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return refuse(f, REASON_NO_MEMORY, "no thread \"%s\": %s", name, strerror(error));
	snprintf(shown, sizeof shown, "%s", name);
	pthread_setname_np(*out, shown);
	return DONE;
}

void thread_own_files(int keep)
{
	if (unshare(CLONE_FILES))
		return;
	if (keep > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
	close_range(keep > STDERR_FILENO ? (unsigned)keep + 1 : STDERR_FILENO + 1, ~0U, 0);
}

void thread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}
