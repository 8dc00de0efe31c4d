/*
 * stage.h - one stage of one device's making, signed: the chain so far is right, the chip is here, the order has
 * room, the line says so.
 */
#ifndef MOORING_FACTORY_STAGE_H
#define MOORING_FACTORY_STAGE_H

#include "counter.h"
#include "line.h"
#include "line_outbox.h"

struct stage_run {
	struct line *line;
	const struct work_order *order;
	struct counter counter;
	struct line_outbox outbox;
	bool psa_token; /* the RoT can make tokens only */
	bool insecure;	/* go on where nothing confines the device's secure world */
	bool quiet;	/* what the secure world warns of was said for the device before */
};

struct stage_done {
	bool there_already; /* the chain has this stage, signed under this order: nothing was done */
	int64_t seq;
	size_t statement_bytes, chain_bytes;
	uint8_t statement[SHA256_SIZE];
};

/* In this order, so that a power cut never repeats a number and loses one at most: the RoT countersigns; the
 * counter is on disk; the line signs; the outbox is on disk; the chain is on the device.
 * REASON_ORDER_QUOTA when the order is used up. */
MUST_USE outcome stage_sign(struct stage_run *run, const char *device_folder, struct stage_done *out,
			    struct fault *f);

#endif
