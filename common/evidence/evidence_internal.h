/*
 * evidence_internal.h - what the files behind evidence.h share.
 */
#ifndef MOORING_EVIDENCE_INTERNAL_H
#define MOORING_EVIDENCE_INTERNAL_H

#include "evidence.h"

/* Claims of the payload of `e->cose` into `e`. */
MUST_USE outcome evidence_psa_read(struct evidence *e, struct fault *f);
/* RFC 9783 4.2.1: UEID of type RAND, 33 bytes. */
MUST_USE outcome evidence_read_instance(struct cbor_reader *value, uint8_t out[INSTANCE_ID_SIZE],
					struct fault *f);
/* The value of a claim, which must be of this type: REASON_CLAIM_TYPE with the claim's name. */
MUST_USE outcome evidence_take(struct cbor_reader *value, enum cbor_type type, const char *claim,
			       struct cbor_item *out, struct fault *f);

#endif
