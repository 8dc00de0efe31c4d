/*
 * peers.h - services that come with a client certificate: brokers at the gateway, gateways at the
 * attestation service.
 *
 * The edge passes the certificate on and verifies nothing but that the peer has its key; everything else is
 * verified here, on every request. Who the peer is stands in the certificate's one URI, as in an X.509-SVID
 * (SPIFFE):
 *
 *   spiffe://TRUST-DOMAIN/service/ROLE/NAME
 */
#ifndef MOORING_PEERS_H
#define MOORING_PEERS_H

#include "common/crypto/cert.h"

enum { PEER_NAME_SIZE = 65 };

struct peer {
	char name[PEER_NAME_SIZE]; /* the URI's last part */
	uint8_t spki_sha256
		[SHA256_SIZE]; /* of its key: the same whatever is done to the certificate's encoding */
	int64_t not_before;    /* Unix seconds */
	int64_t not_after;
};

/* What one thread has verified: reading a certificate costs more than most requests, so the last ones are
 * remembered; their dates are checked every time. */
struct peers;

/* Peers whose certificates one of `cas` issues, of this trust domain; NULL: of any, each OEM's gateway has its own.
 * Both are the caller's and outlive it. NULL without memory. */
struct peers *peers_new(const struct cert_issuers *cas, const char *trust_domain);
void peers_free(struct peers *p);

/* `pem` is what the peer has shown (n = 0: nothing), `now` Unix seconds. REASON_PEER_CERTIFICATE: no
 * certificate, not from a CA of theirs, not within its dates, not for client authentication, not one URI, or a
 * common name that is not the URI's. REASON_PEER_ROLE: a good one, but of another trust domain or role. */
MUST_USE outcome peers_check(struct peers *p, struct bytes pem, const char *role, int64_t now,
			     struct peer *out, struct fault *f);

#endif
