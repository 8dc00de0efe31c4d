/*
 * worker.h - what each worker thread has for itself, so that requests share no lock: the connections to the
 * attestation service and to the signer, and the pinned keys in its own library context.
 *
 * A worker is touched on its own loop only. Worker 0 also does what the process does once: it follows the
 * attestation service's health and its withdrawals, and settles what an earlier run left open.
 */
#ifndef MOORING_WORKER_H
#define MOORING_WORKER_H

#include "gateway.h"

struct enrol;
struct httpc;
struct peers;
struct signer_client;
struct attest_probe;
struct withdrawals;
struct recover;

struct worker {
	struct gateway *gateway;
	unsigned index;
	struct loop *loop;
	EVP_PKEY **ear_keys; /* as many as gateway->keys.ear_count */
	struct httpc *attestation;
	struct peers *peers; /* brokers */
	struct signer_client *signer;
	struct attest_probe *probe;	 /* worker 0, else NULL */
	struct withdrawals *withdrawals; /* worker 0, else NULL */
	struct recover *recover;	 /* worker 0, else NULL */
	bool stopping; /* the store is about to close: no new work, and what is under way ends unanswered */
};

/* For scgi_options: `arg` is the gateway, whose `workers` has a place for each. */
MUST_USE outcome worker_start(struct loop *loop, unsigned index, void *arg, struct fault *f);
void worker_stop(unsigned index, void *arg);
/* What the process does once begins, on worker 0: it asks the store, so that it comes when nothing else can fail any
 * more. After scgi_start; after a fault workers_quiesce and scgi_stop as ever. */
MUST_USE outcome workers_begin(struct gateway *g, struct fault *f);
/* Ends everything that could still ask the store, on every worker, and waits until that is done. After
 * scgi_drain. */
void workers_quiesce(struct gateway *g);
struct worker *worker_of(struct gateway *g, const struct scgi_request *r);

#endif
