/*
 * peer.h - services that come with a client certificate: brokers, back ends.
 *
 * The edge passes the certificate on and verifies nothing but that the peer has its key; everything else is
 * verified here, on every request.
 */
#ifndef MOORING_PEER_H
#define MOORING_PEER_H

#include "gateway/gateway.h"

enum { PEER_NAME_SIZE = 65 };

struct peer {
	char name[PEER_NAME_SIZE]; /* common name, and the last part of the SAN URI */
	int64_t not_before;	   /* Unix seconds */
	int64_t not_after;
};

/* The client certificate is from the service CA, within its dates, for client authentication, and its only
 * SAN URI is spiffe://<trust domain>/service/<role>/<common name>. PEER_CERTIFICATE, PEER_ROLE. What was
 * verified once is remembered by each thread, since reading a certificate costs more than most requests; its
 * dates are checked every time. */
MUST_USE outcome peer_check(const struct gateway *g, const struct scgi_request *r, const char *role,
			    struct peer *out, struct fault *f);
/* The same for a certificate's PEM; `now` is Unix time in seconds. */
MUST_USE outcome peer_check_certificate(struct bytes pem, X509 *service_ca, const char *trust_domain,
					const char *role, int64_t now, struct peer *out, struct fault *f);

#endif
