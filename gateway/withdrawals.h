/*
 * withdrawals.h - follows what the attestation service takes back: attestation results that no longer hold reach the
 * certificates that were issued on them, in the commit that stores how far was read.
 *
 * GET /v1/withdrawals?after=SEQ&wait=S (long poll); each entry is a JWS under a pinned key of attestation
 * results. A service without this resource (Veraison) is asked again now and then; there the admin does it.
 */
#ifndef MOORING_GATEWAY_WITHDRAWALS_H
#define MOORING_GATEWAY_WITHDRAWALS_H

#include "gateway/worker.h"

/* On the worker's loop, with a connection of its own. */
MUST_USE outcome withdrawals_start(struct worker *w, struct withdrawals **out, struct fault *f);
/* Ends the poll; nothing is asked of the store any more. */
void withdrawals_quiesce(struct withdrawals *w);
/* After the store was closed. */
void withdrawals_free(struct withdrawals *w);
void withdrawals_metrics_write(struct buf *out);

#endif
