/*
 * renew.h - a new certificate for a new key, while the old one goes on working.
 */
#ifndef MOORING_RENEW_H
#define MOORING_RENEW_H

#include "enrol.h"

struct renewal;

/* When to begin: at two thirds of the life from `certified_at` to `not_after` (Unix seconds), give or take a
 * tenth of that, so that devices certified together do not return together. `random` is uniform. */
int64_t renewal_due(int64_t certified_at, int64_t not_after, uint32_t random);

/* Starts a thread that makes the next key, takes fresh evidence, and asks until there is an answer. `d` must
 * outlive it; of it the thread uses what never changes, the secure world and the gateway. */
MUST_USE outcome renewal_start(const struct device *d, const char *certificate_id, struct renewal **out,
			       struct fault *f);
/* Readable when it has ended. */
int renewal_fd(const struct renewal *r);
/* The key that is or would be certified. */
uint32_t renewal_key(const struct renewal *r);
/* Waits for the end, frees; `answer` is the caller's (enrol_answer_free). */
MUST_USE outcome renewal_finish(struct renewal *r, struct enrol_answer *answer, struct fault *f);
/* Ends it at its next wait; then joins and frees. False when that
 * took longer than `patience_ms`: it goes on. */
MUST_USE bool renewal_cancel(struct renewal *r, int patience_ms);

#endif
