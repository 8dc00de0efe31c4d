/*
 * peers.h - relying parties: whose client certificate may ask for results. For one thread.
 *
 * The edge passes on what the client presented without judging it; it is verified here, and remembered for a
 * few minutes by its hash, since on OpenSSL 3.0 decoding a certificate costs more than verifying with it.
 */
#ifndef MOORING_PEERS_H
#define MOORING_PEERS_H

#include "bytes.h"

struct peers;

/* `ca` is the PEM of the one issuer. Call it on the thread that will check. */
MUST_USE outcome peers_new(struct bytes ca, struct peers **out, struct fault *f);
void peers_free(struct peers *p);
/* `pem` as presented, n = 0 where none was. Issued by the CA, in its dates, for client authentication, with a
 * SAN URI spiffe://<trust domain>/service/gateway/<name>. REASON_PEER_CERTIFICATE,
 * REASON_CERTIFICATE_EXPIRED, REASON_PEER_ROLE. */
MUST_USE outcome peers_check(struct peers *p, struct bytes pem, int64_t now, struct fault *f);

#endif
