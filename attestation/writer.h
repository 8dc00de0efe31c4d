/*
 * writer.h - the one thread that changes records.
 *
 * Changes are queued and committed in groups: one durable commit answers all that were waiting. A change that
 * is refused leaves no trace and does not touch its neighbours; where the commit itself fails, all of the
 * group are refused with its cause.
 */
#ifndef MOORING_WRITER_H
#define MOORING_WRITER_H

#include "records.h"
#include "common/loop.h"

struct writer;

/* Embedded at the beginning of what the caller wants changed; lives until `done`. */
struct change {
	/* On the writer's thread, inside a transaction; may run again after a neighbour's commit failed. */
	outcome (*run)(struct change *c, struct records *r, struct fault *f);
	/* On `loop`, once, after the commit; `ok` and `fault` say how it went. */
	void (*done)(struct change *c);
	struct loop *loop;
	bool ok;
	struct fault fault;
	struct change *next;
};

struct writer_options {
	const char *path;
	/* After each commit, on the writer's thread; may be NULL. */
	void (*committed)(void *arg);
	void *arg;
};

/* Opens or creates the database. No thread yet. */
MUST_USE outcome writer_open(const struct writer_options *o, struct writer **out, struct fault *f);
MUST_USE outcome writer_start(struct writer *w, struct fault *f);
/* From any thread. */
void writer_submit(struct writer *w, struct change *c);
/* Finishes what was submitted, ends the thread, closes the database. */
void writer_stop(struct writer *w);

/* Whether the last commit went well; else *f holds why not. */
bool writer_healthy(struct writer *w, struct fault *f);
/* A change that writes one row, to find out whether writing works. `c` as for writer_submit; its `run` is
 * set. */
void writer_probe(struct writer *w, struct change *c);

#endif
