/*
 * appraise.h - evidence against the record of the device that it claims to come from (RFC 9334 8.1, 8.4).
 */
#ifndef MOORING_APPRAISE_H
#define MOORING_APPRAISE_H

#include "records.h"

/* What a worker appraises with. */
struct appraiser {
	struct records *records;
	bool allow_test_keys;
};

struct appraisal {
	enum reason reason; /* REASON_NONE: the evidence is genuine, fresh and of a device in good standing */
	struct fault fault; /* the rule, where there is a reason */
	bool has_instance;  /* the evidence could be read so far; what it claims, not what was found true */
	uint8_t instance_id[INSTANCE_ID_SIZE];
	uint8_t attested_spki[SPKI_MAX]; /* the key that the RoT key signed for: cose-csr */
	size_t attested_size;		 /* 0 where the evidence names no key */
};

/* Fails only where nothing can be appraised: REASON_STORE_UNAVAILABLE and its like. */
MUST_USE outcome appraise(const struct appraiser *a, enum evidence_type type, struct bytes evidence,
			  const uint8_t nonce[BINDING_SIZE], struct appraisal *out, struct fault *f);

#endif
