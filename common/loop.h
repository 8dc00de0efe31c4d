/*
 * loop.h - a thread with a libevent loop that other threads can hand work to.
 */
#ifndef MOORING_LOOP_H
#define MOORING_LOOP_H

#include "fault.h"

#include <event2/event.h>

struct loop;

/* Starts a named thread that runs an event loop until loop_stop; all signals blocked in it. NULL on failure. */
struct loop *loop_start(const char *name);
/* Ends the loop after the work already posted, joins the thread, frees. */
void loop_stop(struct loop *l);
struct event_base *loop_base(struct loop *l);
/* Runs fn(arg) on the loop's thread, in order. Callable from any thread; aborts when out of memory. */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);
/* The loop that runs the calling thread, NULL outside. */
struct loop *loop_current(void);

#endif
