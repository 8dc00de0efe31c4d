/*
 * backoff.h - how long to wait before asking again: a window that doubles with each failure, full jitter in
 * it, on top of what the server asks for.
 */
#ifndef MOORING_BACKOFF_H
#define MOORING_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_CAP_MS = 3600 * 1000 };

struct backoff {
	int64_t base_ms;   /* the first window */
	int64_t cap_ms;	   /* at most BACKOFF_CAP_MS */
	unsigned failures; /* in a row */
};

/* Milliseconds to wait after one more failure: Retry-After (seconds, -1 where absent) and, so that a thousand
 * who were told the same do not return together, a random part of the window; at most cap_ms. `random` is
 * uniform. */
int64_t backoff_next_ms(struct backoff *b, int retry_after_s, uint32_t random);
/* The whole window, for one who is alone in asking. */
int64_t backoff_window_ms(struct backoff *b);
/* After a success. */
void backoff_reset(struct backoff *b);

#endif
