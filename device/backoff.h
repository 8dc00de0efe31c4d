/*
 * backoff.h - how long to wait before asking again: exponential with full jitter, on top of what the server
 * asks for.
 */
#ifndef MOORING_BACKOFF_H
#define MOORING_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_CAP_MS = 3600 * 1000 };

struct backoff {
	int64_t base_ms; /* the first wait is below this */
	int64_t cap_ms;	 /* at most BACKOFF_CAP_MS */
	unsigned failures;
};

/* Milliseconds to wait after one more failure: Retry-After (seconds, -1 where absent) and, so that a thousand
 * devices told the same do not return together, a random part of a window that doubles each time; at most
 * cap_ms. `random` is uniform. */
int64_t backoff_next_ms(struct backoff *b, int retry_after_s, uint32_t random);
void backoff_reset(struct backoff *b);

#endif
