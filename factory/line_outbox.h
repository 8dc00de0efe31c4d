/*
 * line_outbox.h - what a line has signed under one order: OUTBOX/<batch>.<stage>.<line>, statements one after the
 * other (a CBOR sequence, RFC 8742), only ever appended to. It goes to the register, by whatever way there is; with the
 * first 8 digits of the line's id in its name, so that the files of several lines can lie in one folder.
 */
#ifndef MOORING_FACTORY_LINE_OUTBOX_H
#define MOORING_FACTORY_LINE_OUTBOX_H

#include "common/provenance/stage_statement.h"
#include "common/provenance/work_order.h"

struct line_outbox {
	int fd;
	char path[4096];
	int64_t size;  /* bytes of whole statements */
	int64_t count; /* statements */
	int64_t last;  /* the highest sequence number; 0: none */
};

/* Makes it where there is none. What a power cut has left of one statement at the end is cut off, and said in
 * *torn; anything else that is no statement of this order is refused: REASON_REGISTER_HISTORY. */
MUST_USE outcome line_outbox_open(const char *folder, const struct work_order *order, struct line_outbox *out,
				  bool *torn, struct fault *f);
/* On disk when it returns; on failure nothing of it stays. */
MUST_USE outcome line_outbox_append(struct line_outbox *o, struct bytes statement, struct fault *f);
void line_outbox_close(struct line_outbox *o);

#endif
