/*
 * register_intake.h - objects on their way into the register: read from files, put in order, offered one by one.
 */
#ifndef MOORING_FACTORY_REGISTER_INTAKE_H
#define MOORING_FACTORY_REGISTER_INTAKE_H

#include "register_admit.h"

struct candidate {
	struct bytes object;
	const char *file; /* where it stands, for people */
	size_t place;	  /* in the order in which they came */
	int type;
	int64_t version; /* of a line record */
	bool settled;
};

struct register_intake {
	struct buf *files;
	char **names;
	size_t file_count;
	struct candidate *candidates;
	size_t count, room;
	size_t taken, there, refused; /* what has become of them */
};

/* A file of objects, or a folder of such files (an outbox). Half an object at the end of a file is left alone: a line
 * may be writing it. REASON_CHAIN_MALFORMED for a file of which nothing is an object. */
MUST_USE outcome register_intake_read(struct register_intake *in, const char *path, struct fault *f);
void register_intake_free(struct register_intake *in);

/* Line records first, then orders, then statements, each after the one that it names; refusals go to `refusal`.
 * Fails only where the register itself does. */
typedef void register_refusal(void *arg, const struct candidate *c, const struct fault *f);
MUST_USE outcome register_intake_offer(struct register_intake *in, struct factory_register *r,
				       register_refusal *refusal, void *arg, struct fault *f);

#endif
