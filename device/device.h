/*
 * device.h - what one power-on has at hand: its secure world, its memory, its clock, its gateway.
 */
#ifndef MOORING_DEVICE_H
#define MOORING_DEVICE_H

#include "credential.h"
#include "gateway.h"
#include "psa.h"
#include "store.h"

struct device {
	struct psa *psa;
	struct store store;
	struct device_clock *clock;
	struct gateway *gateway;
	X509 *root; /* pinned */
	enum evidence_type evidence;
	const char *origin;
	int64_t lifetime_s; /* 0: as the gateway likes */
	/* Waits, and returns false when the device is to stop. */
	bool (*pause)(void *arg, int64_t ms); /* waits; false when the device is to stop */
	void *pause_arg;
	struct device_state state;
};

#endif
