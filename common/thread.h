/*
 * thread.h - threads that no signal reaches, and conditions that wait by the monotonic clock.
 */
#ifndef MOORING_THREAD_H
#define MOORING_THREAD_H

#include "fault.h"

#include <pthread.h>

/* Starts a thread that runs run(arg) with every signal blocked: signals are for the main thread's loop, or
 * for the broker that the plugin is a guest of. `name` is what ps shows, its first 15 characters. The caller
 * joins *out. REASON_NO_MEMORY. */
MUST_USE outcome thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg,
			      struct fault *f);

/* For the thread that calls it: from now on it has a table of open files of its own, with the standard streams and
 * `keep` (-1: nothing) of those that were open. As long as two threads share a table the kernel counts who is at work
 * in each file, on each call: a broker that writes to thousands of sockets feels that. A container may not let it be;
 * the table is then shared as before, so that a thread closes what it has opened, and nothing else. */
void thread_own_files(int keep);

/* pthread_cond_timedwait(3) on it takes times of CLOCK_MONOTONIC: a clock that is set delays nobody. */
void thread_cond_init(pthread_cond_t *cond);

#endif
