/*
 * reserve_internal.h - a reservation while it is decided: the checks (reserve.c) and how they refuse
 * (reserve_refuse.c).
 */
#ifndef MOORING_GATEWAY_RESERVE_INTERNAL_H
#define MOORING_GATEWAY_RESERVE_INTERNAL_H

#include "store_internal.h"

struct reserve_op {
	struct op op;
	struct store_reservation in; /* its pointers are into the operation's arena */
	uint8_t renews[FINGERPRINT_SIZE];
	uint8_t ear_sha256[SHA256_SIZE];
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
	bool settled; /* answered or refused: no check follows */
};

/* Settles the reservation as refused, with a log entry in the same transaction. */
MUST_USE outcome reserve_refuse(struct decision *x, enum reason reason, const char *text, struct fault *f);
/* The same for a second key: alarm, quarantine where it is configured, and refusal are one transaction. */
MUST_USE outcome reserve_refuse_clone(struct decision *x, const char *text, struct fault *f);

#endif
