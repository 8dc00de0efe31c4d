/*
 * store_internal.h - what the files of the SQLite store share: an operation, a connection, the writer.
 *
 * A verb makes an operation: its input copied, a function that runs it inside a transaction, a function that
 * answers it on the caller's loop. Writing operations go to the one writer, which commits them in groups;
 * queries go to readers with connections of their own.
 */
#ifndef MOORING_STORE_INTERNAL_H
#define MOORING_STORE_INTERNAL_H

#include "store_feed.h"
#include "store_provenance.h"
#include "store_query.h"

#include "common/clock.h"
#include "common/db/db_query.h"
#include "common/loop.h"
#include "common/thread.h"

#include <stdatomic.h>

enum { STORE_SCHEMA_VERSION = 7, STORE_BATCH_MAX = 64, STORE_QUEUE_MAX = 8192, STORE_REFUSALS_MAX = 2048 };
enum { STORE_READERS = 2 };

extern const char store_schema[];

/* ---- pages of rows (page.c) ---- */

/* Every query answers at most a page; its rows are copied into the operation's arena. */
struct op;
struct page {
	struct op *op;
	void *rows;
	size_t count, size;
};
typedef void page_read_row(struct op *op, struct query *q, void *out);
struct page page_new(struct op *op, size_t row_size);
/* Runs the query to its end or to the end of the page. */
MUST_USE outcome page_fill(struct page *p, struct query *q, page_read_row *read, struct fault *f);
/* STORE_PAGE_MAX at most, and where nothing was asked for. */
size_t page_limit(size_t asked);

/* ---- operations (op.c) ---- */

struct arena_block {
	struct arena_block *next;
	_Alignas(max_align_t) uint8_t memory[];
};

struct op {
	struct op *next;
	struct store *store;
	struct loop *loop; /* NULL: the answer is given on the store's thread */
	/* In a transaction. A refusal is op_refuse and DONE: what was written for it (its log entry) is
	 * committed. A fault rolls back this operation alone; it may run again, so it sets its results anew
	 * each time. */
	outcome (*run)(struct op *op, struct conn *c, struct fault *f);
	void (*answer)(struct op *op, const struct fault *f);
	void (*release)(struct op *op); /* frees what `run` allocated outside the arena; may be NULL */
	bool urgent;			/* a change of standing: written even from the last of the disk */
	bool refused;			/* by op_refuse */
	bool failed;			/* by the store: nothing of it was written */
	struct fault fault;
	int64_t seq;	       /* set by run: last log entry of the change, 0: none */
	int64_t time_ms;       /* of the transaction */
	int64_t durable_at_us; /* set after the commit */
	struct arena_block *arena;
};

/* Zeroed memory of `size` bytes whose first member is the op; aborts where there is none. */
void *op_new(struct store *s, size_t size, outcome (*run)(struct op *op, struct conn *c, struct fault *f),
	     void (*answer)(struct op *op, const struct fault *f));
/* Memory, or a copy, that lives as long as the operation. */
void *op_alloc(struct op *op, size_t n);
const char *op_text(struct op *op, const char *s); /* NULL becomes "" */
struct bytes op_bytes(struct op *op, struct bytes b);
/* Copies the fault into the operation: its answer will be this refusal. */
outcome op_refuse(struct op *op, enum reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void op_write(struct op *op);  /* to the writer */
void op_read(struct op *op);   /* to a reader */
void op_finish(struct op *op); /* posts the answer to its loop; the operation is gone */

/* ---- the writer ---- */

struct writer {
	struct conn conn;
	struct writer_head {
		int64_t epoch;
		int64_t seq;   /* of the last entry */
		int64_t lines; /* how often, since the start, a line changed in what it allows */
		uint8_t hash[SHA256_SIZE];
	} head, durable; /* with what the transaction has written so far; as it was at the last commit */
	int64_t now_ms;	 /* wall clock at the transaction's start */
	int64_t changes; /* of the connection, at the transaction's start */
	int64_t probe_next_ms;	   /* monotonic; where nothing can be written, when to try again */
	int64_t supersede_next_ms; /* monotonic; when to look for certificates whose time to end has come */
	struct store_feed_record *records; /* of this transaction */
	size_t record_count, record_room;
	size_t last_group; /* operations in it */
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct op *first, **last;
	size_t length, urgent;
	size_t wanted; /* the waiting thread is woken at this length, and by what is urgent */
	bool closing;
};

struct store {
	char *path;
	struct store_options options;
	struct writer writer;
	struct queue writes, reads;
	pthread_t threads[2 + STORE_READERS]; /* writer, checkpoints, readers */
	unsigned thread_count;
	void (*notify)(struct store_commit *c, void *arg);
	void *notify_arg;
	struct {
		char *path;
		bool spent;
	} ballast; /* the writer's */
	/* checkpoints, off the writer's path */
	pthread_mutex_t checkpoint_lock;
	pthread_cond_t checkpoint_wanted;
	bool checkpoint_due, checkpoint_closing;
	/* numbers for /metrics */
	atomic_bool writable;
	atomic_uint_least64_t commits, operations, failures, refusals_dropped, commit_us;
	atomic_uint_least64_t dropped_unlogged; /* refusals not yet accounted for in the log */
	atomic_int_least64_t strangers_next_us; /* monotonic; refused.c */
	atomic_int_least64_t last_seq;
};

void queue_init(struct queue *q);
/* The next operation, NULL where there is none now. */
struct op *queue_take(struct queue *q);
/* Waits for an operation until the monotonic time `until_ms` (0: without end). False when the queue is
 * closing and empty. */
bool queue_wait(struct queue *q, int64_t until_ms);
/* Waits until `wanted` operations are there, or one is urgent, or none has come for `lull_ms`, or the
 * monotonic time has come. */
void queue_gather(struct queue *q, size_t wanted, int64_t lull_ms, int64_t until_ms);
void queue_close(struct queue *q);
size_t queue_length(struct queue *q);

/* Thread mains; arg is the store (writer.c, reader.c, checkpoint.c). */
void *writer_main(void *store);
void *reader_main(void *store);
void *checkpoint_main(void *store);
void checkpoint_watch(struct store *s); /* hooks the writer's connection */
void checkpoint_close(struct store *s);
/* Looks for certificates to supersede no later than in `in_s` seconds. */
void writer_supersede_within(struct writer *w, int64_t in_s);

/* Where the last commit failed: tries to write now and then, so that readiness does not wait for somebody
 * to ask (probe.c). Writer's thread. */
void probe_look(struct store *s);
int64_t probe_next_ms(const struct store *s); /* monotonic; INT64_MAX where there is nothing to try */

/* Space kept for when the disk is full (ballast.c). Writer's thread, or before it. */
MUST_USE outcome ballast_open(struct store *s, struct fault *f);
void ballast_close(struct store *s);
/* Gives the space up; false where it was given up before. */
bool ballast_spend(struct store *s);
/* Takes it again if it was given up and there is room. */
void ballast_restore(struct store *s);

/* ---- the log (log.c) ---- */

struct log_new {
	const char *kind;
	const char *actor;
	const char *request_id;
	int64_t device_id;	    /* 0: none */
	const uint8_t *instance_id; /* NULL: none */
	const char *thing;
	const uint8_t *fingerprint; /* NULL: none. Set where the certificate's record changes for brokers, and
				       only there */
	const char *reason;
	const char *detail;
};
/* Appends an entry in the current transaction; w->head.seq is its
 * number. Strings that are NULL count as "". */
MUST_USE outcome log_append(struct writer *w, const struct log_new *e, struct fault *f);
/* The last entry as it is on disk. */
MUST_USE outcome log_load_head(struct conn *c, int64_t *seq, uint8_t hash[SHA256_SIZE], struct fault *f);
/* Reads columns as LOG_COLUMNS lists them. */
#define LOG_COLUMNS                                                                                          \
	"seq, time_ms, kind, actor, request_id, instance_id, thing, fingerprint, reason, detail, hash"
void log_read_row(struct op *op, struct query *q, void *log_entry);

/* JSON object text for `detail`, built member by member. */
void detail_text(struct buf *b, const char *name, const char *value);
void detail_hex(struct buf *b, const char *name, const void *p, size_t n);
void detail_int(struct buf *b, const char *name, int64_t value);
void detail_base64url(struct buf *b, const char *name, struct bytes value);
/* Closes the object; the string lives in the buffer. "" when nothing was added or memory ran out. */
const char *detail_end(struct buf *b);

/* ---- what verbs know about devices (device.c) ---- */

struct device {
	int64_t id;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	char thing[THING_NAME_SIZE];
	int64_t generation;
	bool revoked, on_hold, quarantined, withdrawn, granted;
	char revocation_reason[32];
	bool plain; /* attached, under the default policy, without type and attributes */
};
/* Reads columns as DEVICE_COLUMNS lists them, of `devices d`. */
#define DEVICE_COLUMNS                                                                                       \
	"d.id, d.instance_id, d.thing, d.generation, d.revoked, d.on_hold, d.quarantined, d.withdrawn, "     \
	"d.granted, d.revocation_reason, d.policy = '' AND d.detached = 0 AND d.thing_type = '' AND "        \
	"d.attributes = ''"
void device_read(struct query *q, struct device *out);
/* id 0 where there is none. */
MUST_USE outcome device_find(struct conn *c, const uint8_t instance_id[INSTANCE_ID_SIZE], struct device *out,
			     struct fault *f);
MUST_USE outcome device_find_thing(struct conn *c, const char *thing, struct device *out, struct fault *f);
MUST_USE outcome device_find_id(struct conn *c, int64_t id, struct device *out, struct fault *f);
MUST_USE outcome device_add(struct writer *w, const uint8_t instance_id[INSTANCE_ID_SIZE], const char *thing,
			    struct device *out, struct fault *f);
/* Writes the flags, the generation and the revocation reason back. */
MUST_USE outcome device_save(struct writer *w, const struct device *d, struct fault *f);
bool device_is_suspended(const struct device *d);
/* A list as callers name devices, copied into the operation. */
struct store_named *named_copy(struct op *op, const struct store_named *devices, size_t count);
/* REASON_NONE, or why no certificate of this device may be active. A grant lifts the tombstone. */
enum reason device_refusal(const struct device *d);
/* Its sentence for the operator. */
const char *device_refusal_text(enum reason reason);

/* ---- and about certificates (certificate.c): the fields that standing depends on ---- */

struct certificate {
	int64_t id;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	enum store_state state;
	int64_t device_id;
	int64_t generation;
	int64_t not_before, not_after;
	int64_t renews_id; /* 0: none */
	bool outgoing;
	uint8_t spki_sha256[SHA256_SIZE];
};
/* The database allows two live certificates a generation; old generations end with their successor. */
enum { LIVE_MAX = 8 };
/* Active and inactive certificates of a device, expired ones included. */
MUST_USE outcome certificates_live(struct conn *c, int64_t device_id, struct certificate out[LIVE_MAX],
				   size_t *count, struct fault *f);
MUST_USE outcome certificate_find(struct conn *c, const uint8_t fingerprint[FINGERPRINT_SIZE],
				  struct certificate *out, struct fault *f);

/* Who asked for a change, for its log entries. */
struct cause {
	const char *actor;
	const char *request_id;
	const char *reason;
};
/* Moves a certificate to a state, with log entry and feed record. `reason` of the cause is the RFC 5280 one
 * for REVOKED. */
MUST_USE outcome certificate_set_state(struct writer *w, const struct device *d, const struct certificate *c,
				       enum store_state state, const struct cause *cause, struct fault *f);
/* Brings all live certificates of a device in line with its standing; *count gets how many changed. */
MUST_USE outcome device_apply(struct writer *w, const struct device *d, const struct cause *cause,
			      int64_t *count, struct fault *f);
/* A device's new standing, with log entry and what follows for its certificates, of which *count gets how
 * many changed (standing.c). It is not revoked yet, or has a grant; not suspended by an operator yet, and
 * not revoked. */
MUST_USE outcome standing_revoke(struct writer *w, struct device *d, const struct cause *cause,
				 int64_t *count, struct fault *f);
MUST_USE outcome standing_suspend(struct writer *w, struct device *d, const struct cause *cause,
				  int64_t *count, struct fault *f);
/* Its certificates end, and it may enrol once more: it is not revoked, and has no grant yet. */
MUST_USE outcome standing_reattest(struct writer *w, struct device *d, const struct cause *cause,
				   int64_t *count, struct fault *f);
/* The name of RFC 5280 5.3.1 that a revocation needs; false where the operation is refused for it. */
MUST_USE bool standing_check_reason(struct op *op, const char *reason);
/* Revokes a renewed certificate. */
MUST_USE outcome certificate_supersede(struct writer *w, const struct certificate *c,
				       const struct cause *cause, struct fault *f);
/* Open intents of a device can no longer give an active certificate. */
MUST_USE outcome intents_cancel(struct writer *w, int64_t device_id, const char *why, struct fault *f);
/* Revokes renewed certificates whose time is up. Run by the writer between transactions of its callers. */
MUST_USE outcome supersede_due(struct writer *w, int64_t *next_s, struct fault *f);

/* ---- feeds (feed.c) ---- */

/* A growing list of records: the transaction's, or those of a reader's answer. */
struct feed_list {
	struct store_feed_record **records;
	size_t *count, *room;
};
/* Adds the row that a query stands at; columns as the two below list them. An expired certificate is no
 * record. */
#define FEED_DEVICE_ROW                                                                                      \
	"c.fingerprint, c.state, c.not_before, c.not_after, d.thing, "                                       \
	"EXISTS (SELECT 1 FROM certificates o WHERE o.id = c.renews_id AND o.outgoing = 1 AND o.state < "    \
	"2), 0, d.policy, d.detached, d.thing_type, d.attributes "                                           \
	"FROM certificates c JOIN devices d ON d.id = c.device_id "
#define FEED_SERVICE_ROW "fingerprint, state, not_before, not_after, name, 0, 1, '', 0, '', '' FROM services "
MUST_USE outcome feed_list_row(const struct feed_list *l, struct query *q, int64_t seq, struct fault *f);
/* `document` NULL: the policy is no longer there. */
MUST_USE outcome feed_list_policy(const struct feed_list *l, int64_t seq, const char *name,
				  const char *document, struct fault *f);
/* The certificate of a device or of a service as it now stands; nothing where there is none. */
MUST_USE outcome feed_list_certificate(struct conn *c, const struct feed_list *l, int64_t seq,
				       const uint8_t fingerprint[FINGERPRINT_SIZE], struct fault *f);

/* Adds the certificate's (or service's) record as it now stands to the transaction's. */
MUST_USE outcome feed_note(struct writer *w, const uint8_t fingerprint[FINGERPRINT_SIZE], struct fault *f);
/* The same where all of it is known; seq is set here. */
MUST_USE outcome feed_note_record(struct writer *w, const struct store_feed_record *r, struct fault *f);
MUST_USE outcome feed_note_policy(struct writer *w, const char *name, const char *document, struct fault *f);
void feed_records_free(struct store_feed_record *records, size_t count);

/* ---- policies (policy.c) ---- */

struct change_op;
enum policy_origin {
	POLICY_SHIPPED, /* the gateway's file, at its start: what an admin has set stays in force */
	POLICY_GIVEN,	/* with a service's certificate */
	POLICY_EDITED,	/* by an admin */
};
/* Within a transaction: sets the policy, with log entry and feed record where it changes, and counts it in `c`. */
MUST_USE outcome policy_put(struct change_op *c, const char *name, const char *document,
			    enum policy_origin origin, struct fault *f);
MUST_USE outcome policy_document(struct conn *c, const char *name, struct buf *out, bool *found,
				 struct fault *f);

/* The answer of every verb that changes standing. */
struct change_op {
	struct op op;
	store_changed_done *done;
	void *arg;
	int64_t count;
	/* What `run` has to say in it; numbers and times are filled in after the commit. */
	struct store_changed answer;
	const char *actor, *request_id, *name, *reason;
};
struct change_op *change_new(struct store *s, size_t size, const struct store_caller *who, const char *name,
			     const char *reason,
			     outcome (*run)(struct op *op, struct conn *c, struct fault *f),
			     store_changed_done *done, void *arg);

/* ---- a change of a device while it is made (standing.c) ---- */

struct change {
	struct change_op *op;
	struct writer *w;
	struct device device;
	struct cause cause;
	bool refused;
};
/* Looks the device up by the operation's name; NOT_FOUND sets `refused`. */
MUST_USE outcome change_start(struct change *x, struct op *op, struct fault *f);
/* It was made, to here in the log. */
outcome change_made(struct change *x, outcome o);
/* Nothing to do: the answer is of the change that was made then, and waiting for it means what it meant. That is the
 * newest entry of this kind; where there was never one, the newest by which the device stands as it does. */
MUST_USE outcome change_is_old(struct change *x, const char *kind, struct fault *f);

/* ---- origin.c ---- */

/* What a device has shown of where it was built; `out` is zero before, and stays so where it has shown nothing. */
struct store_built;
MUST_USE outcome origin_load_built(struct op *op, struct conn *c, int64_t device, struct store_built *out,
				   struct fault *f);

#endif
