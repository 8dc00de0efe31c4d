/*
 * worker.h - what each worker's loop has of its own.
 */
#ifndef MOORING_ATTESTATION_WORKER_H
#define MOORING_ATTESTATION_WORKER_H

#include "appraise.h"
#include "attestd.h"
#include "common/peers.h"

struct parked;

struct worker {
	struct attestd *service;
	struct loop *loop;
	struct records records; /* read-only connection */
	struct appraiser appraiser;
	struct peers *peers;   /* relying parties: gateways */
	EVP_PKEY *ear;	       /* the signing key in this thread's library context */
	struct parked *parked; /* withdrawals.c: requests that wait for one */
	unsigned parked_count;
};

/* For struct scgi_options; `arg` is the struct attestd. */
outcome worker_start(struct loop *loop, unsigned index, void *arg, struct fault *f);
void worker_stop(unsigned index, void *arg);

#endif
