/*
 * register_index.h - what is in the register, found by what it is: made anew from the log at each start.
 */
#ifndef MOORING_FACTORY_REGISTER_INDEX_H
#define MOORING_FACTORY_REGISTER_INDEX_H

#include "register_log.h"

#include "common/provenance/line_record.h"
#include "common/provenance/stage_statement.h"
#include "common/provenance/work_order.h"

/* From a hash to the index of an entry. */
struct register_slot {
	uint8_t key[SHA256_SIZE];
	int64_t index; /* 0: free */
};

struct register_index {
	struct register_slot *slots;
	size_t count, room;
};

void register_index_free(struct register_index *x);
/* Everything in the log. */
MUST_USE outcome register_index_make(const struct register_log *log, struct register_index *out,
				     struct fault *f);
/* An entry that was appended. */
MUST_USE outcome register_index_note(struct register_index *x, const struct register_item *item,
				     struct fault *f);

/* Each is 0 where there is none. */
int64_t register_index_object(const struct register_index *x, const uint8_t sha256[SHA256_SIZE]);
int64_t register_index_line(const struct register_index *x,
			    const uint8_t line[KEY_ID_SIZE]); /* its last record */
int64_t register_index_order(const struct register_index *x, const uint8_t line[KEY_ID_SIZE],
			     const char *batch, int64_t stage);
int64_t register_index_number(const struct register_index *x, const struct stage_statement *s);

#endif
