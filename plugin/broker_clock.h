/*
 * broker_clock.h - the wall time by which the broker checks certificates.
 *
 * It is the monotonic clock plus an offset that follows the system's clock by small steps. A step of more
 * than ten minutes is not followed: it ends nobody's session and makes the clock suspect, and while it is
 * suspect nobody new is admitted, until a heartbeat that the gateway has signed agrees with the one clock or
 * the other.
 */
#ifndef MOORING_PLUGIN_BROKER_CLOCK_H
#define MOORING_PLUGIN_BROKER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { BROKER_CLOCK_STEP_MAX_MS = 600000 };

struct broker_clock {
	int64_t offset_ms; /* wall minus monotonic, as believed */
	int64_t system_ms; /* the same, as the system says now */
	bool suspect;
	bool system_is_wrong; /* the gateway has agreed with offset_ms and not with the system */
};

/* `known_ms`: a wall time that has certainly passed (the saved table's), 0 where there is none. */
void broker_clock_start(struct broker_clock *c, int64_t wall_ms, int64_t monotonic_ms, int64_t known_ms);
/* True where `suspect` has changed. */
bool broker_clock_turn(struct broker_clock *c, int64_t wall_ms, int64_t monotonic_ms);
/* A signed frame said `gateway_ms` when the monotonic clock was at monotonic_ms. True where `suspect` has
 * changed. */
bool broker_clock_heartbeat(struct broker_clock *c, int64_t gateway_ms, int64_t monotonic_ms);
int64_t broker_clock_now_s(const struct broker_clock *c, int64_t monotonic_ms);

#endif
