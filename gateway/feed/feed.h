/*
 * feed.h - brokers: their streams, their receipts, and whether a change has become effective at all of them.
 *
 * The feed has a thread of its own, which signs the frames; requests stay on their workers' loops.
 */
#ifndef MOORING_FEED_H
#define MOORING_FEED_H

#include "gateway/gateway.h"
#include "gateway/store/store.h"

struct feed;

/* Subscribes to the store (g->store), sets the policy "default" in it, and has read its brokers when it returns; keeps `g`.
 * Before the first request. Where they cannot be read, *out is there all the same, to be stopped. */
MUST_USE outcome feed_start(struct gateway *g, struct feed **out, struct fault *f);
/* No more questions to the store, and every wait is answered. After scgi_drain, before store_close; returns
 * when it is so. */
void feed_quiesce(struct feed *feed);
/* After the server has stopped and the store is closed. */
void feed_stop(struct feed *feed);

/* GET /v1/feed, POST /v1/feed/receipts and /v1/feed/sessions: admit service certificates of the role "broker" alone. A
 * name has one feed; what is posted names the feed that it belongs to (claim.c). */
void feed_handle_stream(struct gateway *g, struct scgi_request *r);
void feed_handle_receipts(struct gateway *g, struct scgi_request *r);
void feed_handle_sessions(struct gateway *g, struct scgi_request *r);

enum feed_broker_state {
	FEED_BROKER_EFFECTIVE, /* has receipted the change */
	FEED_BROKER_PENDING,   /* has a live feed, and has not */
	FEED_BROKER_LOST,      /* has no live feed, and has not receipted it */
};

struct feed_broker {
	const char *name;
	enum feed_broker_state state;
	bool live;	     /* has a stream now */
	int64_t connected_s; /* how long the stream has been there; 0 where lost */
	int64_t lag_s; /* since it was last heard of or, where it is live and up to date, 0; -1: not since
			  this gateway started */
	int64_t seq;   /* its last receipt */
	uint8_t spki_sha256[SHA256_SIZE]; /* where live: the key of its certificate */
	int64_t effective_ms;		  /* EFFECTIVE: from the durable row to the receipt; -1 otherwise */
};

/* Waits until every broker with a live feed (where feeds begin anew with the change: every broker) has receipted
 * `change` or wait_ms have passed, then calls `done` once on the calling loop. With change NULL it tells at once how all brokers stand. */
typedef void feed_waited(const struct feed_broker *brokers, size_t count, void *arg);
void feed_wait(struct feed *feed, const struct store_changed *change, int64_t wait_ms, feed_waited *done,
	       void *arg);
/* How brokers stand to the change with this number: when the number of those that have receipted it is not `known`, all
 * have, or wait_ms have passed. Also a broker whose feed is lost is waited for. Of a change that is some time ago it is
 * not known how long it took. */
void feed_watch(struct feed *feed, int64_t seq, int64_t known, int64_t wait_ms, feed_waited *done, void *arg);
/* The broker was removed from the store: forget it, unless it has a stream. */
void feed_forget(struct feed *feed, const char *name);
/* It was revoked in the store, the key or, with NULL, the name: its stream ends, before a feed_wait that comes after
 * this is answered. */
void feed_revoke(struct feed *feed, const char *name, const uint8_t *spki_sha256);

/* ---- who is connected ---- */

struct feed_question {
	const char *broker;	  /* "": all */
	const char *name;	  /* of a thing or service; "": all */
	const char *after_broker; /* those before it in order of their names are not asked; "": none is */
	int64_t after_us;	  /* of that broker: sessions that came after this */
	size_t limit;		  /* 1 to FEED_SESSIONS_MAX, of each broker */
	int64_t wait_ms;
};

enum feed_answer {
	FEED_ANSWERED,
	FEED_SILENT,   /* has a feed, and has not answered in time */
	FEED_ABSENT,   /* has no feed */
	FEED_OUTDATED, /* has a feed, and a plugin that knows no questions */
};

/* As the broker says: no more than its form is checked. */
struct feed_session {
	const char *name; /* thing or service; "": its certificate is registered no more */
	bool service;
	const char *client_id;
	const char *certificate_id; /* lower-case hex */
	const char *address;	    /* "": not known */
	int64_t since_us;	    /* Unix, by the broker's clock; no two of a broker have the same */
	int protocol;		    /* 3, 4 (3.1.1) or 5 */
};

struct feed_page {
	const char *broker;
	enum feed_answer answer;
	/* where answered */
	int64_t live;			     /* sessions of the broker, whatever was asked */
	const struct feed_session *sessions; /* in the order in which they came */
	size_t count;
	bool more; /* there may be others after the last */
};

/* Asks the brokers, waits until each has answered or cannot, or wait_ms have passed, and calls `done` once on the
 * calling loop: a page a broker, in order of their names. REASON_OVERLOADED where many ask at once. */
typedef void feed_asked(const struct feed_page *pages, size_t count, const struct fault *f, void *arg);
void feed_ask(struct feed *feed, const struct feed_question *q, feed_asked *done, void *arg);

struct feed_stats {
	uint64_t streams, lost, frames, bytes; /* live now; ended for slowness; sent */
	uint64_t revoked;		       /* refused since they are revoked */
	uint64_t rivals,
		replaced; /* refused since the name has a feed; silent ones ended for their broker's next */
};
void feed_stats(struct feed *feed, struct feed_stats *out); /* any thread */

#endif
