/*
 * binding.h - what ties evidence to one CSR, one challenge and one gateway.
 *
 * B = SHA-256("oem-enrol-att/1" 00 || 'C' || N || SHA-256(aud) || SHA-256(CSR))
 *
 * N is the nonce, aud the gateway's origin as the device knows it, CSR the DER as sent. 'C' says that the
 * evidence stands beside the CSR; another way to bind would be another letter.
 */
#ifndef MOORING_BINDING_H
#define MOORING_BINDING_H

#include "common/bytes.h"

enum { NONCE_SIZE = 32, BINDING_SIZE = 32, ORIGIN_MAX = 255 };

void binding_compute(const uint8_t nonce[NONCE_SIZE], const char *audience, struct bytes csr,
		     uint8_t out[BINDING_SIZE]);
/* scheme://host[:port], lower case, no trailing slash, https only: REASON_BAD_ORIGIN names what is wrong. */
MUST_USE outcome binding_check_origin(const char *origin, struct fault *f);

#endif
