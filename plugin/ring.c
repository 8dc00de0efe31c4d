#include "plugin/ring.h"

#include "plugin/broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ring_init(struct ring *r)
{
	memset(r, 0, sizeof *r);
	pthread_mutex_init(&r->lock, NULL);
}

void ring_destroy(struct ring *r)
{
	pthread_mutex_destroy(&r->lock);
}

void ring_printf(struct ring *r, int level, const char *fmt, ...)
{
	char text[RING_LINE_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	pthread_mutex_lock(&r->lock);
	if (r->count == RING_LINES) {
		r->lost++;
	} else {
		unsigned at = (r->first + r->count++) % RING_LINES;
		r->lines[at].level = level;
		memcpy(r->lines[at].text, text, sizeof text);
	}
	pthread_mutex_unlock(&r->lock);
}

void ring_fault(struct ring *r, int level, const struct fault *f, const char *what)
{
	ring_printf(r, level, "%s: %s: %s", what, reason_code(f->reason), f->text);
}

bool ring_take(struct ring *r, int *level, char out[RING_LINE_MAX])
{
	if (pthread_mutex_trylock(&r->lock))
		return false;
	bool any = r->count || r->lost;
	if (r->count) {
		*level = r->lines[r->first].level;
		memcpy(out, r->lines[r->first].text, RING_LINE_MAX);
		r->first = (r->first + 1) % RING_LINES;
		r->count--;
	} else if (any) {
		*level = MOSQ_LOG_WARNING;
		snprintf(out, RING_LINE_MAX, "%lu log lines were lost", r->lost);
		r->lost = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return any;
}
