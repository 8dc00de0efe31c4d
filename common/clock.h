/*
 * clock.h - wall time for what is written down, monotonic time for what is waited for.
 */
#ifndef MOORING_CLOCK_H
#define MOORING_CLOCK_H

#include <stdint.h>

enum { CLOCK_RFC3339_SIZE = 32 };

int64_t clock_wall_s(void);	  /* Unix time, seconds */
int64_t clock_wall_ms(void);	  /* Unix time, milliseconds */
int64_t clock_monotonic_ms(void); /* since an unspecified start; never goes back */
int64_t clock_monotonic_us(void);
/* "2026-11-22T15:00:01.123Z" */
void clock_rfc3339_ms(int64_t unix_ms, char out[CLOCK_RFC3339_SIZE]);

#endif
