/*
 * recover.h - settles intents that were reserved and neither recorded nor closed.
 *
 * The signer is asked what became of the intent: a certificate is recorded, and where there is none the
 * signer is told never to sign it, and then the intent is closed. At start this is done for all that an
 * earlier run left open, before the first enrolment.
 */
#ifndef MOORING_RECOVER_H
#define MOORING_RECOVER_H

#include "gateway/store/store.h"
#include "gateway/worker.h"

/* On the worker's loop; tries until all is settled, then sets gateway->recovered. */
MUST_USE outcome recover_start(struct worker *w, struct recover **out, struct fault *f);
/* After the store was closed and the worker's connections were freed. */
void recover_free(struct recover *r);

/* One intent. `done` is called once, on the worker's loop, never from within; f is NULL where it is settled,
 * else it is still open. */
void recover_settle(struct worker *w, const uint8_t intent[INTENT_ID_SIZE],
		    void (*done)(const struct fault *f, void *arg), void *arg);

#endif
