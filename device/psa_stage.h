/*
 * psa_stage.h - what the RoT is asked to countersign for a stage of its making.
 *
 * programme id (16) || line key id (16) || previous (32) || nonce (16) || stage (1) || seq (4, big-endian) || batch
 *
 * The secure world composes the digest from these fields itself (stage_statement.h): the RoT key never signs a
 * hash that somebody else made.
 */
#ifndef MOORING_PSA_STAGE_H
#define MOORING_PSA_STAGE_H

#include "common/provenance/stage_statement.h"

enum {
	PSA_STAGE_FIXED = PROGRAMME_ID_SIZE + KEY_ID_SIZE + SHA256_SIZE + STAGE_NONCE_SIZE + 1 + 4,
	PSA_STAGE_MIN = PSA_STAGE_FIXED + 1,
	PSA_STAGE_MAX = PSA_STAGE_FIXED + BATCH_SIZE - 1,
};

struct psa_stage {
	/* Programme, batch, stage, seq and previous; the rest is nothing here. */
	struct stage_statement statement;
	uint8_t line[KEY_ID_SIZE];
	uint8_t nonce[STAGE_NONCE_SIZE];
};

void psa_stage_encode(struct buf *out, const struct psa_stage *s);
/* False where a value is none that a statement can have. */
MUST_USE bool psa_stage_decode(struct bytes in, struct psa_stage *out);

#endif
