/*
 * ring.h - log lines of the plugin's threads, on their way to the broker's thread: no broker function, the
 * one that logs included, may be called from another thread.
 */
#ifndef MOORING_PLUGIN_RING_H
#define MOORING_PLUGIN_RING_H

#include "common/fault.h"

#include <pthread.h>

enum { RING_LINES = 64, RING_LINE_MAX = 480 };

struct ring {
	pthread_mutex_t lock;
	struct {
		int level; /* MOSQ_LOG_... */
		char text[RING_LINE_MAX];
	} lines[RING_LINES];
	unsigned first, count;
	unsigned long lost; /* lines for which there was no room */
};

void ring_init(struct ring *r);
void ring_destroy(struct ring *r);
/* Any thread. Never waits for the broker: a line that does not fit is counted. */
void ring_printf(struct ring *r, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with the fault's code and text. */
void ring_fault(struct ring *r, int level, const struct fault *f, const char *what);
/* The broker's thread: hands the oldest line to `out`; false where there is none, or another thread is
 * writing. */
MUST_USE bool ring_take(struct ring *r, int *level, char out[RING_LINE_MAX]);

#endif
