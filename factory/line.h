/*
 * line.h - a line at work: its folder, its key, what it has been told.
 */
#ifndef MOORING_FACTORY_LINE_H
#define MOORING_FACTORY_LINE_H

#include "factory.h"
#include "trust.h"

struct line {
	char folder[FACTORY_PATH_MAX - 128];
	struct programme programme;
	EVP_PKEY *key;
	uint8_t point[P256_POINT_SIZE];
	uint8_t id[KEY_ID_SIZE];
	struct trust trust; /* of LINE/trust and what was given besides */
};

/* Removes what an interrupted write left behind. REASON_CONFIG where another process works with the folder. Caller
 * line_close, also on failure. */
MUST_USE outcome line_open(const char *folder, struct line *out, struct fault *f);
void line_close(struct line *l);
MUST_USE outcome line_path(const struct line *l, const char *name, char out[FACTORY_PATH_MAX],
			   struct fault *f);

/* This line's own record: it must be there, active, and name the stage. */
MUST_USE outcome line_may_do(const struct line *l, int64_t stage, struct fault *f);

#endif
