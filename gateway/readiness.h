/*
 * readiness.h - would an enrolment succeed now, and if not, what is missing?
 */
#ifndef MOORING_READINESS_H
#define MOORING_READINESS_H

#include "gateway/worker.h"

struct readiness {
	bool store;	  /* the last commit succeeded */
	bool recovered;	  /* what an earlier run left open is settled */
	bool signer;	  /* this worker is connected to it */
	bool attestation; /* the service says that it is ready, and the last call was answered */
};

/* On the worker's loop. */
struct readiness readiness_of(const struct worker *w);
bool readiness_all(const struct readiness *r);

#endif
