/*
 * arrival.h - what a line makes of the chain that a device brings: whether it may have this stage now.
 */
#ifndef MOORING_FACTORY_ARRIVAL_H
#define MOORING_FACTORY_ARRIVAL_H

#include "common/provenance/chain.h"
#include "trust.h"

struct arrival {
	struct chain_parts parts; /* views into the chain; count 0: the device brings none */
	uint8_t dev[DEV_SIZE];
	uint8_t previous[SHA256_SIZE]; /* that the next statement names */
	bool there_already;	       /* one of its statements is under this very order */
	int64_t seq;		       /* there already: its number */
	size_t unverified; /* statements of lines whose records are not at hand: their hashes hold, their signatures
			      were not looked at */
};

/* `chain` is empty where the device has none. Reasons are those of chain_check.h. */
MUST_USE outcome arrival_check(struct bytes chain, const struct work_order *order,
			       const uint8_t instance_id[INSTANCE_ID_SIZE],
			       const uint8_t rot_key[P256_POINT_SIZE], const struct trust *trust,
			       struct arrival *out, struct fault *f);

#endif
