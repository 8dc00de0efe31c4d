/*
 * chain.h - the provenance chain that a device keeps and sends:
 *
 *   [ [ 1*8 stage statement ], [ nonce, countersignature ], receipt or null ]
 *
 * The countersignature is the last stage's. The statements are what the lines signed, byte for byte; the rest is
 * replaced at each stage.
 */
#ifndef MOORING_CHAIN_H
#define MOORING_CHAIN_H

#include "common/provenance/receipt.h"
#include "common/provenance/stage_statement.h"

enum { CHAIN_MAX = 4096, COUNTERSIGNATURE_MAX = 1024 };

/* Views into the input, which must outlive it. */
struct chain {
	struct stage_statement statements[STAGES_MAX];
	size_t count; /* at least 1 */
	uint8_t nonce[STAGE_NONCE_SIZE];
	struct bytes countersignature; /* 64 bytes, or a PSA token */
	bool has_receipt;
	struct receipt receipt;
	struct bytes receipt_object; /* that it was read from */
};

/* Format alone: shapes, sizes, deterministic encoding; the RoT key in the first statement and no other.
 * REASON_CHAIN_MALFORMED, or CBOR's and COSE's own reasons. */
MUST_USE outcome chain_read(struct bytes in, struct chain *out, struct fault *f);

/* The parts of a chain, as they are written; `receipt` may be empty. */
struct chain_parts {
	struct bytes statements[STAGES_MAX]; /* each a whole COSE_Sign1 */
	size_t count;
	uint8_t nonce[STAGE_NONCE_SIZE];
	struct bytes countersignature;
	struct bytes receipt;
};

void chain_write(struct buf *out, const struct chain_parts *p);
/* Views into the input, so that a stage or a receipt can be put to it. */
MUST_USE outcome chain_take_apart(struct bytes in, struct chain_parts *out, struct fault *f);

#endif
