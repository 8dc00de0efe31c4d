/*
 * standing.h - records are suspended and resumed, one by one or by batch; every change is a numbered
 * withdrawal.
 */
#ifndef MOORING_STANDING_H
#define MOORING_STANDING_H

#include "writer.h"

struct standing {
	struct change change; /* first: the writer hands this back */
	bool suspended;	      /* what it is to be */
	char reason[WITHDRAWAL_REASON_SIZE];
	bool whole_batch;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	char batch[RECORD_NAME_SIZE];
	int64_t devices; /* filled by the writer: records whose state changed */
};

/* Sets change.run. Records that are in that state already are left alone and make no withdrawal.
 * REASON_NOT_FOUND where there is no such record, or no record of that batch. */
void standing_prepare(struct standing *s);
/* {"reason": text} of 1 to 120 characters without control characters. REASON_BAD_JSON, REASON_BAD_FIELD. */
MUST_USE outcome standing_reason_parse(struct bytes body, char out[WITHDRAWAL_REASON_SIZE], struct fault *f);

#endif
