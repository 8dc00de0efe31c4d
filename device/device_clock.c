#include "device_clock.h"

#include "common/version.h"

#include <stdlib.h>
#include <time.h>

/* Goes on while the machine sleeps, which CLOCK_MONOTONIC does not. */
static int64_t since_boot_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void device_clock_start(struct device_clock *c, int64_t system_ms, int64_t stored_s)
{
	int64_t floor_s = stored_s > MOORING_RELEASED ? stored_s : MOORING_RELEASED;
	c->floor_ms = floor_s * 1000;
	atomic_store(&c->offset_ms, (system_ms > c->floor_ms ? system_ms : c->floor_ms) - since_boot_ms());
}

int64_t device_clock_ms(const struct device_clock *c)
{
	return atomic_load(&c->offset_ms) + since_boot_ms();
}

int64_t device_clock_s(const struct device_clock *c)
{
	return device_clock_ms(c) / 1000;
}

bool device_clock_adopt(struct device_clock *c, int64_t date_s)
{
	int64_t date_ms = date_s * 1000;
	if (date_ms < c->floor_ms || llabs(date_ms - device_clock_ms(c)) <= DEVICE_CLOCK_TOLERANCE_S * 1000)
		return false;
	atomic_store(&c->offset_ms, date_ms - since_boot_ms());
	return true;
}
