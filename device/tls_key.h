/*
 * tls_key.h - a TLS client whose private key is in the secure world.
 */
#ifndef MOORING_TLS_KEY_H
#define MOORING_TLS_KEY_H

#include "credential.h"
#include "psa.h"

#include <openssl/ssl.h>

/* A key pair of which OpenSSL has the public half; each signature is a psa_sign_hash. Signs SHA-256 hashes
 * only. `psa` must outlive it. NULL on failure, with an OpenSSL error queued. */
EVP_PKEY *tls_key_new(struct psa *psa, uint32_t key, struct bytes spki);

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
