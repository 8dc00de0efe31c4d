/*
 * reserve_internal.h - a reservation while it is decided: the checks (reserve.c), those of the device's chain
 * (reserve_chain.c) and what the register has of it (reserve_register.c), and how they refuse (reserve_refuse.c).
 */
#ifndef MOORING_GATEWAY_RESERVE_INTERNAL_H
#define MOORING_GATEWAY_RESERVE_INTERNAL_H

#include "store_internal.h"

struct reserve_op {
	struct op op;
	struct store_reservation in; /* its pointers are into the operation's arena */
	uint8_t renews[FINGERPRINT_SIZE];
	uint8_t ear_sha256[SHA256_SIZE];
	struct store_chain chain;
	struct store_reserved out;
	void (*done)(const struct store_reserved *answer, const struct fault *f, void *arg);
	void *arg;
};

/* A reservation while it is decided. Each check reads what the ones before it found. */
struct decision {
	struct reserve_op *r;
	struct writer *w;
	int64_t now;
	struct device device;		   /* id 0: never seen */
	struct certificate live[LIVE_MAX]; /* of the device's generation, expired ones left out */
	size_t live_count;
	bool key_known; /* this device asked for this key before */
	bool uses_grant;
	int64_t renews_id;
	size_t chain_known; /* statements of the chain that this device used before */
	bool chain_is_cut;  /* it used more of it than this */
	bool chain_raises;  /* the generation: it ends with a stage that allows it, and has not done so yet */
	bool receipt_is_ahead; /* of the copy of the register: it is kept */
	bool settled;	       /* answered or refused: no check follows */
};

/* Settles the reservation as refused, with a log entry in the same transaction. */
MUST_USE outcome reserve_refuse(struct decision *x, enum reason reason, const char *text, struct fault *f);
/* The same for a second key: alarm, quarantine where it is configured, and refusal are one transaction. */
MUST_USE outcome reserve_refuse_clone(struct decision *x, const char *text, struct fault *f);
/* An alarm of this device, in the same transaction; `detail` is closed by detail_end. */
MUST_USE outcome reserve_alarm(struct decision *x, enum reason reason, const char *detail, struct fault *f);

/* The chain (reserve_chain.c): what is on record of it, and whether that is its beginning; */
MUST_USE outcome reserve_load_chain(struct decision *x, struct fault *f);
/* whether its statements are unused, its batches not frozen, and the register says the same to all; */
MUST_USE outcome reserve_check_chain(struct decision *x, struct fault *f);
/* what is kept of it. x->device is there. */
MUST_USE outcome reserve_write_chain(struct decision *x, struct fault *f);
/* What its receipt says of the register (reserve_register.c). */
MUST_USE outcome reserve_check_register(struct decision *x, struct fault *f);
MUST_USE outcome reserve_write_register(struct decision *x, struct fault *f);

#endif
