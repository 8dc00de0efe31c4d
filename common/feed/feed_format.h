/*
 * feed_format.h - the stream that tells brokers which certificates are registered, in what state, under
 * which policy.
 *
 * The stream is a CBOR sequence of byte strings. Each holds a frame: a tagged COSE_Sign1 (ES256, feed key)
 * over a map with exactly these labels:
 *
 *   1: epoch          2: first          3: last          4: time in ms
 *   5: SHA-256 of the payload of the frame before; 32 zero bytes in the first frame of a stream
 *   6: kind           7: [records]      8: log hash at `last`
 *
 * Records are arrays:
 *
 *   [1, fingerprint, state, notBefore, notAfter, name, policy name, flags]   a certificate as it now stands
 *   [1, ..., flags, type, [name, value, name, value, ...]]                   the same, and what is known of its thing
 *   [2, policy name, document]                                               a policy as it now stands
 *   [4, fingerprint]                                                         no longer registered
 *   [5, question, after, limit, name]                                        which sessions are live? (see below)
 *   [6, policy name]                                                         a policy that is no longer there
 *
 * A snapshot is frames of kind 0 and one of kind 1, all with first = 0 and the same `last` and hash; its
 * records replace the table, which then stands at `last`. After it, or instead of it where the reader's
 * table is of the same log, come changes and heartbeats: first is always one more than the number at which
 * the table stands; a heartbeat without new log entries has last = first - 1. A heartbeat may move the
 * table's number: entries that concern no broker have no record. A record of a policy precedes the first one
 * of a certificate that names it. Expired certificates are left out of snapshots and have no record when
 * they expire: the reader ends them by their date.
 *
 * A question is a heartbeat that carries one record of type 5 and nothing else: the broker answers it once, with POST
 * /v1/feed/sessions, and its table has no part in it. It is asked of those alone who said, in the stream's query, that
 * they understand version 2 of the feed; without a question version 2 is version 1.
 *
 * Version 3 has things: the longer record (a type, "" for none; attributes in ascending order of their names; not both
 * without anything), the flag of a certificate that is attached to no thing, and the policy that is gone. They are sent
 * to every broker, since they decide what a device may do: one that knows no version 3 leaves the stream at the first of
 * them and keeps the table that it has. (Upgrade the brokers first.)
 */
#ifndef MOORING_FEED_FORMAT_H
#define MOORING_FEED_FORMAT_H

#include "common/crypto/crypto.h"

enum { FEED_FRAME_MAX = 131072, FEED_RECORDS_MAX = 500, FEED_NAME_MAX = 136, FEED_HEARTBEAT_S = 5 };
/* AWS's limits of a thing: characters, and attributes of a thing that has a type. */
enum {
	FEED_TYPE_MAX = 128,
	FEED_ATTRIBUTE_NAME_MAX = 128,
	FEED_ATTRIBUTE_VALUE_MAX = 800,
	FEED_ATTRIBUTES_MAX = 50
};
/* The answer names its stream in this header, in hex; a receipt says which stream it is for. */
enum { FEED_STREAM_SIZE = 16 };
#define FEED_STREAM_HEADER "Mooring-Stream"

/* What a reader says that it understands: 1 where it says nothing. */
enum { FEED_VERSION = 3, FEED_VERSION_QUESTIONS = 2 };
/* A question's name, and how many sessions an answer to it has at most. */
enum { FEED_QUESTION_SIZE = 16, FEED_SESSIONS_MAX = 500 };

enum feed_kind {
	FEED_SNAPSHOT = 0,
	FEED_SNAPSHOT_LAST = 1,
	FEED_CHANGES = 2,
	FEED_HEARTBEAT = 3,
	FEED_QUESTION = 4
};
enum feed_record_type {
	FEED_CERTIFICATE = 1,
	FEED_POLICY = 2,
	FEED_REMOVED = 4,
	FEED_SESSIONS = 5,
	FEED_POLICY_REMOVED = 6
};
enum feed_state { FEED_ACTIVE = 0, FEED_INACTIVE = 1, FEED_REVOKED = 2 };
enum feed_flags {
	FEED_REPORT_CONNECT = 1,
	FEED_SERVICE = 2,
	FEED_DETACHED = 4 /* from its thing, whose name the record has all the same */
};

/* What is known of a thing besides its name: views as a record's. */
struct feed_thing {
	struct bytes type; /* empty: none */
	size_t count;
	struct feed_attribute {
		struct bytes name, value; /* at least a character each */
	} attributes[FEED_ATTRIBUTES_MAX];
};

/* Views into the frame. Names are 1 to FEED_NAME_MAX characters of 0x21..0x7e, not NUL-terminated. */
struct feed_record {
	enum feed_record_type type;
	struct bytes fingerprint; /* CERTIFICATE, REMOVED: 32 bytes */
	enum feed_state state;	  /* from here to flags: CERTIFICATE */
	int64_t not_before;	  /* Unix seconds */
	int64_t not_after;
	struct bytes name;   /* thing or service; SESSIONS: of which alone, empty: of all */
	struct bytes policy; /* also POLICY, POLICY_REMOVED: its name */
	unsigned flags;
	/* CERTIFICATE; NULL: neither a type nor attributes. Good for the call. */
	const struct feed_thing *thing;
	struct bytes document; /* POLICY; POLICY_BYTES_MAX bytes at most */
	struct bytes question; /* SESSIONS: FEED_QUESTION_SIZE bytes */
	int64_t after_us;      /* SESSIONS: that came after this, Unix microseconds by the broker's clock */
	int64_t limit;	       /* SESSIONS: 1 to FEED_SESSIONS_MAX */
};

struct feed_frame {
	int64_t epoch;
	int64_t first;
	int64_t last;
	int64_t time_ms; /* the gateway's wall clock */
	uint8_t previous[SHA256_SIZE];
	enum feed_kind kind;
	uint8_t head[SHA256_SIZE];
	uint8_t digest[SHA256_SIZE]; /* of this frame's payload */
	size_t count;
	struct bytes records; /* encoded, all of them well formed */
};

/* Cuts the next frame off a stream's bytes: *used = 0 means that more bytes are needed. Anything but a byte
 * string of at most FEED_FRAME_MAX bytes is refused as soon as its first byte is there. */
MUST_USE outcome feed_next(struct bytes in, struct bytes *frame, size_t *used, struct fault *f);
/* Verifies the signature (REASON_FEED_SIGNATURE) and checks the whole frame with all its records
 * (REASON_FEED_FORMAT), so that a frame is applied wholly or not at all. `out` views `frame`. */
MUST_USE outcome feed_open(struct bytes frame, EVP_PKEY *key, struct feed_frame *out, struct fault *f);
/* Calls once a record, in order, without allocating. A record that the callee refuses ends the walk with its
 * fault. */
typedef outcome feed_each(void *arg, const struct feed_record *record, struct fault *f);
MUST_USE outcome feed_records(const struct feed_frame *frame, feed_each *each, void *arg, struct fault *f);

/* Where one end of a stream stands. A reader starts with its table's position (all zero: no table) and zero
 * digest. */
struct feed_chain {
	int64_t epoch;
	int64_t seq;
	uint8_t head[SHA256_SIZE];
	uint8_t digest[SHA256_SIZE]; /* of the last frame's payload */
	bool in_snapshot;	     /* parts of a snapshot have been read, not yet the last */
	int64_t snapshot_last;	     /* while in_snapshot */
	int64_t snapshot_epoch;
	uint8_t snapshot_head[SHA256_SIZE];
	bool started; /* a frame has been read */
};
/* The frame is the one that has to come next; the chain moves on only if so. REASON_FEED_GAP for a number,
 * hash or kind out of turn, REASON_FEED_EPOCH for an epoch below the table's, or a snapshot of the same epoch
 * that is older than the table. */
MUST_USE outcome feed_chain_take(struct feed_chain *c, const struct feed_frame *frame, struct fault *f);

/* Writing: records first, then the frame around them. */
void feed_put_certificate(struct buf *records, const struct feed_record *r);
void feed_put_policy(struct buf *records, struct bytes name, struct bytes document);
void feed_put_policy_removed(struct buf *records, struct bytes name);
void feed_put_removed(struct buf *records, struct bytes fingerprint);
void feed_put_sessions(struct buf *records, const struct feed_record *r);
/* Appends the signed frame as one byte string of the stream. In `frame` the caller sets epoch, first, last,
 * time_ms, kind, head, count and records; `previous` and `digest` are set here, and *previous becomes the new
 * digest. */
MUST_USE outcome feed_seal(struct buf *out, struct feed_frame *frame, uint8_t previous[SHA256_SIZE],
			   EVP_PKEY *key, struct fault *f);

#endif
