/*
 * log_chain.h - the hash chain of the gateway's log, so that anyone holding the entries can check it offline.
 *
 *   hash(0)   = SHA-256("mooring-log/1" || 00)
 *   hash(seq) = SHA-256(hash(seq - 1) || canonical(entry))
 *
 * canonical is a deterministic CBOR array (RFC 8949 4.2.1) of ten items:
 *
 *   seq, time in ms, kind, actor, request id, instance ID (bstr or null),
 *   thing, fingerprint (bstr or null), reason code, detail
 *
 * Texts are UTF-8 tstr; `detail` is hashed as the JSON text that was stored, not as what it parses to.
 * Entries are numbered from 1 without a gap.
 */
#ifndef MOORING_LOG_CHAIN_H
#define MOORING_LOG_CHAIN_H

#include "common/crypto/crypto.h"

/* Views; strings are never NULL. */
struct log_entry {
	int64_t seq;
	int64_t time_ms;   /* Unix time */
	const char *kind;  /* "issued", "refused", "revoked", ... */
	const char *actor; /* "device", "gateway", "attestation-service", a broker, or an access key id */
	const char *request_id;	   /* "" where there was no request */
	struct bytes instance_id;  /* n = 0 where no device is concerned */
	const char *thing;	   /* thing, service, policy or broker name; "" where none */
	struct bytes fingerprint;  /* n = 0 where no certificate is concerned */
	const char *reason;	   /* reason code or revocation reason; "" where none */
	const char *detail;	   /* JSON object text; "" where there is none */
	uint8_t hash[SHA256_SIZE]; /* as stored; not part of the canonical bytes */
};

/* The hash before the first entry. */
void log_chain_start(uint8_t out[SHA256_SIZE]);
/* The hash that the entry must have after `previous`; false when there is no memory. */
MUST_USE bool log_chain_next(const uint8_t previous[SHA256_SIZE], const struct log_entry *e,
			     uint8_t out[SHA256_SIZE]);

/* Checks entries in the order in which they arrive. */
struct log_chain {
	int64_t seq;
	uint8_t hash[SHA256_SIZE];
};
/* A check that begins at entry 1. */
struct log_chain log_chain_begin(void);
/* REASON_LOG_CHAIN names the entry that is missing or does not match. */
MUST_USE outcome log_chain_check(struct log_chain *c, const struct log_entry *e, struct fault *f);

#endif
