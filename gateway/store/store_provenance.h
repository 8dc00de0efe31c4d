/*
 * store_provenance.h - the store as provenance needs it: what lines and orders the OEM has, which of their
 * numbers were used and by whom, and a copy of the register. Otherwise as store.h says.
 *
 * Whatever is added here was verified by the caller: the store keeps it, once and in order.
 */
#ifndef MOORING_GATEWAY_STORE_PROVENANCE_H
#define MOORING_GATEWAY_STORE_PROVENANCE_H

#include "common/provenance/chain.h"
#include "common/provenance/line_record.h"
#include "common/provenance/work_order.h"
#include "store.h"

enum { STORE_OBJECTS_MAX = 200, STORE_ENTRIES_MAX = 1000 };

/* The store's number of a programme, made where there is none. */
void store_programme(struct store *s, const uint8_t programme[PROGRAMME_ID_SIZE],
		     void (*done)(int64_t programme, const struct fault *f, void *arg), void *arg);

/* ---- lines and orders ---- */

struct store_line {
	int64_t id;
	int64_t programme; /* the store's number */
	uint8_t line[KEY_ID_SIZE];
	struct bytes record;  /* the line record in force */
	bool held;	      /* suspended by an operator */
	bool revoked;	      /* by an operator, */
	int64_t revoked_from; /* from this time of the register on */
	int64_t seq;	      /* of the log entry that made it so; 0 from a listing */
};

struct store_order {
	int64_t id;
	int64_t programme;
	struct bytes order;
	int64_t used; /* sequence numbers; of a listing */
	bool frozen;  /* its batch; of a listing */
};

/* One of the two. */
struct store_object {
	int64_t programme; /* the store's number */
	struct bytes object;
	const struct line_record *line; /* NULL: it is an order */
	const struct work_order *order; /* NULL: it is a line record */
};

struct store_added {
	struct store_changed change;
	bool lines_changed; /* in what they allow: one more of what store_chain's lines_state counts */
	const struct store_line *lines; /* as they are now: those of the list that changed */
	size_t line_count;
	const struct store_order *orders;
	size_t order_count;
	int64_t unchanged; /* were there already */
};

/* All of them in one transaction, or none. CONFLICT names the first that is not taken: a line record that is older
 * than the one there is, or another one of the same version; another order for the same line, batch and stage. At most
 * STORE_OBJECTS_MAX. */
void store_provenance_add(struct store *s, const struct store_caller *who, const struct store_object *objects,
			  size_t count,
			  void (*done)(const struct store_added *answer, const struct fault *f, void *arg),
			  void *arg);

/* In order of their numbers, those after `after`, at most STORE_PAGE_MAX. */
void store_lines(struct store *s, int64_t after,
		 void (*done)(const struct store_line *lines, size_t count, const struct fault *f, void *arg),
		 void *arg);

struct store_order_query {
	int64_t after;	     /* its number */
	const char *batch;   /* NULL: of every batch */
	const uint8_t *line; /* key id; NULL: of every line */
	bool counted;	     /* fill in `used` and `frozen` */
	size_t limit;	     /* at most STORE_PAGE_MAX */
};
void store_orders(struct store *s, const struct store_order_query *q,
		  void (*done)(const struct store_order *orders, size_t count, const struct fault *f,
			       void *arg),
		  void *arg);

enum store_line_verb { STORE_LINE_SUSPEND, STORE_LINE_RESUME, STORE_LINE_REVOKE };
struct store_line_order {
	uint8_t line[KEY_ID_SIZE]; /* in every programme that has it */
	enum store_line_verb verb;
	int64_t from; /* REVOKE: of the register's time */
	const char *reason;
};
/* What the operator says of a line, whatever its record says: no certificate is made, from the answer on, that the line
 * as it stands now does not allow. NOT_FOUND. CONFLICT where a revoked line is to be resumed, or revoked from a later
 * time than before. */
void store_line_set(struct store *s, const struct store_caller *who, const struct store_line_order *order,
		    void (*done)(const struct store_added *answer, const struct fault *f, void *arg),
		    void *arg);

struct store_line_device {
	const char *thing;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	const char *batch;
	int64_t stage, seq;
	int64_t time;	    /* of the register */
	const char *cursor; /* for `after` */
};
/* Devices that used a statement of this line with a time of the register at or after `since`, by orders and their
 * numbers; `after` is "" or the cursor of the last one seen. */
void store_line_devices(struct store *s, const uint8_t line[KEY_ID_SIZE], int64_t since, const char *after,
			size_t limit,
			void (*done)(const struct store_line_device *devices, size_t count,
				     const struct fault *f, void *arg),
			void *arg);

/* Ends a freeze. `programme` is an id, or NULL where one programme alone has a frozen batch of this name: CONFLICT for
 * more, NOT_FOUND for none. */
void store_batch_release(struct store *s, const struct store_caller *who, const char *batch,
			 const uint8_t *programme, const char *reason, store_changed_done *done, void *arg);

/* ---- chains ---- */

struct store_statement {
	int64_t order; /* store_order's number */
	int64_t line;  /* store_line's */
	const char *batch;
	int64_t stage, seq;
	uint8_t sha256[SHA256_SIZE];
	int64_t time;	  /* of the register */
	int64_t index;	  /* its place there; 0: the chain does not say */
	int64_t per_hour; /* what the line can do; 0: not said */
};

/* A chain that was checked, for a reservation: its statements are used once and for ever. */
struct store_chain {
	int64_t programme;   /* the store's number */
	int64_t lines_state; /* of what it was checked against: stale, if lines have changed since */
	struct store_statement statements[STAGES_MAX];
	size_t count;
	struct bytes chain; /* as it was sent; kept */
	uint8_t rot_key[P256_POINT_SIZE];
	struct bytes receipt;	   /* empty: none */
	size_t receipt_count;	   /* statements, from the first on, that it is about */
	uint8_t head[SHA256_SIZE]; /* after the last of them */
	bool raises_generation;	   /* by its last statement, once */
	bool freeze;		   /* the batch, on an equivocation */
};

/* What is known of a device and of statements. */
struct store_origin {
	bool recorded; /* the device has used a chain of this programme */
	uint8_t rot_key[P256_POINT_SIZE];
	uint8_t last[SHA256_SIZE]; /* its last statement */
	struct bytes chain;	   /* as it was sent */
	int64_t times[STAGES_MAX]; /* the register's, of the statements asked about; -1: not registered */
};
void store_origin(struct store *s, int64_t programme, const uint8_t instance_id[INSTANCE_ID_SIZE],
		  const uint8_t (*statements)[SHA256_SIZE], size_t count,
		  void (*done)(const struct store_origin *o, const struct fault *f, void *arg), void *arg);

/* ---- the register ---- */

struct store_register_push {
	int64_t programme;
	uint8_t programme_id[PROGRAMME_ID_SIZE];
	const struct register_entry *entries; /* one after the other */
	size_t count;			      /* at most STORE_ENTRIES_MAX */
	const struct register_head *head;     /* verified by the caller */
	struct bytes word;		      /* the object that it was read from */
};
/* Entries that are there already must be the same; what follows on them is taken, and must end at the head, whose size
 * is the last index. CONFLICT where entries are missing in between. REGISTER_HISTORY where it is another history than
 * what was pushed or what receipts have shown: an alarm that keeps both words, and nothing is taken. */
void store_register_push(struct store *s, const struct store_caller *who,
			 const struct store_register_push *push, store_changed_done *done, void *arg);

struct store_provenance_state {
	uint8_t programme[PROGRAMME_ID_SIZE];
	int64_t id;
	int64_t lines, orders;
	int64_t register_size, register_time; /* of the copy and of its newest entry */
	int64_t word_time;		      /* of the register's newest word; 0: none */
	int64_t devices;		      /* with a chain on record */
};
struct store_frozen {
	const char *batch;
	int64_t programme;
	int64_t since_ms;
};
void store_provenance_state(struct store *s,
			    void (*done)(const struct store_provenance_state *programmes, size_t count,
					 const struct store_frozen *frozen, size_t frozen_count,
					 const struct fault *f, void *arg),
			    void *arg);

#endif
