/*
 * store_feed.h - the store as the brokers' feeds need it: each commit as it happens, what was missed, the
 * whole table; and the brokers themselves.
 */
#ifndef MOORING_GATEWAY_STORE_FEED_H
#define MOORING_GATEWAY_STORE_FEED_H

#include "store.h"

/* One change of what a broker holds. */
struct store_feed_record {
	int64_t seq; /* its log entry; 0 in a snapshot */
	bool is_policy;
	/* a certificate */
	uint8_t fingerprint[FINGERPRINT_SIZE];
	enum store_state state; /* EXPIRED never, REMOVED: no longer there */
	int64_t not_before;
	int64_t not_after;
	bool report_first; /* its predecessor waits for its first connection */
	bool is_service;
	bool detached;		    /* from its thing */
	char name[STORE_NAME_SIZE]; /* thing or service; the policy's name where is_policy */
	/* Attached to the thing; "": the default one, or the service's own. */
	char policy[STORE_POLICY_NAME_SIZE];
	char thing_type[STORE_TYPE_SIZE];
	char *attributes; /* JSON object, names ascending; NULL: none */
	/* a policy */
	char *document; /* NULL: it is no longer there */
};

/* One commit. Shared by reference count; immutable. */
struct store_commit {
	_Atomic int refs;
	int64_t epoch;
	int64_t first, last;	   /* log entries */
	uint8_t head[SHA256_SIZE]; /* log hash at last */
	int64_t durable_at_us;
	struct store_feed_record *records;
	size_t count;
};
void store_commit_hold(struct store_commit *c);
void store_commit_release(struct store_commit *c); /* any thread */

/* `notify` runs on the writer's thread after each commit with log entries, in order, and must not block; it
 * holds the commit if it keeps it. One subscriber; set before the first verb. */
void store_subscribe(struct store *s, void (*notify)(struct store_commit *c, void *arg), void *arg);

struct store_head {
	int64_t epoch;
	int64_t seq;
	uint8_t hash[SHA256_SIZE];
	int64_t certificates_end; /* rows at or below were there at this head: the bound of a snapshot */
};
/* The newest durable head. With after > 0 also whether `hash` is this log's hash at `after`. */
void store_feed_head(struct store *s, int64_t after, const uint8_t hash[SHA256_SIZE],
		     void (*done)(const struct store_head *head, bool known, const struct fault *f,
				  void *arg),
		     void *arg);
/* Changes after a number, at most `limit` log entries: `c` says what it covers (last < first: there is
 * nothing newer, and no head). */
void store_feed_changes(struct store *s, int64_t after, size_t limit,
			void (*done)(struct store_commit *c, const struct fault *f, void *arg), void *arg);
/* A page of the table as it is now: policies first, then rows after *cursor (0 at first) up to `end`. `next`
 * is the cursor to go on with, -1 when this was the last page. */
void store_feed_snapshot(struct store *s, int64_t cursor, int64_t end, size_t limit,
			 void (*done)(struct store_commit *c, int64_t next, const struct fault *f, void *arg),
			 void *arg);

/* These certificates connected for the first time: what they renewed is revoked as superseded. */
void store_connected(struct store *s, const uint8_t (*fingerprints)[FINGERPRINT_SIZE], size_t count,
		     const char *broker, store_changed_done *done, void *arg);

/* Brokers that ever had a feed, so that a revocation is never called effective while one of them is away.
 * This one asks for a feed, with a certificate of this key (SHA-256 of SubjectPublicKeyInfo):
 * REASON_BROKER_REVOKED. */
void store_broker_add(struct store *s, const struct store_caller *who, const char *name,
		      const uint8_t spki_sha256[SHA256_SIZE], store_changed_done *done, void *arg);
void store_broker_remove(struct store *s, const struct store_caller *who, const char *name,
			 store_changed_done *done, void *arg);
void store_brokers(struct store *s,
		   void (*done)(const char *const *names, size_t count, const struct fault *f, void *arg),
		   void *arg);

/* For good: no feed for this key, whatever its certificate; with spki_sha256 NULL, no feed for the name,
 * whatever its key, and no change waits for it any more. */
void store_broker_revoke(struct store *s, const struct store_caller *who, const char *name,
			 const uint8_t *spki_sha256, const char *reason, store_changed_done *done, void *arg);
struct store_revoked_broker {
	const char *name;
	bool whole; /* the name; no key */
	uint8_t spki_sha256[SHA256_SIZE];
	int64_t revoked_at_ms;
	const char *reason, *actor;
};
void store_brokers_revoked(struct store *s,
			   void (*done)(const struct store_revoked_broker *revoked, size_t count,
					const struct fault *f, void *arg),
			   void *arg);

#endif
