/*
 * feed.h - the thread that keeps a stream from the gateway, brings the table up to it, and sends back receipts and,
 * where they are asked for, who is connected.
 *
 * The gateway is reached over TLS with the one pinned trust anchor and this broker's client certificate. A
 * stream that breaks a rule, falls silent or ends is left and tried again after a pause of random length,
 * half a minute at most.
 */
#ifndef MOORING_PLUGIN_FEED_H
#define MOORING_PLUGIN_FEED_H

#include "plugin/keeper.h"
#include "plugin/options.h"
#include "plugin/receipts.h"
#include "plugin/roster.h"
#include "plugin/wake.h"

struct feed;

/* What the broker's thread may know. */
struct feed_view {
	_Atomic bool live;	    /* a stream is open and its last frame was good */
	_Atomic int64_t fresh_ms;   /* monotonic: when the gateway last told a later time than before */
	_Atomic int64_t gateway_ms; /* its wall clock minus our monotonic one, by the last such frame */
	_Atomic uint64_t heard;	    /* how many such frames there were */
	_Atomic int64_t seq;
	_Atomic uint64_t refused; /* frames that broke a rule */
};

/* What the thread works with. */
struct feed_parts {
	const struct options *options;
	/* Not open yet: the thread opens and closes it, and all of it is the thread's. */
	struct keeper *keeper;
	struct receipts *receipts;
	struct roster *roster;
	struct wake *wake;
	struct ring *log;
	struct feed_view *view;
	/* In the thread, once the keeper is open and before a stream is: the caller of feed_start waits meanwhile. */
	void (*opened)(void *arg);
	void *arg;
};

/* Returns when the saved table is there. The faults are keeper_open's, REASON_NO_MEMORY, and REASON_IO. */
MUST_USE outcome feed_start(const struct feed_parts *parts, struct feed **out, struct fault *f);
/* The keeper is closed when it returns: nobody may be reading its table. */
void feed_stop(struct feed *feed);
/* Any thread: receipts, roster or the reading side have something new for the thread. */
void feed_poke(struct feed *feed);

#endif
