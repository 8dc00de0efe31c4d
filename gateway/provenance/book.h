/*
 * book.h - the lines and orders that there are, as of one moment: never changed, shared by reference count. A change
 * makes the next book, of which almost everything is the same.
 */
#ifndef MOORING_PROVENANCE_BOOK_H
#define MOORING_PROVENANCE_BOOK_H

#include "gateway/store/store_provenance.h"

#include <stdatomic.h>

struct book_line {
	_Atomic int refs;
	int64_t id, programme, seq; /* the store's numbers; of the log entry that made it so */
	uint8_t line[KEY_ID_SIZE];
	struct line_record signed_record; /* as the line authority has it; its views are of nothing */
	struct line_record record;	  /* in force: the stricter of that and what the operator says */
	bool held, revoked;		  /* by an operator */
	int64_t revoked_from;
};

struct book_order {
	_Atomic int refs;
	int64_t id, programme;
	struct work_order order; /* its views are of nothing */
};

struct book {
	_Atomic int refs;
	int64_t lines_state;	  /* as the store counts it */
	struct book_line **lines; /* in order of programme and key id */
	size_t line_count, line_room;
	struct book_order **orders; /* in order of programme, line, batch, stage */
	size_t order_count, order_room;
};

/* Aborts without memory, as the store does. */
struct book *book_new(void);
/* The same once more, to be changed by the two below before anybody else sees it. */
struct book *book_copy(const struct book *b);
/* Puts it in its place. A line that is there already gives way to what is later in the log. What the store cannot have
 * kept, since it was verified, is an internal fault. */
MUST_USE outcome book_put_line(struct book *b, const struct store_line *line, struct fault *f);
MUST_USE outcome book_put_order(struct book *b, const struct store_order *order, struct fault *f);

struct book *book_hold(struct book *b);
void book_release(struct book *b); /* NULL is nothing */

const struct book_line *book_line(const struct book *b, int64_t programme, const uint8_t line[KEY_ID_SIZE]);
const struct book_order *book_order(const struct book *b, int64_t programme, const uint8_t line[KEY_ID_SIZE],
				    const char *batch, int64_t stage);

#endif
