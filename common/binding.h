/*
 * binding.h - what ties evidence to one CSR, one challenge and one gateway.
 *
 * B = SHA-256("oem-enrol-att/1" 00 || mode || N || SHA-256(aud) || X)
 * mode 'C': X = SHA-256(CSR DER as sent); mode 'K': X = SHA-256(SubjectPublicKeyInfo DER).
 */
#ifndef MOORING_BINDING_H
#define MOORING_BINDING_H

#include "bytes.h"

enum { NONCE_SIZE = 32, BINDING_SIZE = 32, ORIGIN_MAX = 255 };
enum binding_mode { BINDING_CSR = 0x43, BINDING_KEY = 0x4b };

/* `x_of` is the CSR (mode C) or the SPKI (mode K), not yet hashed. */
void binding_compute(enum binding_mode mode, const uint8_t nonce[NONCE_SIZE], const char *audience,
		     struct bytes x_of, uint8_t out[BINDING_SIZE]);
/* scheme://host[:port], lower case, no trailing slash, https only: REASON_BAD_ORIGIN names what is wrong. */
MUST_USE outcome binding_check_origin(const char *origin, struct fault *f);

#endif
