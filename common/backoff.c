#include "backoff.h"

#include <limits.h>

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t backoff_window_ms(struct backoff *b)
{
	int64_t window = b->base_ms;
	for (unsigned i = 0; i < b->failures && window < b->cap_ms; i++)
		window *= 2;
	b->failures += b->failures < UINT_MAX;
	return least(window, b->cap_ms);
}

int64_t backoff_next_ms(struct backoff *b, int retry_after_s, uint32_t random)
{
	int64_t window = backoff_window_ms(b);
	int64_t asked = retry_after_s > 0 ? (int64_t)retry_after_s * 1000 : 0;
	int64_t jitter = (int64_t)((uint64_t)window * random >> 32);
	return least(asked + jitter, b->cap_ms);
}

void backoff_reset(struct backoff *b)
{
	b->failures = 0;
}
