/*
 * counter.h - how far a line has counted against one order: COUNTERS/<batch>.<stage>, one line of text.
 *
 *   mooring-counter/1 BATCH STAGE ORDER QUOTA USED CHECK
 *
 * ORDER is the SHA-256 of the order that the first number was taken under: no other one is counted here. CHECK is the
 * first 8 hex digits of SHA-256 of what stands before it.
 *
 * The file is replaced as a whole and is on disk before the number is used, so that whenever the power fails no
 * number is used twice; one may be lost.
 */
#ifndef MOORING_FACTORY_COUNTER_H
#define MOORING_FACTORY_COUNTER_H

#include "common/provenance/work_order.h"

enum { COUNTER_FILE_MAX = 192 };

struct counter {
	char path[4096];
	char batch[BATCH_SIZE];
	int64_t stage;
	uint8_t order[SHA256_SIZE]; /* its name, and what it allows */
	int64_t quota;
	int64_t used; /* the last number taken; 0: none */
};

/* `least` is known to be used, whatever the file says: for a counter that begins, or was lost. REASON_CONFLICT
 * where the file counts less than that: it is an old copy; and where it counts against another order. */
MUST_USE outcome counter_open(const char *folder, const struct work_order *order, int64_t least,
			      struct counter *out, struct fault *f);
/* REASON_ORDER_QUOTA when the order is used up. */
MUST_USE outcome counter_has_room(const struct counter *c, struct fault *f);
/* The next number, on disk as used, and under which order, when it returns. REASON_ORDER_QUOTA when the order is used up. */
MUST_USE outcome counter_take(struct counter *c, int64_t *seq, struct fault *f);

/* What a file says, all but the path; REASON_BAD_FIELD. */
MUST_USE outcome counter_parse(struct bytes in, struct counter *out, struct fault *f);

#endif
