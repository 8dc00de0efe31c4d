/*
 * store.h - the gateway's durable state, in domain verbs.
 *
 * Every verb is asynchronous: it copies its input, returns at once, and `done` runs once, on the loop that
 * called the verb (loop_current()), or on a thread of the store where the caller has no loop. A verb that
 * writes answers after its transaction is durable, never before; a transaction that fails changes nothing and
 * is REASON_STORE_UNAVAILABLE or REASON_DISK_FULL. An answer's pointers are valid during `done` alone. Where
 * `f` is not NULL the verb was refused and `answer` is NULL. Times are Unix seconds unless the name ends in
 * _ms.
 *
 * What is read without changing anything is in store_query.h, what feeds need in store_feed.h, policies and things in
 * store_policy.h.
 */
#ifndef MOORING_GATEWAY_STORE_H
#define MOORING_GATEWAY_STORE_H

#include "common/crypto/cert.h"
#include "common/log_chain.h"
#include "common/signer_protocol.h"

enum { STORE_NAME_SIZE = 137, STORE_REQUEST_ID_SIZE = 27, STORE_REASON_SIZE = 257, STORE_PAGE_MAX = 500 };

enum { STORE_POLICY_NAME_SIZE = 129, STORE_TYPE_SIZE = 129 };

struct store;
struct store_chain; /* store_provenance.h */

struct store_options {
	const char *path;	   /* the database file, made where there is none */
	int64_t supersede_after_s; /* how long a renewed certificate may wait for its successor to connect */
	bool quarantine_clones;	   /* a second key suspends the device besides being refused */
};

MUST_USE outcome store_open(const struct store_options *options, struct store **out, struct fault *f);
/* Commits what is queued, answers it, ends the threads. No verb may be called any more. */
void store_close(struct store *s);

/* Who asks, for the log. `actor` is "device", "gateway", "attestation-service" or an access key id. */
struct store_caller {
	const char *request_id; /* "" where there was no request */
	const char *actor;
};

/* ---- enrolment ---- */

/* What a certificate will be, fixed before anything is signed. */
struct store_intent {
	uint8_t id[INTENT_ID_SIZE];
	uint8_t serial[SERIAL_SIZE];
	int64_t not_before;
	int64_t not_after;
	uint8_t spki_sha256[SHA256_SIZE];
	uint8_t instance_id[INSTANCE_ID_SIZE];
	char thing[THING_NAME_SIZE];
	char request_id[STORE_REQUEST_ID_SIZE]; /* of the request that reserved it */
	int64_t generation;			/* decided by the store; ignored in a reservation */
};

struct store_reservation {
	struct store_intent intent;
	const char *profile;	     /* "device" or "unattested" */
	enum evidence_type evidence; /* 0 where there is none (unattested) */
	unsigned assurance;	     /* level 0 to 3 */
	uint8_t nonce[NONCE_SIZE];
	const char *audience;
	uint8_t evidence_sha256[SHA256_SIZE];
	const char *ear;       /* the signed attestation result; "" where there is none */
	const uint8_t *renews; /* fingerprint of the certificate that this renews; NULL: an enrolment */
	const struct store_chain *chain; /* whose statements it uses; NULL: none */
};

enum store_reserve_result {
	STORE_RESERVED, /* the intent is durable: sign it */
	STORE_PENDING,	/* an open intent of the same key: go on with that one */
	STORE_EXISTS,	/* this key has its certificate already: give it out again */
};

struct store_reserved {
	enum store_reserve_result result;
	struct store_intent intent; /* RESERVED, PENDING: id, serial and dates to sign with; EXISTS: of the
				       certificate (id is zero) */
	struct bytes certificate;   /* EXISTS: DER */
	uint8_t fingerprint[FINGERPRINT_SIZE]; /* EXISTS */
};

/* Refusals: DEVICE_REVOKED (tombstone), DEVICE_QUARANTINED, DEVICE_ON_HOLD (suspended by an operator),
 * DEVICE_SUSPENDED (withdrawn by the attestation service), CLONE_SUSPECT (raises the alarm and, by option,
 * quarantines, in the same transaction), KEY_IN_USE, KEY_REVOKED, RENEWAL_UNKNOWN, RENEWAL_STATE; of a
 * chain CHAIN_USED, BATCH_FROZEN, EQUIVOCATION (an alarm that keeps both statements and, where the chain says so,
 * freezes the batch) and REGISTER_HISTORY. Each of these refusals has its log entry already: do not call store_refused for
 * them. OVERLOADED has none. */
void store_reserve(struct store *s, const struct store_reservation *r,
		   void (*done)(const struct store_reserved *answer, const struct fault *f, void *arg),
		   void *arg);

struct store_recorded {
	uint8_t fingerprint[FINGERPRINT_SIZE];
	int64_t seq; /* of its log entry */
	bool logged; /* with a refusal: it is in the log, under the request that reserved */
};

/* The intent's certificate becomes active, is logged and reaches the feeds. The same certificate again is the
 * same answer. An answer means that the intent is settled; an answer with a fault, that the certificate is on
 * record but must not be handed out: the device lost its standing meanwhile (DEVICE_REVOKED,
 * DEVICE_QUARANTINED, DEVICE_ON_HOLD, DEVICE_SUSPENDED), was allowed to enrol anew (CONFLICT), or the
 * certificate has expired (DEADLINE). A fault without an answer, such as NOT_FOUND or the store's own
 * troubles, settles nothing. */
void store_record(struct store *s, const uint8_t intent_id[INTENT_ID_SIZE], struct bytes certificate,
		  void (*done)(const struct store_recorded *answer, const struct fault *f, void *arg),
		  void *arg);
/* The signer has confirmed that it will never sign this intent. */
void store_void(struct store *s, const uint8_t intent_id[INTENT_ID_SIZE],
		void (*done)(const struct fault *f, void *arg), void *arg);
/* All intents neither recorded nor voided, for start-up. */
void store_open_intents(struct store *s,
			void (*done)(const struct store_intent *intents, size_t count, const struct fault *f,
				     void *arg),
			void *arg);

/* A refusal by any other stage becomes a log entry; nobody waits for it. instance_id may be NULL, thing and
 * detail "" (detail: JSON object text). `proven`: an attestation result says that the caller is this
 * device. Without one anybody may have sent the request: the entry keeps the instance ID that was claimed,
 * but is none of the device's own history, and such entries are limited in number (a burst, then some a
 * second). What is beyond that, or finds too many queued, is counted, and the count is logged instead. */
void store_refused(struct store *s, const char *request_id, const uint8_t *instance_id, bool proven,
		   const char *thing, const struct fault *refusal, const char *detail);

/* ---- standing ---- */

enum store_state {
	STORE_ACTIVE = 0,
	STORE_INACTIVE = 1,
	STORE_REVOKED = 2,
	STORE_EXPIRED =
		3, /* set when its key's successor needs the place; its date alone ends it everywhere */
	STORE_REMOVED = 4, /* services: no longer registered */
};

struct store_changed {
	int64_t seq; /* last log entry of the change: effective at a broker when its receipt reaches it */
	int64_t recorded_at_ms; /* wall clock */
	int64_t durable_at_us;	/* monotonic, taken when the commit had returned */
	int64_t count;		/* certificates concerned */
	bool already; /* nothing was changed: seq, time, reason and actor are of the entry that did */
	char reason[STORE_REASON_SIZE], actor[STORE_NAME_SIZE]; /* where already; "" else */
	bool feeds_anew; /* it ends every feed: a broker that has none is on its way back */
};
typedef void store_changed_done(const struct store_changed *answer, const struct fault *f, void *arg);

/* NOT_FOUND for an unknown thing. `reason` is an RFC 5280 5.3.1 name in kebab case ("key-compromise"):
 * BAD_FIELD. All live certificates are revoked and the device has a tombstone; open intents can no longer
 * become active, an unused grant is gone. Of a revoked device this changes nothing, its reason neither. */
void store_revoke(struct store *s, const struct store_caller *who, const char *thing, const char *reason,
		  store_changed_done *done, void *arg);
/* Certificates become inactive; an enrolment is refused. CONFLICT for a revoked device. */
void store_suspend(struct store *s, const struct store_caller *who, const char *thing, const char *reason,
		   store_changed_done *done, void *arg);
/* Lifts an operator's suspension and a quarantine, not a withdrawal by the attestation service. CONFLICT for
 * a revoked device. */
void store_resume(struct store *s, const struct store_caller *who, const char *thing,
		  store_changed_done *done, void *arg);
/* Grants one enrolment with a new key: it raises the generation and ends the certificates of the old one. */
void store_allow_reenrol(struct store *s, const struct store_caller *who, const char *thing,
			 const char *reason, store_changed_done *done, void *arg);

/* ---- many devices at once ---- */

enum { STORE_RECALL_MAX = 500 };

/* One of them: by its instance ID, with the name that it has or will have; or by its name alone. */
struct store_named {
	const uint8_t *instance_id; /* NULL: by its name */
	const char *thing;
};

struct store_recall {
	const struct store_named *devices;
	size_t count;	    /* at most STORE_RECALL_MAX */
	bool suspend;	    /* else they are revoked, */
	bool reattest;	    /* or their certificates alone, and each may enrol once more; not with suspend */
	const char *reason; /* for a revocation as store_revoke's */
};

struct store_recalled {
	struct store_changed
		change;	 /* `seq`: what a broker has receipted that has them all as they are now, also where
					nothing was to be changed */
	int64_t changed; /* devices */
	int64_t already; /* revoked, or so suspended, before */
	int64_t added;	 /* of the changed ones: they never asked for a certificate, and will be refused */
	const size_t *unknown; /* places in the list: names that no device has */
	size_t unknown_count;
};

/* All of them in one transaction, each with its log entry. What is so already stays as it is: a revoked
 * device is neither suspended nor let in again. A device that is named by its instance ID and is not known is remembered for
 * when it comes. BAD_FIELD. */
void store_recall(struct store *s, const struct store_caller *who, const struct store_recall *r,
		  void (*done)(const struct store_recalled *answer, const struct fault *f, void *arg),
		  void *arg);

struct store_service {
	const char *name;
	struct bytes certificate; /* DER, already verified against the service CA */
	const char *policy;	  /* AWS IoT policy document, already compiled once */
};
/* Registers the certificate under the policy "service/<name>", replacing that policy. Further certificates of
 * one name live side by side. */
void store_service_add(struct store *s, const struct store_caller *who, const struct store_service *service,
		       store_changed_done *done, void *arg);
void store_service_remove(struct store *s, const struct store_caller *who, const char *name,
			  store_changed_done *done, void *arg);

struct store_service_row {
	const char *name;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	int64_t not_before;
	int64_t not_after;
	const char *policy;
};
/* Registered ones, in order of their names, at most STORE_PAGE_MAX. */
void store_services(struct store *s,
		    void (*done)(const struct store_service_row *services, size_t count,
				 const struct fault *f, void *arg),
		    void *arg);

/* ---- withdrawals by the attestation service ---- */

enum { STORE_MARK_SIZE = 8 };
struct store_withdrawal {
	uint8_t instance_id[INSTANCE_ID_SIZE];
	bool suspended;	    /* false: active again */
	int64_t seq;	    /* the service's own number */
	int64_t time;	    /* by the service's clock */
	const char *reason; /* the service's words, for the log */
	uint8_t mark[STORE_MARK_SIZE];
	bool superseded; /* a later entry is about the same device */
};
/* Applies the entries in transactions of some each, every one with the number that it reaches; entries at
 * or below the stored number are skipped. Devices that never enrolled are remembered. `done` tells of the
 * last transaction. Among entries that are read anew after store_withdrawals_restart only the last about a
 * device counts, and one that would lift a withdrawal does not: it is an alarm. */
void store_withdrawals_apply(struct store *s, const struct store_withdrawal *entries, size_t count,
			     store_changed_done *done, void *arg);

struct store_withdrawals_position {
	int64_t last; /* the number applied last, 0 at first */
	bool marked;
	uint8_t mark[STORE_MARK_SIZE]; /* of that entry, where marked */
};
void store_withdrawals_position(struct store *s,
				void (*done)(const struct store_withdrawals_position *at,
					     const struct fault *f, void *arg),
				void *arg);
/* The service's list is not the one that was read so far: it is read anew from its start, and an alarm says
 * so. */
void store_withdrawals_restart(struct store *s, const struct fault *why, store_changed_done *done, void *arg);

/* ---- the log ---- */

/* After an older copy of the database was put back, knowingly: the feeds' epoch is raised, so that brokers
 * take this log's state for theirs, whatever they know. Until then they are refused. What was revoked since
 * the copy has to be revoked again first. */
void store_epoch_raise(struct store *s, const struct store_caller *who, const char *reason,
		       store_changed_done *done, void *arg);

/* A log entry of kind "alarm" by the gateway itself; of a device, the one that was attested. */
void store_device_alarm(struct store *s, const char *request_id, const uint8_t instance_id[INSTANCE_ID_SIZE],
			const struct fault *what, const char *detail);
void store_alarm(struct store *s, const struct store_caller *who, const struct fault *what,
		 const char *detail);

/* ---- for /readyz and /metrics ---- */

struct store_stats {
	bool writable; /* the last commit succeeded */
	size_t queued;
	uint64_t commits, operations, failures, refusals_dropped;
	uint64_t commit_us; /* spent in COMMIT, in all */
	int64_t last_seq;
};
void store_stats(struct store *s, struct store_stats *out); /* any thread, no waiting */
void store_metrics_write(struct buf *out);		    /* alarms, as /metrics has them */

#endif
