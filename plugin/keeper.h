/*
 * keeper.h - keeps the table true: takes the feed's frames in, to memory first and then to disk.
 *
 * After keeper_open all of it belongs to the feed's thread; the broker's thread reads the published table
 * alone.
 */
#ifndef MOORING_PLUGIN_KEEPER_H
#define MOORING_PLUGIN_KEEPER_H

#include "plugin/ring.h"
#include "plugin/table.h"
#include "plugin/table_journal.h"

struct keeper {
	/* set by the owner before keeper_open */
	_Atomic(struct table *) *published; /* NULL in it: no table, nobody is admitted */
	struct retire *retire;
	struct ring *log;
	EVP_PKEY *key;		/* the pinned feed key */
	void (*cut)(void *arg); /* a certificate may have stopped being active: memory says so already */
	void *cut_arg;
	void (*asked)(void *arg, const struct feed_record *question); /* live sessions are asked for */
	void *asked_arg;

	struct table *table;	/* what is published */
	struct table *building; /* parts of a snapshot */
	struct table_position position;
	struct feed_chain chain;
	struct table_journal *journal;
	bool durable;	    /* the files hold all that the table holds */
	int64_t written_ms; /* monotonic: when the position was last written */
	int64_t retry_ms;   /* monotonic: not before this are the files written anew */
};

/* Opens the state folder and publishes the table in it. A damaged table is reported in the log and is no
 * table; a folder that cannot be used is a fault. */
MUST_USE outcome keeper_open(struct keeper *k, const char *state_dir, struct fault *f);
void keeper_close(struct keeper *k);

/* A new stream begins: it has to continue at the table's position. */
void keeper_stream(struct keeper *k);
/* One frame, signed. True in *newer if the gateway said a later time than ever before: a recorded stream
 * cannot. REASON_FEED_...: the frame changes nothing and the stream must be left. */
MUST_USE outcome keeper_take(struct keeper *k, struct bytes frame, int64_t monotonic_ms, bool *newer,
			     struct fault *f);

#endif
