/*
 * tls_key.h - a TLS client whose private key is in the secure world.
 */
#ifndef MOORING_TLS_KEY_H
#define MOORING_TLS_KEY_H

#include "credential.h"
#include "psa.h"

#include <openssl/ssl.h>

struct tls_client {
	const struct credential *credential; /* presented with its chain */
	struct psa *psa;
	uint32_t key;
	X509 *root;	  /* the only trust anchor */
	const char *host; /* what the server's certificate must be for: a DNS name or an IP address */
	int64_t now;	  /* when it must be valid, Unix seconds */
};
/* TLS 1.2 or later. Caller SSL_CTX_free. */
MUST_USE outcome tls_client_ctx(const struct tls_client *c, SSL_CTX **out, struct fault *f);

#endif
