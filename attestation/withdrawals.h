/*
 * withdrawals.h - relying parties learn of suspended and resumed devices: GET
 * /v1/withdrawals?after=SEQ&mark=MARK&wait=S.
 *
 * The answer is {"entries": [JWS, ...], "last": SEQ}: entries after SEQ, oldest first, each signed by the key
 * that signs results, payload {"seq", "time", "instance_id", "state", "reason", "mark", "superseded"}. `last` is
 * the number to ask from the next time. Where there is nothing yet the request waits up to S seconds, parked on
 * its worker's loop.
 *
 * An entry's mark is random. Who asks says the mark of the entry that it read last: where an older copy of the
 * database was put back, this list has none of that number, or another one by now, and the answer is 409. The
 * asker then reads from the start, and there `superseded` tells which entries a later one has overtaken.
 */
#ifndef MOORING_ATTESTATION_WITHDRAWALS_H
#define MOORING_ATTESTATION_WITHDRAWALS_H

#include "worker.h"
#include "common/scgi/scgi.h"

enum { WITHDRAWALS_A_TIME = 256, WITHDRAWALS_WAIT_MAX_S = 60, PARKED_MAX = 256 };

struct withdrawals;

struct withdrawals *withdrawals_new(unsigned workers);
void withdrawals_free(struct withdrawals *w);
/* On the worker's loop, before it has requests. */
void withdrawals_attach(struct withdrawals *w, struct worker *worker);
/* From any thread: something may have been withdrawn, parked requests look again. `arg` is the struct
 * withdrawals. */
void withdrawals_wake(void *arg);
/* From now on nothing waits: parked requests are answered. */
void withdrawals_stop(struct withdrawals *w);

void withdrawals_get(struct worker *worker, struct scgi_request *r);

#endif
