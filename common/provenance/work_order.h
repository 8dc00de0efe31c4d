/*
 * work_order.h - the OEM's word that a line may do one stage for so many devices of a batch.
 */
#ifndef MOORING_WORK_ORDER_H
#define MOORING_WORK_ORDER_H

#include "common/provenance/provenance.h"

enum { ORDER_REGISTER_WITHIN_MAX_S = 366 * 86400 };

struct work_order {
	uint8_t programme[PROGRAMME_ID_SIZE];
	char batch[BATCH_SIZE];
	int64_t stage;
	uint8_t line[KEY_ID_SIZE];
	int64_t quota;	    /* sequence numbers 1 to this; at most UINT32_MAX */
	int64_t not_before; /* Unix seconds; compared with the register's time */
	int64_t not_after;
	int64_t register_within_s; /* how much later than not_after a statement may reach the register */
	uint8_t previous[STAGES_MAX][KEY_ID_SIZE]; /* lines that the stage before may have been done at */
	size_t previous_count;			   /* 0: this is a first stage */
	/* set by the reader */
	struct provenance_object object; /* its key id is the programme's */
};

MUST_USE outcome work_order_read(struct bytes in, struct work_order *out, struct fault *f);
MUST_USE outcome work_order_sign(struct buf *out, const struct work_order *o, EVP_PKEY *programme_key,
				 struct fault *f);

#endif
