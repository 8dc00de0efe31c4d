/*
 * judge.h - one device's chain, held against its class and against the book.
 */
#ifndef MOORING_PROVENANCE_JUDGE_H
#define MOORING_PROVENANCE_JUDGE_H

#include "book.h"
#include "classes.h"

struct provenance_case {
	const struct provenance_class *class;
	const struct book *book;
	const struct chain *chain;
	struct bytes chain_bytes;
	const int64_t *
		times; /* of the register, one a statement, where the chain has none; -1: not registered. NULL: unknown */
};

/* How far it is told of a device: its last stage that holds. For operators. */
struct provenance_story {
	size_t honest;	     /* statements that hold; 0: none, and nothing below is set */
	const char *variant; /* the class's, of a whole chain; NULL: it is none */
	char batch[BATCH_SIZE];
	int64_t stage;
	uint8_t line[KEY_ID_SIZE];
	char site[LINE_SITE_SIZE];
	int64_t time; /* of the register; 0: it did not come to that */
};

/* chain_check's reasons. `use` is what the store takes for it; both are filled from `c`, whose bytes they view. */
MUST_USE outcome provenance_judge(const struct provenance_case *c,
				  const uint8_t instance_id[INSTANCE_ID_SIZE], struct store_chain *use,
				  struct provenance_story *story, struct fault *f);

#endif
