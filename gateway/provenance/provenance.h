/*
 * provenance.h - what this gateway knows of where devices come from: the classes that are asked, and the book of lines
 * and orders as of now. The register's copy and what was used are the store's.
 */
#ifndef MOORING_GATEWAY_PROVENANCE_H
#define MOORING_GATEWAY_PROVENANCE_H

#include "book.h"
#include "classes.h"

struct provenance;

/* Reads the files of the classes. */
MUST_USE outcome provenance_load(const struct config_strings *files, struct provenance **out,
				 struct fault *f);
/* Reads the book out of the store; waits for it. Before the first request. */
MUST_USE outcome provenance_begin(struct provenance *p, struct store *s, struct fault *f);
void provenance_free(struct provenance *p);

const struct provenance_classes *provenance_classes(const struct provenance *p);
/* Some class is not off. */
bool provenance_is_asked(const struct provenance *p);
/* NULL where no class names it any more. */
const char *provenance_programme_name(const struct provenance *p, const uint8_t id[PROGRAMME_ID_SIZE]);

/* The book as of now; any thread. The caller releases it. */
struct book *provenance_book(struct provenance *p);
/* What the store has just kept becomes the next book; any thread. */
MUST_USE outcome provenance_apply(struct provenance *p, const struct store_added *added, struct fault *f);

/* A line record or a work order of one of our programmes, under that programme's key. `out` views `room` and `in`.
 * BAD_FIELD for another kind of object, CHAIN_PROGRAMME, PROVENANCE_SIGNATURE, or the reader's reasons. */
struct provenance_object_room {
	struct line_record line;
	struct work_order order;
};
MUST_USE outcome provenance_read_object(const struct provenance *p, struct bytes in,
					struct provenance_object_room *room, struct store_object *out,
					struct fault *f);
/* The register's word, under its key; *programme gets the store's number. */
MUST_USE outcome provenance_read_word(const struct provenance *p, struct bytes in, struct register_head *out,
				      int64_t *programme, struct fault *f);

/* Whether an alarm of this reason about this line and batch is due: at most one in an hour, so that a line that goes
 * wrong is told once and not once a device. Any thread; monotonic milliseconds. */
bool provenance_alarm_is_due(struct provenance *p, enum reason reason, const uint8_t line[KEY_ID_SIZE],
			     const char *batch, int64_t now_ms);

#endif
