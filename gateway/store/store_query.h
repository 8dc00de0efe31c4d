/*
 * store_query.h - what operators and the enrolment path ask of the store, on read-only connections. Each
 * answer is of one moment; otherwise as store.h says.
 */
#ifndef MOORING_GATEWAY_STORE_QUERY_H
#define MOORING_GATEWAY_STORE_QUERY_H

#include "common/provenance/chain.h"
#include "store.h"

struct store_certificate {
	uint8_t fingerprint[FINGERPRINT_SIZE];
	uint8_t serial[SERIAL_SIZE];
	enum store_state state;
	const char *revocation_reason; /* "" unless revoked */
	int64_t not_before;
	int64_t not_after;
	int64_t issued_at_ms;
	int64_t revoked_at_ms; /* 0 unless revoked */
	int64_t generation;
	uint8_t spki_sha256[SHA256_SIZE];
	uint8_t instance_id[INSTANCE_ID_SIZE];
	const char *thing;
	const char *evidence; /* "psa-token", "cose-csr", "none" */
	unsigned assurance;
	const char *ear;	/* the signed attestation result it rests on; "" where there was none */
	const char *request_id; /* that enrolled it */
	bool outgoing;		/* renewed; ends with its successor's first connection or by time */
	struct bytes der;
};

/* One device certificate by fingerprint, whatever its state; NOT_FOUND. */
void store_certificate(struct store *s, const uint8_t fingerprint[FINGERPRINT_SIZE],
		       void (*done)(const struct store_certificate *c, const struct fault *f, void *arg),
		       void *arg);

struct store_device {
	uint8_t instance_id[INSTANCE_ID_SIZE];
	const char *thing; /* "" for a device that was withdrawn before it ever asked */
	int64_t generation;
	bool revoked, on_hold, quarantined, withdrawn, granted;
	int64_t first_seen_ms;
	int64_t certificates; /* live ones */
};
/* "active", "suspended" (on hold, quarantined or withdrawn) or "revoked". */
const char *store_device_state(const struct store_device *d);

struct store_device_query {
	const char *state; /* NULL: all */
	const char *after; /* thing; "" from the start */
	size_t limit;	   /* at most STORE_PAGE_MAX */
};
/* In order of the thing's name. */
void store_devices(struct store *s, const struct store_device_query *q,
		   void (*done)(const struct store_device *devices, size_t count, const struct fault *f,
				void *arg),
		   void *arg);

/* These, one by one: `thing` is NULL where there is no such device. At most STORE_RECALL_MAX. */
void store_lookup(struct store *s, const struct store_named *devices, size_t count,
		  void (*done)(const struct store_device *devices, size_t count, const struct fault *f,
			       void *arg),
		  void *arg);

/* Where a device was built, as it has shown. */
struct store_built {
	int64_t programme; /* the store's number; 0: it has shown no chain, and nothing below is set */
	uint8_t programme_id[PROGRAMME_ID_SIZE];
	struct bytes bytes;	   /* the chain as it was sent */
	struct chain chain;	   /* read from them */
	int64_t times[STAGES_MAX]; /* of the register, one a statement */
};

/* Everything about one device. */
struct store_dossier {
	struct store_device device;
	struct store_built built;
	const struct store_certificate *certificates;
	size_t certificate_count;
	const struct log_entry *history;
	size_t history_count;
};
void store_device(struct store *s, const char *thing,
		  void (*done)(const struct store_dossier *d, const struct fault *f, void *arg), void *arg);

struct store_log_query {
	int64_t after;		/* entries with a greater number */
	int64_t last;		/* of the whole log only so many, the newest; 0: all */
	size_t limit;		/* at most STORE_PAGE_MAX */
	const char *request_id; /* NULL: of any request */
};
/* In order of their numbers. */
void store_log(struct store *s, const struct store_log_query *q,
	       void (*done)(const struct log_entry *entries, size_t count, const struct fault *f, void *arg),
	       void *arg);

/* Clone alarms, rollbacks and the like. */
struct store_alarm {
	struct log_entry entry;
	const char *device_state; /* as it is now; "" where the entry names no device */
};
struct store_alarm_query {
	int64_t after;	    /* entries with a greater number */
	size_t limit;	    /* at most STORE_PAGE_MAX */
	const char *reason; /* of this reason code; "": of any */
	int64_t since_ms;   /* from this time on */
};
/* In order of their numbers. */
void store_alarms(struct store *s, const struct store_alarm_query *q,
		  void (*done)(const struct store_alarm *alarms, size_t count, const struct fault *f,
			       void *arg),
		  void *arg);

#endif
