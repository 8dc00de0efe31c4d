/*
 * programme.h - a programme's public file, programme.json: its id, its name and the three keys that everything of
 * the programme is verified with. Factory tools write it; gateways take their trust anchors from it.
 *
 *   {"programme": 32 hex, "name": text, "programme_key": 128 hex, "line_authority_key": 128 hex,
 *    "register_key": 128 hex}
 *
 * A key is its point on P-256, X || Y.
 */
#ifndef MOORING_PROGRAMME_H
#define MOORING_PROGRAMME_H

#include "common/provenance/line_record.h"
#include "common/provenance/work_order.h"

enum { PROGRAMME_NAME_SIZE = 65, PROGRAMME_FILE_MAX = 4096 };

struct programme {
	uint8_t id[PROGRAMME_ID_SIZE];
	char name[PROGRAMME_NAME_SIZE];		     /* 1 to 64 bytes of UTF-8 without control characters */
	uint8_t programme_key[P256_POINT_SIZE];	     /* signs work orders */
	uint8_t line_authority_key[P256_POINT_SIZE]; /* signs line records */
	uint8_t register_key[P256_POINT_SIZE];	     /* signs receipts and heads */
};

/* REASON_IO, or REASON_CONFIG with the path: every member there, no other, every point on the curve. */
MUST_USE outcome programme_load(const char *path, struct programme *out, struct fault *f);
/* The same from the text; `what` begins the sentence of a refusal. */
MUST_USE outcome programme_parse(struct bytes text, const char *what, struct programme *out, struct fault *f);
/* Mode 0644, durable; REASON_CONFIG where programme_load would refuse it. */
MUST_USE outcome programme_save(const char *path, const struct programme *p, struct fault *f);

/* A line record or work order of this programme, signed with the key that it has for them: the readers' reasons,
 * REASON_CHAIN_PROGRAMME, REASON_PROVENANCE_SIGNATURE. `out` views `in`. */
MUST_USE outcome programme_line_record(const struct programme *p, struct bytes in, struct line_record *out,
				       struct fault *f);
MUST_USE outcome programme_work_order(const struct programme *p, struct bytes in, struct work_order *out,
				      struct fault *f);

#endif
