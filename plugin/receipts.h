/*
 * receipts.h - what this broker may tell the gateway: up to which number the log is effective here, and which
 * certificates have connected.
 *
 * A number is effective once memory has it, the journal has it on disk, and the broker's thread has cut the
 * sessions that it ends. The first two are done when receipts_note is called; the third is known by counting
 * cuts.
 */
#ifndef MOORING_PLUGIN_RECEIPTS_H
#define MOORING_PLUGIN_RECEIPTS_H

#include "plugin/connected.h"

#include <pthread.h>
#include <stdatomic.h>

enum { RECEIPTS_CONNECTED_MAX = 1024 }; /* certificates in one receipt; the rest is in the next */

struct receipts {
	_Atomic uint64_t cuts_wanted; /* the feed's thread */
	_Atomic uint64_t cuts_done;   /* the broker's thread */
	/* the feed's thread */
	struct receipt_mark {
		int64_t epoch, seq;
		uint64_t cuts; /* that must be done before the number is effective */
		bool set;
	} waiting, latest;  /* of what is noted, the first two that differ in what they wait for */
	int64_t epoch, seq; /* effective */
	bool owed;	    /* the gateway has not been told */
	size_t sent;	    /* connected certificates in the receipt under way */
	/* both */
	pthread_mutex_t lock;
	struct connected connected;
};

void receipts_init(struct receipts *r);
void receipts_destroy(struct receipts *r);

/* Feed's thread. A certificate may have to be cut; to be called when memory says so. */
void receipts_cut_wanted(struct receipts *r);
/* Feed's thread. Memory and disk are at this number; again with each frame, since receipts are what the gateway knows
 * this broker to be alive by. */
void receipts_note(struct receipts *r, int64_t epoch, int64_t seq);
/* Broker's thread: what has to be cut; and that it has been, up to there. */
uint64_t receipts_cuts_wanted(const struct receipts *r);
void receipts_cuts_done(struct receipts *r, uint64_t wanted);
/* Broker's thread: a certificate that the gateway wants to hear of has connected; it is told until it has heard. False
 * without memory. */
MUST_USE bool receipts_connected(struct receipts *r, const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE]);

/* Feed's thread. A receipt is due, for this stream: its JSON is appended to `body`. */
MUST_USE bool receipts_due(struct receipts *r, const char *broker, const char *stream, struct buf *body);
/* Feed's thread. The gateway has it, or the attempt failed and it stays due. */
void receipts_sent(struct receipts *r, bool taken);

#endif
