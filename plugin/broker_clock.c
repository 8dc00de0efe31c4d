#include "plugin/broker_clock.h"

static bool agree(int64_t a, int64_t b)
{
	return a - b <= BROKER_CLOCK_STEP_MAX_MS && b - a <= BROKER_CLOCK_STEP_MAX_MS;
}

void broker_clock_start(struct broker_clock *c, int64_t wall_ms, int64_t monotonic_ms, int64_t known_ms)
{
	*c = (struct broker_clock){.offset_ms = wall_ms - monotonic_ms, .system_ms = wall_ms - monotonic_ms};
	c->suspect = wall_ms + BROKER_CLOCK_STEP_MAX_MS < known_ms;
}

bool broker_clock_turn(struct broker_clock *c, int64_t wall_ms, int64_t monotonic_ms)
{
	bool was = c->suspect;
	c->system_ms = wall_ms - monotonic_ms;
	if (agree(c->system_ms, c->offset_ms)) {
		c->offset_ms = c->system_ms;
		c->system_is_wrong = false;
	} else if (!c->system_is_wrong) {
		c->suspect = true;
	}
	return c->suspect != was;
}

bool broker_clock_heartbeat(struct broker_clock *c, int64_t gateway_ms, int64_t monotonic_ms)
{
	bool was = c->suspect;
	int64_t gateway = gateway_ms - monotonic_ms;
	if (agree(gateway, c->offset_ms)) {
		c->suspect = false;
		c->system_is_wrong = !agree(c->system_ms, c->offset_ms);
	} else if (agree(gateway, c->system_ms)) {
		c->offset_ms = c->system_ms;
		c->suspect = c->system_is_wrong = false;
	} else {
		c->suspect = true;
	}
	return c->suspect != was;
}

int64_t broker_clock_now_s(const struct broker_clock *c, int64_t monotonic_ms)
{
	return (c->offset_ms + monotonic_ms) / 1000;
}
