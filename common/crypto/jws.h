/*
 * jws.h - JSON Web Signature, compact serialisation, ES256 only (RFC 7515 7.1, RFC 7518 3.4).
 */
#ifndef MOORING_JWS_H
#define MOORING_JWS_H

#include "crypto.h"

#include <jansson.h>

enum { JWS_MAX = 16384 };

/* Verifies under any of `count` pinned keys; the header's alg must be exactly "ES256", `crit` is refused.
 * *payload gets the JSON object (caller json_decref). REASON_EAR_MALFORMED, REASON_EAR_SIGNATURE. */
MUST_USE outcome jws_verify(struct bytes compact, EVP_PKEY *const *keys, size_t count, json_t **payload,
			    struct fault *f);
/* A NUL-terminated compact JWS; caller frees. `kid` and `type` may be NULL. */
MUST_USE outcome jws_sign(const json_t *payload, EVP_PKEY *key, const char *kid, const char *type, char **out,
			  struct fault *f);

#endif
