/*
 * line_request.h - a new line asks the OEM to be known: its public key, with proof that it has the private one.
 *
 *   {"programme": 32 hex, "line_key": 128 hex, "signature": 128 hex}
 *
 * ES256 (r || s) over "mooring-line-request/1" 00 || programme || line key, so that nobody has another's key
 * certified as their own.
 */
#ifndef MOORING_FACTORY_LINE_REQUEST_H
#define MOORING_FACTORY_LINE_REQUEST_H

#include "common/provenance/provenance.h"

enum { LINE_REQUEST_MAX = 1024 };

struct line_request {
	uint8_t programme[PROGRAMME_ID_SIZE];
	uint8_t key[P256_POINT_SIZE];
};

MUST_USE outcome line_request_write(struct buf *out, const uint8_t programme[PROGRAMME_ID_SIZE],
				    EVP_PKEY *key, struct fault *f);
/* Format and proof; `what` begins the sentence of a refusal. */
MUST_USE outcome line_request_read(struct bytes in, const char *what, struct line_request *out,
				   struct fault *f);

#endif
