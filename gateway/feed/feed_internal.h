/*
 * feed_internal.h - what the files of the feed share: the feed's thread, a broker, a stream, its end on a
 * worker's loop.
 *
 * Everything but an outlet belongs to the feed's thread. An outlet belongs to its worker's loop; the two talk
 * by loop_post.
 */
#ifndef MOORING_FEED_INTERNAL_H
#define MOORING_FEED_INTERNAL_H

#include "feed.h"

#include "common/clock.h"
#include "common/feed/feed_format.h"
#include "common/peers.h"
#include "gateway/store/store_feed.h"

#include <event2/event_struct.h>
#include <jansson.h>
#include <stdatomic.h>

enum {
	FEED_RECORDS_BYTES_MAX = 120000,
	FEED_STREAM_LIMIT = 8 << 20,
	FEED_STALL_MS = 15000,
	FEED_ALIVE_MS = 12000, /* two receipts of three may be late */
	FEED_IN_FLIGHT_MAX = 8
};
enum { FEED_RECEIPTS = 64, FEED_COMMITS = 256 };

/* ---- brokers (brokers.c) ---- */

struct broker {
	struct broker *next;
	char name[PEER_NAME_SIZE];
	struct stream *stream; /* the one it has; NULL: none */
	int64_t connected_ms;  /* monotonic: since when it has it */
	int64_t heard_ms;      /* monotonic: last receipt, or the end of its last stream; 0: not yet */
	int64_t contested_ms;  /* monotonic: when another was last refused its name; 0: not lately */
	bool gone;	       /* it was taken off: nothing waits for it, unless it comes again */
	int64_t alarmed_ms;    /* monotonic: when there was last an alarm about that; 0: never */
	int64_t epoch, told;   /* last number sent on its stream */
	int64_t seq;	       /* of its last receipt in this epoch */
	struct {
		int64_t seq, at_us;
	} receipts[FEED_RECEIPTS]; /* a ring, newest at receipt_count - 1 */
	unsigned receipt_count;
};

struct wait {
	struct wait *next, **link;
	struct feed *feed;
	struct event timer;
	struct store_changed change;
	int64_t wait_ms;
	bool ask_only; /* how do all stand? */
	bool watches;  /* until another number of them than this has receipted it */
	int64_t known;
	struct loop *loop;
	feed_waited *done;
	void *arg;
	struct feed_broker *answer;
	size_t count;
};

/* Who asks: a service certificate of the role "broker" (handlers.c). */
MUST_USE outcome broker_authenticate(struct gateway *g, const struct scgi_request *r, struct peer *out,
				     struct fault *f);
struct broker *broker_get(struct feed *feed, const char *name);	 /* made where there is none */
struct broker *broker_find(struct feed *feed, const char *name); /* NULL where there is none */
/* This is its stream; this is it no longer, if it was. */
void broker_connected(struct broker *b, struct stream *s);
void broker_disconnected(struct broker *b, const struct stream *s);
/* Its stream has sent everything up to this number. */
void broker_told(struct broker *b, int64_t epoch, int64_t seq);
/* It says that everything up to this number is effective. */
void broker_receipted(struct broker *b, int64_t epoch, int64_t seq, int64_t at_us);
/* Nothing waits for it any more. */
void broker_forget(struct feed *feed, const char *name);
/* Waits that may be over by now. */
void waits_check(struct feed *feed);
void waits_finish_all(struct feed *feed);

/* ---- who may have a name (claim.c) ---- */

/* The broker may have a new stream: an old one that was silent for long has been ended. REASON_BROKER_TAKEN. */
MUST_USE outcome claim_take(struct feed *feed, struct broker *b, struct fault *f);
/* A receipt has come on its stream. */
void claim_heard(struct feed *feed, struct broker *b);
/* Who posts something for this stream has it. NULL with the fault: the broker has no stream, or it has another by now,
 * or it is revoked (the connection of its posts may be older than the stream, and of another certificate). */
struct broker *claim_check(struct feed *feed, const struct peer *peer, const uint8_t stream[FEED_STREAM_SIZE],
			   const char *request_id, struct fault *f);

/* ---- revoked ones (revoked.c) ---- */

/* One of the lists that feed_start waits for has been read, or not. */
void feed_loaded(struct feed *feed, const struct fault *f);
void revoked_load(struct feed *feed); /* as the store has them; feed_loaded */
void revoked_free(struct feed *feed);
/* REASON_BROKER_REVOKED. */
MUST_USE outcome revoked_check(const struct feed *feed, const char *name,
			       const uint8_t spki_sha256[SHA256_SIZE], struct fault *f);
/* Any thread. One has tried, and was refused: log, metric, alarm. */
void revoked_report(struct feed *feed, const char *request_id, const char *name, const struct fault *why);

/* ---- streams (stream.c) ---- */

enum stream_state { STREAM_SNAPSHOT, STREAM_CATCHING_UP, STREAM_LIVE };

struct stream {
	struct stream *next, **link;
	struct feed *feed;
	struct broker *broker;
	struct outlet *outlet; /* NULL: the client has left */
	enum stream_state state;
	uint8_t spki_sha256[SHA256_SIZE]; /* of the certificate that opened it */
	int64_t version;		  /* of the feed, that its reader understands */
	uint8_t id[FEED_STREAM_SIZE];	  /* what its receipts name: only who reads the stream knows it */
	int64_t heard_ms; /* monotonic: of its last receipt; before the first, when the edge last took something */
	bool receipted;
	int64_t epoch;
	int64_t told;		     /* the number at which the reader's table stands */
	int64_t upto;		     /* what is known to follow without a record for it */
	uint8_t head[SHA256_SIZE];   /* log hash at upto */
	uint8_t digest[SHA256_SIZE]; /* of the last frame's payload */
	int64_t cursor, end;	     /* of the snapshot */
	size_t limit;		     /* log entries to read at once */
	bool reading;		     /* the store has a question of this stream */
	bool paused;		     /* until the edge has taken what was sent */
	bool greeted;		     /* a frame was sent that is not part of a snapshot */
	unsigned in_flight;	     /* frames that the edge has not taken */
	int64_t stalled_ms;	     /* monotonic: since when */
};

/* Where a stream begins. */
struct stream_start {
	int64_t after;	 /* changes after this; 0: a snapshot */
	int64_t version; /* that the reader understands */
	struct store_head head;
};
void stream_open(struct feed *feed, struct outlet *outlet, struct broker *b,
		 const struct stream_start *start);
void stream_commit(struct stream *s, const struct store_commit *c, const struct buf *records);
void stream_taken(struct stream *s, unsigned frames);
void stream_heartbeat(struct stream *s);
/* Says at once up to where nothing concerns a broker, where a wait needs to know. */
void stream_flush(struct stream *s, int64_t seq);
/* Puts a question (its record), where it has to be live; at once, whatever else is to be sent. */
void stream_ask(struct stream *s, const struct buf *record);
/* Ended by this side. */
void stream_end(struct stream *s);
/* The client has left, or the stream was ended: no more frames. */
void stream_left(struct stream *s);

/* Encodes a commit's records; false where they need more than a frame. */
bool stream_encode(const struct store_commit *c, struct buf *records);

/* ---- questions (questions.c) ---- */

/* What a broker has posted; taken over by question_take. */
struct page {
	struct feed_page seen;
	struct feed_session *sessions;
	json_t *root; /* which their texts are in */
};
void page_free(struct page *p);

/* A broker's answer; REASON_NOT_FOUND where nobody waits for it: the page stays the caller's. */
MUST_USE outcome question_take(struct feed *feed, const struct broker *b,
			       const uint8_t id[FEED_QUESTION_SIZE], struct page *page, struct fault *f);
/* Its broker can be asked now what could not be asked before; it is gone. */
void questions_stream_live(struct stream *s);
void questions_stream_gone(struct feed *feed, const struct broker *b);
void questions_finish_all(struct feed *feed);

/* ---- the end on a worker's loop (outlet.c) ---- */

struct outlet {
	struct feed *feed;
	struct loop *loop;
	struct scgi_request *request; /* NULL: left */
	struct stream *stream;	      /* feed's thread */
	unsigned sent;		      /* frames given to the edge's connection since it was last empty */
	atomic_uint taken;	      /* frames taken, not yet told to the stream */
	struct peer broker;
	struct stream_start start;
	uint8_t id[FEED_STREAM_SIZE];
	struct fault fault; /* why there is no stream */
};

/* On the worker's loop: asks the feed's thread for a stream, which begins the answer or refuses. */
void outlet_open(struct feed *feed, struct scgi_request *r, const struct peer *broker,
		 const struct stream_start *start);
/* On the feed's thread: the answer begins with what names the stream. */
void outlet_begin(struct outlet *o, const uint8_t id[FEED_STREAM_SIZE]);
/* The buffer is taken over. */
void outlet_send(struct outlet *o, struct buf *frame);
void outlet_end(struct outlet *o);

/* ---- the feed (feed.c) ---- */

struct feed {
	struct gateway *gateway;
	struct store *store;
	struct loop *loop;
	struct event heartbeat;
	struct stream *streams;
	struct broker *brokers;
	struct revoked *revoked;
	struct wait *waits;
	struct {
		int64_t last, durable_at_us;
	} commits[FEED_COMMITS]; /* a ring, newest at commit_count - 1 */
	unsigned commit_count;
	struct question *questions;
	size_t question_count;
	int64_t last_seq;	      /* of the commits that this thread has seen */
	int64_t stall_ms;	      /* how long a broker may leave frames lying */
	int64_t alive_ms;	      /* how long after a receipt nobody else gets its name */
	bool quiet;		      /* no more questions to the store */
	struct feed_loading *loading; /* of feed_start */
	atomic_uint_least64_t stream_count, lost, frames, bytes, rivals, replaced, refused_revoked;
	atomic_int_least64_t revoked_alarm_ms; /* monotonic: no alarm about a revoked broker before this */
};

#endif
