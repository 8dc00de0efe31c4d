/*
 * chain_check.h - whether a chain says that this device was built on our lines, within our orders.
 *
 * Pure: no files, no clock, no store. What it needs to know of lines, orders and the register it asks through
 * `struct chain_world`. Used time and quota are the caller's: it counts (line, batch, stage, seq) once for ever.
 */
#ifndef MOORING_CHAIN_CHECK_H
#define MOORING_CHAIN_CHECK_H

#include "common/provenance/chain.h"
#include "common/provenance/line_record.h"
#include "common/provenance/work_order.h"

enum { CHAIN_VARIANTS_MAX = 8 };

/* The stages that a device of some class must have been through, in order. */
struct chain_variant {
	uint8_t stages[STAGES_MAX];
	size_t count;
	bool raises_generation; /* it ends with a refurbishment: its device may have a new key */
};

struct chain_rules {
	uint8_t programme[PROGRAMME_ID_SIZE];
	struct chain_variant variants[CHAIN_VARIANTS_MAX];
	size_t variant_count;
	bool allow_test_keys;
};

/* What is known. Answers stay valid during the check. */
struct chain_world {
	/* The line record in force, of this programme, its state the stricter of the record's and the operator's;
	 * its signature is verified already. NULL: no such line. */
	const struct line_record *(*line)(void *arg, const uint8_t key_id[KEY_ID_SIZE]);
	/* The order of this programme. NULL: there is none. Verified already. */
	const struct work_order *(*order)(void *arg, const uint8_t line[KEY_ID_SIZE], const char *batch,
					  int64_t stage);
	/* The register's time of a statement where the chain has no receipt for it; false: not registered.
	 * NULL: receipts alone count. */
	bool (*registered)(void *arg, const uint8_t statement[SHA256_SIZE], int64_t *time);
	const uint8_t *register_key; /* its point; NULL: no receipt is believed */
	void *arg;
};

/* What a chain that is accepted, or refused as diverted, has shown. */
struct chain_shown {
	const struct chain_variant *variant; /* into the rules; NULL where refused */
	int64_t times[STAGES_MAX];	     /* of the register, one a statement */
	size_t honest; /* statements that hold in all that is asked of each, from the first on */
};

/*
 * In this order, each over all statements before the next; the first that does not hold is the reason:
 *   CHAIN_DEVICE           each dev is this device's
 *   CHAIN_PROGRAMME        each programme is ours
 *   CHAIN_BROKEN           each names the one before, and stages rise
 *   LINE_UNKNOWN, LINE_STAGE, PROVENANCE_SIGNATURE      the line of each, first to last
 *   ORDER_MISSING, ORDER_QUOTA, ORDER_ROUTE             its order
 *   RECEIPT_SIGNATURE, RECEIPT_MISMATCH                 the receipt, where there is one: of a statement of this
 *                          chain, and as many times as statements up to it
 *   LINE_REVOKED           of a line that is revoked, what is not registered or was from that time on
 *   CHAIN_UNREGISTERED     each has a time of the register, and times never fall
 *   LINE_SUSPENDED, LINE_TIME, ORDER_TIME               at that time, both ends included
 *   COUNTERSIGNATURE, TEST_KEY                          the chip was at the last line
 *   CHAIN_DIVERTED         the stages are the beginning of a variant: it left the chain early
 *   CHAIN_STAGES           the stages are no variant
 * `shown` is filled in either case, as far as the check came.
 */
MUST_USE outcome chain_check(const struct chain *c, const uint8_t instance_id[INSTANCE_ID_SIZE],
			     const struct chain_rules *rules, const struct chain_world *world,
			     struct chain_shown *shown, struct fault *f);

#endif
