/*
 * stage_statement.h - a line's word that a device went through one stage of its making.
 */
#ifndef MOORING_STAGE_STATEMENT_H
#define MOORING_STAGE_STATEMENT_H

#include "common/provenance/provenance.h"

struct stage_statement {
	uint8_t programme[PROGRAMME_ID_SIZE];
	char batch[BATCH_SIZE];
	int64_t stage; /* 1 to STAGE_NUMBER_MAX */
	int64_t seq; /* 1 to the order's quota, at most UINT32_MAX; never used twice by a line within (batch, stage) */
	uint8_t dev[DEV_SIZE];
	uint8_t previous[SHA256_SIZE]; /* hash of the statement before; provenance_start's for the first */
	int64_t time;		       /* the line's own clock, Unix seconds: of no weight */
	bool has_rot_key;	       /* the first statement of a chain, and no other */
	uint8_t rot_key[P256_POINT_SIZE];
	/* set by the reader */
	struct provenance_object object; /* its key id is the line's */
};

MUST_USE outcome stage_statement_read(struct bytes in, struct stage_statement *out, struct fault *f);
MUST_USE outcome stage_statement_sign(struct buf *out, const struct stage_statement *s, EVP_PKEY *line_key,
				      struct fault *f);

/* ---- the countersignature: the chip was at the line ---- */

/*
 * D = SHA-256("mooring-stage/1" 00 || programme || line key id || len(batch) || batch || stage || seq || previous
 *             || nonce), stage one byte, seq four, big-endian: all that the line is about to sign, and its nonce.
 * The RoT signs D as the payload of a COSE_Sign1 (protected header {1: -7}, empty external data, RFC 9052 4.4),
 * of which the signature alone is carried; a RoT that can only make tokens makes one whose nonce is D.
 */
void stage_countersigned(const struct stage_statement *s, const uint8_t line[KEY_ID_SIZE],
			 const uint8_t nonce[STAGE_NONCE_SIZE], uint8_t out[SHA256_SIZE]);
/* `signature` is 64 bytes (r || s) or a PSA token; REASON_COUNTERSIGNATURE, or REASON_TEST_KEY for a RoT key that
 * is published, unless that is allowed. */
MUST_USE outcome stage_countersignature_verify(const uint8_t digest[SHA256_SIZE], struct bytes signature,
					       const uint8_t rot_key[P256_POINT_SIZE], bool allow_test_keys,
					       struct fault *f);
/* For the RoT: the 64 bytes. */
MUST_USE outcome stage_countersign(const uint8_t digest[SHA256_SIZE], EVP_PKEY *rot_key,
				   uint8_t out[P256_SIGNATURE_SIZE], struct fault *f);

#endif
