/*
 * claims.h - what evidence says, claim by claim with its name, whether or not it would be accepted.
 */
#ifndef MOORING_CLAIMS_H
#define MOORING_CLAIMS_H

#include "common/bytes.h"

#include <jansson.h>

/* {"algorithm", "claims": [{"label", "name", "value", "note"}], "components": [{"name": value, …}]}, as far
 * as the bytes can be read: empty where they are no COSE_Sign1. Of a COSE-signed request the claims of its
 * protected header. */
json_t *claims_read(struct bytes evidence);
/* The payload is a PKCS#10 rather than a map of claims. */
bool claims_are_of_csr(struct bytes evidence);
void claims_print(const json_t *claims, bool colour);

#endif
