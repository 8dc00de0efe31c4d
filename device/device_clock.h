/*
 * device_clock.h - what time it is, on a device that may have no clock of its own.
 *
 * It starts at the latest of the system's clock, the time stored last and this release's date, and runs with
 * the monotonic clock. The Date of an authenticated answer corrects it, never to before where it started.
 */
#ifndef MOORING_DEVICE_CLOCK_H
#define MOORING_DEVICE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { DEVICE_CLOCK_TOLERANCE_S = 60 };

/* May be read and corrected from any thread. */
struct device_clock {
	int64_t floor_ms;
	_Atomic int64_t offset_ms; /* Unix time less time since boot */
};

/* `system_ms` is the system's clock (Unix milliseconds); `stored_s` 0 where nothing was stored. */
void device_clock_start(struct device_clock *c, int64_t system_ms, int64_t stored_s);
int64_t device_clock_ms(const struct device_clock *c);
int64_t device_clock_s(const struct device_clock *c);
/* Unix seconds from an authenticated answer. A difference within the tolerance is the second's fraction and
 * the way, and changes nothing. True when the clock was corrected. */
bool device_clock_adopt(struct device_clock *c, int64_t date_s);

#endif
