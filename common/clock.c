#include "clock.h"

#include <stdio.h>
#include <time.h>

static int64_t now_us(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_s(void)
{
	return now_us(CLOCK_REALTIME) / 1000000;
}

int64_t clock_wall_ms(void)
{
	return now_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_monotonic_ms(void)
{
	return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_monotonic_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

void clock_rfc3339_ms(int64_t unix_ms, char out[CLOCK_RFC3339_SIZE])
{
	time_t s = (time_t)(unix_ms / 1000);
	struct tm t;
	gmtime_r(&s, &t);
	size_t n = strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &t);
	snprintf(out + n, CLOCK_RFC3339_SIZE - n, ".%03dZ", (int)(unix_ms % 1000));
}
